"""Reads a list of videos to make, CSV or JSON Lines: one row is one video, with its options by name."""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError, OptionError, TalkingHeadError
from core.given_speech import GivenSpeech
from core.media.files import FileKind
from core.option_table import OPTION_TABLE
from core.options import background_picture, preset, read_options, read_value, with_seed

MAX_LIST_BYTES = 8 * 2**20
MAX_ROWS = 10_000
DELIMITERS = ",;\t"
"""Of CSV; spreadsheets write what is usual where they run. The first of these that the header has counts."""
PATHS = ("audio", "source", "output")
TEXTS = (*PATHS, "text", "voice", "engine", "preset")
"""Columns that hold text, whatever it looks like."""
COLUMNS = (*TEXTS, "speed")
"""Columns beside the options."""
NAMES = (*COLUMNS, *(entry.name for entry in OPTION_TABLE))
_FILE = FileKind("list", "CSV or JSON Lines", "make several of it", OptionError)
_ROW_HINT = 'Write {"audio": ..., "source": ..., "output": ...} on one line.'


@dataclass(frozen=True, eq=False)
class BatchJob:
    """One row. line: where it begins in the list, from 1. options: by name, a preset written out, "random" still standing for a seed.

    background: the picture behind the person, where one is asked for; `options` does not have it. preset, named: the preset that the row
    asks for, and the options that it names itself. All paths are absolute.
    """

    line: int
    speech: GivenSpeech
    source: Path
    output: Path
    engine: str
    options: Mapping[str, Any]
    background: Path | None = None
    preset: str = ""
    named: frozenset[str] = frozenset()

    def inputs(self) -> tuple[Path, ...]:
        """The files that it is made of."""
        return tuple(path for path in (self.speech.recording, self.source, self.background) if path is not None)


@dataclass(frozen=True, eq=False)
class WrongRow:
    """One row that cannot be made, and why. line: as in BatchJob."""

    line: int
    error: TalkingHeadError

    def __str__(self) -> str:
        return f"line {self.line}: {self.error}"


def read_jobs(path: Path, common: Mapping[str, Any]) -> tuple[list[BatchJob], list[WrongRow]]:
    """The jobs of a list, and the rows that are none.

    path: its name ends in .csv, .jsonl or .ndjson; paths in it are relative to its folder. common: what holds for every row that does not
    say otherwise, by the same names; paths in it are absolute. Raises OptionError for a list that cannot be read, or has too many rows.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl", ".ndjson"):
        raise OptionError(f"The list is {path.name!r}.", "Its name must end in .csv or .jsonl.")
    text = _text(path)
    jobs: list[BatchJob] = []
    wrong: list[WrongRow] = []
    for n, (line, row) in enumerate(_csv_rows(text, path.name) if kind == ".csv" else _json_rows(text)):
        if n >= MAX_ROWS:
            raise OptionError(f"{path.name} has more than {MAX_ROWS} rows.", "Make several lists of it.")
        try:
            if isinstance(row, InputError):
                raise row
            jobs.append(_job(line, row, common, path.absolute().parent))
        except InputError as error:
            wrong.append(WrongRow(line, error))
    if not jobs and not wrong:
        raise OptionError(f"{path.name} has no rows.", "Write one for each video (docs/footage.md).")
    return jobs, wrong + _clashes(path, jobs)


def _text(path: Path) -> str:
    try:
        return _FILE.read(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OptionError(f"{path.name} is not UTF-8 (byte {error.start}).", "Save it as UTF-8.") from None


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    """(line, values by column): what is empty is not there. Raises OptionError for a header or quotes that are wrong."""
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=next((each for each in DELIMITERS if each in header), ","), strict=True)
    try:
        names = [cell.strip() for cell in next(reader, [])]
        _check_names([each for each in names if each], f"{name} begins with the names of its columns: audio,source,output.")
        if doubled := next((each for each in names if each and names.count(each) > 1), None):
            raise OptionError(f"{name} has the column {doubled!r} twice.", "Leave one of them out.")
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, _values(names, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise OptionError(f"{name} is not CSV ({error}, line {reader.line_num}).", "Check the quotes of that line.") from None


def _values(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | InputError:
    given = [(names[i] if i < len(names) else "", cell) for i, cell in enumerate(cells) if cell.strip()]
    if any(not name for name, _ in given):
        return OptionError("It has more cells than there are columns.", "Put text with the delimiter in it into quotes.")
    return {name: cell.strip() if name in TEXTS else read_value(cell) for name, cell in given}


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    for line, written in enumerate(text.split("\n"), start=1):
        if written.strip():
            try:
                row = json.loads(written)
            except (ValueError, RecursionError) as error:
                yield line, OptionError(f"It is not JSON ({str(error)[:120]}).", _ROW_HINT)
                continue
            yield line, row if isinstance(row, dict) else OptionError("It is no JSON object.", _ROW_HINT)


def _check_names(names: Sequence[str], hint: str) -> None:
    """Raises OptionError for the first that is neither a column nor an option."""
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1, 0.6)
            raise OptionError(f"There is no column {name[:40]!r}.", f"Is {near[0]} meant?" if near else hint)


def _job(line: int, row: Mapping[str, Any], common: Mapping[str, Any], folder: Path) -> BatchJob:
    """Raises OptionError."""
    _check_names(list(row), "docs/usage.md has the options by name.")
    given = {name: value for name, value in row.items() if value is not None or name not in COLUMNS}
    for name in TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise OptionError(f"{name} is {str(given[name])[:80]!r}.", "It must be text.")
    for name in PATHS:
        if name in given:
            given[name] = folder / given[name]
    if isinstance(given.get("background"), str) and (picture := background_picture(given)) is not None:
        given["background"] = str(folder / picture)
    speech = _speech(given, common)
    for name in ("source", "output"):
        if name not in given and name not in common:
            raise OptionError(f"It has no {name}.", f"Give it in the column {name}.")
    chosen = preset(given["preset"]) if given.get("preset") else {}
    values = {**common, **chosen, **given}
    options = {name: value for name, value in values.items() if name not in COLUMNS}
    background = background_picture(options)
    if background is not None:
        del options["background"]
    read_options(with_seed(options))
    output = Path(values["output"])
    if output.suffix.lower() != ".mp4":
        raise OptionError(f"output is {output.name!r}.", "Its name must end in .mp4.")
    engine, source, named = values.get("engine") or "auto", Path(values["source"]), frozenset(given)
    return BatchJob(line, speech, source, output, engine, options, background, given.get("preset", ""), named)


def _speech(given: Mapping[str, Any], common: Mapping[str, Any]) -> GivenSpeech:
    """What the row says of it; where it says nothing, what is common to all."""
    if "audio" in given and "text" in given:
        raise OptionError("It has both audio and text.", "Leave one of them out.")
    said = given if "audio" in given or "text" in given else common
    if "audio" in said:
        if extra := next((name for name in ("voice", "speed") if name in given), None):
            raise OptionError(f"{extra} is given with a recording.", "It is for a text.")
        return GivenSpeech(Path(said["audio"]))
    if "text" not in said:
        raise OptionError("It has neither audio nor text.", "Give one of them.")
    speed = given.get("speed", common.get("speed", 1.0))
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise OptionError(f"speed is {str(speed)[:40]!r}.", "It must be a number.")
    return GivenSpeech(None, said["text"], given.get("voice", common.get("voice", "")), float(speed))


def _clashes(path: Path, jobs: Sequence[BatchJob]) -> list[WrongRow]:
    """Rows whose output another row has too, or that would write over what something is made of."""
    read = {_place(each) for job in jobs for each in job.inputs()} | {_place(path)}
    first: dict[str, int] = {}
    wrong = []
    for job in jobs:
        place = _place(job.output)
        if place in read:
            error = OptionError(f"Its output {job.output.name} is one of the files that are read.", "Choose another name.")
            wrong.append(WrongRow(job.line, error))
        elif place in first:
            error = OptionError(f"Its output {job.output.name} is that of line {first[place]}, too.", "Choose another name.")
            wrong.append(WrongRow(job.line, error))
        first.setdefault(place, job.line)
    return wrong


def _place(path: Path) -> str:
    """The same for all names of a file."""
    try:
        return os.path.normcase(os.path.realpath(path))
    except (OSError, ValueError):  # a NUL in it: whoever uses the path says so
        return str(path)
