"""Writes the tables of options and settings into the documentation, from the code that defines them.

python scripts/doc_tables.py            rewrites docs/*.md
python scripts/doc_tables.py --check    exit code 1 where a table is not what the code says
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.option_table import OPTION_TABLE, shown_default  # noqa: E402  # the project is found by its folder
from core.options import PRESETS  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.web.api.settings import ServerSettings  # noqa: E402
from deploy.ray_settings import RaySettings  # noqa: E402

MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PLACES = {
    "output_dir": "below `GRADIO_TEMP_DIR`; without it, one folder per user in the system's temporary folder",
    "cache_dir": "`~/.cache/talking-head`; in a Space with persistent storage `/data/talking-head`",
    "root_path": "the path in `GRADIO_ROOT_PATH`, else none",
}
"""Defaults that depend on the machine."""


def rows(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    table = [head, tuple("---" for _ in head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in table)


def options() -> str:
    return rows(
        ("option", "values", "default", "engines", "meaning"),
        ((f"`{each.name}`", each.values, shown_default(each), ", ".join(each.engines), each.meaning) for each in OPTION_TABLE),
    )


def presets() -> str:
    return rows(
        ("preset", "stands for"), ((f"`{name}`", ", ".join(f"`{k}={v}`" for k, v in values.items())) for name, values in PRESETS.items())
    )


def settings() -> str:
    return _settings(Settings, Settings.model_fields)


def server_settings() -> str:
    return _settings(ServerSettings, [name for name in ServerSettings.model_fields if name not in Settings.model_fields])


def ray_settings() -> str:
    return _settings(RaySettings, [name for name in RaySettings.model_fields if name not in ServerSettings.model_fields])


def _settings(kind: Any, names: Iterable[str]) -> str:
    fields = kind.model_fields
    lines = ((f"`{name.upper()}`", fields[name].description or "", PLACES.get(name) or _default(fields[name].default)) for name in names)
    return rows(("setting", "meaning", "default"), lines)


def _default(value: Any) -> str:
    """As the environment would say it."""
    if value in (None, "", ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        return f"{value} ({value // 2**30} GiB)" if value % 2**30 == 0 else f"{value} ({value // 2**20} MiB)"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


TABLES: dict[str, Callable[[], str]] = {
    "options": options, "presets": presets, "settings": settings, "server_settings": server_settings, "ray_settings": ray_settings,
}  # fmt: skip


def with_tables(text: str) -> str:
    """The same text with every marked table made anew."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a table is out of date")
    arguments = parser.parse_args()
    stale = [
        (path, text)
        for path in sorted((ROOT / "docs").glob("*.md"))
        if (text := with_tables(path.read_text("utf-8"))) != path.read_text("utf-8")
    ]
    for path, text in stale:
        if not arguments.check:
            path.write_text(text, "utf-8")
        print(f"{path.relative_to(ROOT)}: {'is out of date' if arguments.check else 'written'}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
