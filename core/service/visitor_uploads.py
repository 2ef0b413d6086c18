"""What visitors upload through a page: received within bounds for each visitor and address, and kept until there is newer.

    with uploads.receiving(visitor, address) as arrival:
        arrival.begin(content_type)
        for chunk in chunks: arrival.write(chunk)
        paths = arrival.finish()

A file lies alone in a folder of its visitor (owned_folders.py). What is refused, or breaks off, leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from core.errors import disk_error
from core.service.errors import TooLarge, TooMany
from core.service.leases import remove_unleased
from core.service.outputs import KeptUpload, OutputFolder
from core.service.owned_folders import belongs, known_again
from core.service.quotas import ConcurrencyLimit, RateLimit, SharedRates
from core.service.uploads import FormReader
from core.settings import Settings

PART = "files"
"""What Gradio's clients call each file of a form."""
FILES_AT_ONCE = 8
"""Of one form."""
FORM_BYTES = 2**16
"""What a form takes beside its files."""
MAX_FILES = 200
"""Kept for one visitor."""
ADDRESS_SHARE = 4
"""An address, behind which there may be many visitors, has so many times what one of them has."""
ALL_SHARE = 4
"""All addresses together have so many times the bytes of one."""
_WAIT_S = 60.0


class VisitorUploads:
    """Of one process; the bytes of a visitor, and of all, are those of every process that shares `outputs`. Thread-safe."""

    def __init__(self, outputs: OutputFolder, settings: Settings, shared: SharedRates | None = None) -> None:
        each, of_address = settings.owner_uploads_at_once, max(settings.owner_uploads_at_once, settings.uploads_at_once * 3 // 4)
        self._outputs, self._settings = outputs, settings
        self._visitor_rate = RateLimit(settings.uploads_per_minute, "uploads", shared)
        self._address_rate = RateLimit(settings.uploads_per_minute * ADDRESS_SHARE, "uploads from one address", shared)
        self._visitor_places = ConcurrencyLimit(settings.uploads_at_once, each, "uploads")
        self._address_places = ConcurrencyLimit(settings.uploads_at_once, of_address, "uploads")
        self._visitor_bytes = settings.owner_uploads_bytes
        self._address_of: dict[str, str] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def receiving(self, visitor: str, address: str) -> Iterator[Arrival]:
        """Room for one form until the block ends. visitor: an owner; a session, which ends, counts by its address. Raises TooMany."""
        visitor = known_again(visitor)
        known = visitor or f"address:{address}"
        with self._address_places.slot(address), self._visitor_places.slot(known):
            self._visitor_rate.take(known)
            self._address_rate.take(address)
            arrival = Arrival(
                self._outputs, self._settings, visitor, self._visitor_bytes, lambda paths: self._make_room(paths, visitor, address)
            )
            try:
                yield arrival
            finally:
                arrival.close()

    def _make_room(self, new: list[Path], visitor: str, address: str) -> None:
        """Removes what was unused longest, until each bound holds with the new files. Raises TooMany where what is in use is too much."""
        folders = {path.parent for path in new}
        with self._lock:
            self._address_of.update({folder.name: address for folder in folders})
            kept = sorted(self._outputs.uploads(), key=lambda each: each.used_s)
            present = {each.folder.name for each in kept}
            self._address_of = {name: known for name, known in self._address_of.items() if name in present}
            bounds: list[tuple[Callable[[KeptUpload], bool], int]] = [
                (lambda each: self._address_of.get(each.folder.name) == address, ADDRESS_SHARE),
                (lambda each: True, ADDRESS_SHARE * ALL_SHARE),
            ]
            if visitor:
                bounds.insert(0, (lambda each: belongs(each.folder / "x", self._outputs.root, visitor), 1))
            gone: set[Path] = set()
            for counts, share in bounds:
                max_files, max_bytes = MAX_FILES * share, self._visitor_bytes * share
                counted = [each for each in kept if counts(each) and each.folder not in gone]
                n_files, nbytes = len(counted), sum(each.nbytes for each in counted)
                for each in counted:
                    if n_files <= max_files and nbytes <= max_bytes:
                        break
                    if each.folder not in folders and remove_unleased(each.folder):
                        gone.add(each.folder)
                        n_files, nbytes = n_files - 1, nbytes - each.nbytes
                if n_files > max_files or nbytes > max_bytes:
                    raise TooMany(
                        f"More than {max_bytes // 2**20} MiB of uploads are in use.", "Wait until a video that uses them is done.", _WAIT_S,
                        code="uploads_in_use", parameters={"mib": max_bytes // 2**20},
                    )  # fmt: skip


class Arrival:
    """One form while it arrives. Each method raises Malformed, WrongKind, TooLarge, DiskFull or OutputError as soon as it is known."""

    def __init__(
        self, outputs: OutputFolder, settings: Settings, visitor: str, max_bytes: int, make_room: Callable[[list[Path]], None]
    ) -> None:
        self._outputs, self._settings, self._visitor, self._max_bytes, self._make_room = outputs, settings, visitor, max_bytes, make_room
        self._nbytes = 0
        self._folder: Path | None = None
        self._reader: FormReader | None = None

    def begin(self, content_type: str) -> None:
        self._folder = self._outputs.new_folder("arriving-")
        self._reader = FormReader(content_type, {PART: "media"}, self._folder, self._settings, max_files=FILES_AT_ONCE)

    @property
    def file_name(self) -> str:
        """Of the file that arrives now, as its client calls it."""
        return self._reader.current_name if self._reader is not None else ""

    def write(self, data: bytes) -> None:
        assert self._reader is not None  # noqa: S101 - `begin` comes first
        self._nbytes += len(data)
        if self._nbytes > self._max_bytes + FORM_BYTES:
            raise TooLarge(f"The request has more than {self._max_bytes / 2**20:.4g} MiB.", "Send one file at a time.")
        self._reader.write(data)

    def finish(self) -> list[Path]:
        """The files where they are kept, in the order they came. Raises TooMany as well. Looks through a folder: not for an event loop."""
        assert self._reader is not None  # noqa: S101 - `begin` comes first
        kept: list[Path] = []
        try:
            for file in self._reader.finish().files:
                kept.append(self._outputs.adopt(file.path, file.client_name or "upload", self._visitor))
            self._make_room(kept)
        except BaseException as error:
            for path in kept:
                self._outputs.discard(path)
            if isinstance(error, OSError):
                raise disk_error(error, "What was sent cannot be kept", "The folder for videos must be there, and writable.") from error
            raise
        return kept

    def close(self) -> None:
        """To be called however it went; nothing of what was not finished stays."""
        if self._reader is not None:
            self._reader.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
