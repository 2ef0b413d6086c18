"""Writes files in one step, so that nothing half-written ever stands under its name, and reads what training keeps."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from core.errors import InputError, disk_error

MAX_JSON_BYTES = 256 * 2**20


class DataError(InputError):
    """Data, configuration or a run of training cannot be used as it stands."""


def make_folder(folder: Path) -> Path:
    """The folder, made where it is missing. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, f"The folder {folder} cannot be made", "Name another folder.") from error
    return folder


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file or folder to, which then takes its name; after an error nothing of it stays.

    A folder that is there already is replaced, and what a killed process left of the same goes. Raises OutputError where the disk is full
    or cannot be written.
    """
    make_folder(path.parent)
    part = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    old = path.parent / f".{path.name}.{secrets.token_hex(6)}.old"
    try:
        yield part
        for written in (part, *part.rglob("*")):
            if written.is_file():
                with written.open("rb") as file:
                    os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        if part.is_dir() and path.is_dir():
            os.replace(path, old)
        try:
            os.replace(part, path)
        except OSError:
            if old.exists():
                os.replace(old, path)  # what was there stays
            raise
    except OSError as error:
        raise disk_error(error, f"{path} cannot be written", "Choose a folder you may write to.") from error
    except SafetensorError as error:  # wraps the system's error in its words
        full = "No space left" in str(error)
        raise disk_error(OSError(28 if full else 5, str(error)), f"{path} cannot be written", "Choose another folder.") from error
    else:
        ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}\.(part|old)")
        for each in path.parent.iterdir():
            if ours.fullmatch(each.name):
                _remove(each)
    finally:
        _remove(part)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Raises OutputError."""
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Raises OutputError."""
    with in_one_step(path) as part:
        part.write_bytes(content)


def read_json(path: Path, what: str) -> Any:
    """what: of the file, for messages. Raises DataError where it is missing, too large or no JSON."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DataError(f"{what} {path} has more than {MAX_JSON_BYTES >> 20} MiB.", "Was another file meant?")
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"There is no {path}, {what.lower()}.", "Check the folder.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{what} {path} cannot be read ({error}).", "Make it again.") from error


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str] | None = None) -> None:
    """A safetensors file. Raises OutputError."""
    with in_one_step(path) as part:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part, dict(about or {}))


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a file. Raises DataError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).", "Check the path and its permissions.") from error
