"""The catalogue of published files: which file plays which role, in each format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import OptionError

CATALOGUE = Path(__file__).with_name("catalogue.json")
DEFAULT_FORMAT = "pytorch"


@dataclass(frozen=True)
class CatalogueFile:
    """One published file.

    role: what it is to the engine ("decoder"). path: in the repository and in the folder, with slashes.
    size_bytes, sha256: as published, None where only the Hub knows. extra: the option it comes with, "" for what every run needs.
    """

    role: str
    path: str
    size_bytes: int | None
    sha256: str | None
    extra: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All formats of one repository at one revision (40 hex digits: a commit never changes)."""

    repo: str
    revision: str
    formats: Mapping[str, tuple[CatalogueFile, ...]]

    def files(self, format: str, extras: Iterable[str] = ()) -> tuple[CatalogueFile, ...]:
        """The files of `format` that every run needs, and those of `extras`. Raises OptionError for a name that does not exist."""
        if format not in self.formats:
            raise OptionError(f"{format!r} is not a format of the checkpoints.", f"Choose one of: {', '.join(self.formats)}.")
        wanted = set(extras)
        if unknown := wanted - self.extras(format):
            known = ", ".join(sorted(self.extras(format))) or "none"
            raise OptionError(f"{min(unknown)!r} is not an extra of the {format} checkpoints.", f"There is: {known}.")
        return tuple(file for file in self.formats[format] if not file.extra or file.extra in wanted)

    def extras(self, format: str) -> set[str]:
        return {file.extra for file in self.formats[format] if file.extra}


class Checkpoints(Mapping[str, Path]):
    """The paths of the files of one format, by role: `checkpoints["decoder"]`. An engine takes them."""

    def __init__(self, format: str, revision: str, paths: Mapping[str, Path]) -> None:
        self.format = format
        self.revision = revision
        self._paths = dict(paths)

    def __getitem__(self, role: str) -> Path:
        return self._paths[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"Checkpoints({self.format!r}, {self.revision[:12]!r}, {self._paths!r})"


def load_catalogue(path: Path = CATALOGUE) -> Catalogue:
    """Reads a catalogue file; ValueError where it is not one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    formats = {name: tuple(_read_file(row) for row in rows) for name, rows in content["formats"].items()}
    for name, files in formats.items():
        if len({file.role for file in files}) != len(files):
            raise ValueError(f"{path}: a role of {name} is given twice")
    return Catalogue(content["repo"], content["revision"], formats)


def _read_file(row: Mapping[str, object]) -> CatalogueFile:
    file = CatalogueFile(**row)  # type: ignore[arg-type]
    parts = PurePosixPath(file.path).parts
    if not parts or ".." in parts or parts[0].startswith(("/", ".")) or "\\" in file.path:
        raise ValueError(f"{file.path!r} does not stay in the folder")
    return file
