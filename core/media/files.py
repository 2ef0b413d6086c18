"""Reads an uploaded file, which must be a regular file of a limited size."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError


@dataclass(frozen=True)
class FileKind:
    """noun: what such a file is called ("photo"). supported: its formats. too_large: what to do about one. error: the class to raise."""

    noun: str
    supported: str
    too_large: str
    error: type[InputError]

    def read(self, path: Path, max_bytes: int) -> bytes:
        """Its bytes. Raises `error` for what is no regular file, cannot be read, is empty, or is larger than max_bytes."""
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise self.error(f"{path} is a folder.", f"Give the {self.noun} itself.")
            if not stat.S_ISREG(status.st_mode):  # a device or a pipe might never end
                raise self.error(f"{path} is not a regular file.", f"Give a {self.noun}: {self.supported}.")
            self.check_bytes(status.st_size, path.name, max_bytes)
            return path.read_bytes()
        except FileNotFoundError as error:
            raise self.error(f"The {self.noun} {path} does not exist.", "Check the path.") from error
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
            reason = getattr(error, "strerror", None) or error
            raise self.error(f"The {self.noun} {path} cannot be read ({reason}).", "Check the path.") from error

    def check_bytes(self, size: int, name: str, max_bytes: int) -> None:
        """Raises `error` for nothing, or too much."""
        if size == 0:
            hint = f"Give a {self.noun}: {self.supported}."
            raise self.error(f"{name} is empty (0 bytes).", hint, code="file_empty", parameters={"name": name})
        if size > max_bytes:
            limit = f"At most {max_bytes / 2**20:.4g} MiB are accepted"
            raise self.error(
                f"{name} has {size / 2**20:.1f} MiB.",
                f"{limit}: {self.too_large}.",
                code="upload_too_large",
                parameters={"name": name, "limit": f"{max_bytes / 2**20:.4g} MiB"},
            )
