"""Makes of the moments at which a synthesiser's phones begin the phones of its speech, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.types import Phone

_KOKORO = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ", "S": "s", "T": "ɾ", "ʣ": "dz", "ʤ": "dʒ", "ʥ": "dʑ", "ʦ": "ts",
    "ʧ": "tʃ", "ʨ": "tɕ", "ꭧ": "ʈʂ", "ᵊ": "ə", "ᵻ": "ɪ",
}  # fmt: skip
"""Letters of Kokoro's alphabet that are no IPA, and those that stand for two phones."""
_SILENT = frozenset(" ;:,.!?—…\"()“”")
_BEFORE, _AFTER = frozenset("ˈˌ"), frozenset("ː\u0303ᵝʰʲ↓→↗↘")
"""Marks, whose time is that of the phone which they stand before or after."""
_STOPS = frozenset("pɸbɓʙtʈcʔʡdɖɟɗʄkqxχɡgɢɠʛɣʁɰ")
"""Phones whose closure precedes their sound."""
_STRESS = str.maketrans("", "", "ˈˌ\u200d͡")


def tiled(begun: Iterable[tuple[str, float]], end_s: float) -> tuple[Phone, ...]:
    """begun: (IPA, start_s) in order; "" and what comes before the first is silence. end_s: of the sound. Neighbouring silences are one."""
    marks = [("", 0.0), *begun, ("", end_s)]
    phones: list[Phone] = []
    for (ipa, start_s), (_, stop_s) in zip(marks, marks[1:], strict=False):
        start_s, stop_s = min(start_s, end_s), min(stop_s, end_s)
        if stop_s <= start_s:
            continue
        if not ipa and phones and not phones[-1].ipa:
            start_s = phones.pop().start_s
        phones.append(Phone(ipa, start_s, stop_s))
    return tuple(phones)


def espeak_phones(named: Iterable[tuple[str, int]], samples: NDArray[np.float32], rate_hz: int) -> tuple[Phone, ...]:
    """named: (name, its first sample) of each phone, as espeak-ng tells them: pauses have the name "" or "_". samples: (n,), its sound."""
    begun = ((name.translate(_STRESS).strip("_:"), at / rate_hz) for name, at in named)
    return tuple(with_closures(tiled(begun, len(samples) / rate_hz), samples, rate_hz))


def with_closures(phones: Iterable[Phone], sound: NDArray[np.float32], rate_hz: int) -> list[Phone]:
    """espeak-ng's event for a stop comes with its burst: the silent closure before it belongs to the stop as well. sound: (n,), -1..1."""
    out = list(phones)
    step = rate_hz // 200
    for k in range(1, len(out)):
        stop, before = out[k], out[k - 1]
        if stop.ipa[:1] not in _STOPS or before.ipa in ("", "_"):
            continue
        edge = stop.start_s
        while edge - step / rate_hz > before.start_s + 0.02:
            piece = sound[int(edge * rate_hz) - step : int(edge * rate_hz)]
            if len(piece) == 0 or float(np.sqrt(np.mean(piece**2))) > 0.003:
                break
            edge -= step / rate_hz
        out[k - 1], out[k] = Phone(before.ipa, before.start_s, edge), Phone(stop.ipa, edge, stop.end_s)
    return out


def kokoro_phones(letters: Iterable[tuple[str, float]], end_s: float) -> tuple[Phone, ...]:
    """letters: each of Kokoro's with the time that it begins at, in order. end_s: of the sound."""
    begun: list[tuple[str, float]] = []
    marked_s: float | None = None
    for letter, start_s in letters:
        if letter in _BEFORE:
            marked_s = start_s if marked_s is None else marked_s
        elif letter in _AFTER:
            if begun and begun[-1][0]:
                begun[-1] = (begun[-1][0] + letter if letter in "ːʲ" else begun[-1][0], begun[-1][1])
        else:
            ipa = "" if letter in _SILENT else _KOKORO.get(letter, letter)
            begun.append((ipa, start_s if marked_s is None else marked_s))
            marked_s = None
    return tiled(begun, end_s)
