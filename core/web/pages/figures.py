"""Numbers as a page's language writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.web.pages.texts import Texts


@dataclass(frozen=True)
class _Figure:
    value: float
    mark: str

    def __format__(self, spec: str) -> str:
        return format(self.value, spec).replace(".", self.mark)


def filled(texts: Texts, sentence: str, **values: object) -> str:
    """`sentence.format(**values)`, with the language's mark before decimals."""
    return sentence.format(**{name: _Figure(value, texts.decimal) if isinstance(value, float) else value for name, value in values.items()})


def marked(texts: Texts, said: str) -> str:
    """Figures that are words already ("2.0", "1.5 MiB"), with the language's mark before decimals."""
    return re.sub(r"(?<=\d)\.(?=\d)", texts.decimal, said)


def human_bytes(texts: Texts, size: float) -> str:
    """1536 -> "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            whole = unit == "B" or size >= 100
            return filled(texts, "{size:.0f} {unit}" if whole else "{size:.1f} {unit}", size=float(size), unit=unit)
        size /= 1024
    return filled(texts, "{size:.1f} GiB", size=float(size))
