"""The inputs of jobs: copies in a private folder of each job, named by the SHA-256 of their content, and what was decoded of them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BusyError, InputError, OutputError, disk_error
from core.optimization.shared_folder import SharedFolder
from core.request import Avatar
from core.types import Audio, Photo, Source

UNRECORDED_S = 600.0
"""Longer than it takes to record a job whose files were taken."""


@dataclass(frozen=True)
class InputFiles:
    """What `JobInputs.take` took. hashes: of each file by the name it was given under. nbytes: of all."""

    hashes: Mapping[str, str]
    nbytes: int


class JobInputs:
    """roots: give the private folders that may be used, the best first, and make them where needed; they raise OutputError or OSError where
    that cannot be done. shared: where other machines find them; None where there is but one. Thread-safe.
    """

    def __init__(self, roots: Sequence[Callable[[], Path]], shared: SharedFolder | None = None) -> None:
        self._roots, self._shared = roots, shared
        self._looked_s = time.monotonic()

    def take(self, job_id: str, files: Mapping[str, Path]) -> InputFiles:
        """Keeps the files for a job, as links where the disk is the same. Raises InputError for one that is gone, OutputError where no
        folder can be used, BusyError where the shared store is away. Nothing stays behind then.
        """
        taken = self._taken(job_id, files)
        try:
            if self._shared is not None:
                for sha256 in set(taken.hashes.values()):
                    self._shared.push(f"{job_id}/{sha256}", self.path(job_id, sha256))
        except BaseException:
            self._discard_here(job_id)
            raise
        return taken

    def _taken(self, job_id: str, files: Mapping[str, Path]) -> InputFiles:
        problem: OSError | OutputError = FileNotFoundError(errno.ENOENT, "no folder")
        for root in self._roots:
            try:
                return self._take(root() / job_id, files)
            except FileNotFoundError:
                missing = next((path for path in files.values() if not path.is_file()), None)
                if missing is not None:
                    raise InputError(
                        f"The file {missing.name} is gone.", "Choose it again.", code="upload_gone", parameters={"name": missing.name}
                    ) from None
                problem = FileNotFoundError(errno.ENOENT, "its folder vanished")
            except (OSError, OutputError) as error:
                problem = error
        if isinstance(problem, OutputError):
            raise problem
        raise disk_error(problem, "What was sent cannot be kept", "Make the folders for caches or videos usable.") from problem

    def path(self, job_id: str, sha256: str) -> Path:
        """Raises InputError where it is gone. Where it comes from the shared store: BusyError while that is away, OutputError where it
        cannot be written.
        """
        for root in self._roots:
            with contextlib.suppress(OSError, OutputError):
                path = root() / job_id / sha256
                if path.is_file():
                    return path
        if self._shared is not None and (fetched := self._fetched(self._shared, job_id, sha256)) is not None:
            return fetched
        raise InputError("What the job was given is gone.", "Send it again.", code="inputs_gone")

    def _fetched(self, shared: SharedFolder, job_id: str, sha256: str) -> Path | None:
        problem: OutputError | None = None
        for root in self._roots:
            try:
                path = root() / job_id / sha256
                return path if shared.fetch(f"{job_id}/{sha256}", path) else None
            except OutputError as error:
                problem = error
            except OSError as error:
                problem = disk_error(error, "What was sent cannot be kept", "Make the folders for caches or videos usable.")
        if problem is not None:
            raise problem
        return None

    def discard(self, job_id: str) -> None:
        """In the shared store not while that is away: `discard_all_but` makes up for it."""
        if self._shared is not None:
            with contextlib.suppress(BusyError):
                self._shared.drop(job_id)
        self._discard_here(job_id)

    def _discard_here(self, job_id: str) -> None:
        for root in self._roots:
            with contextlib.suppress(OSError, OutputError):
                shutil.rmtree(root() / job_id, ignore_errors=True)

    def discard_all_but(self, job_ids: set[str]) -> None:
        """Removes what belongs to none of the jobs and is old: a process was ended between taking files and recording their job.

        Raises BusyError where the shared store is away.
        """
        for root in self._roots:
            with contextlib.suppress(OSError, OutputError):
                for folder in root().iterdir():
                    if folder.name not in job_ids and time.time() - folder.stat().st_mtime > UNRECORDED_S:
                        shutil.rmtree(folder, ignore_errors=True)
        if self._shared is not None and time.monotonic() - self._looked_s > UNRECORDED_S:
            self._looked_s = time.monotonic()
            self._shared.drop_unknown(job_ids, UNRECORDED_S)

    @staticmethod
    def _take(folder: Path, files: Mapping[str, Path]) -> InputFiles:
        folder.mkdir(mode=0o700, exist_ok=True)
        hashes, nbytes = {}, 0
        try:
            for name, path in files.items():
                with path.open("rb") as data:
                    hashes[name] = hashlib.file_digest(data, "sha256").hexdigest()
                nbytes += path.stat().st_size
                _link(path, folder / hashes[name])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return InputFiles(hashes, nbytes)


def _link(source: Path, target: Path) -> None:
    """A link: what was uploaded is never changed, only removed. A copy where the disks differ, or know no links."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def held_bytes(*inputs: Source | Avatar | Audio | None) -> int:
    """What they take in memory: a video, which is decoded as it is needed, its file. An avatar takes nothing."""
    return sum(map(_held_bytes, inputs))


def _held_bytes(one: Source | Avatar | Audio | None) -> int:
    if one is None or isinstance(one, Avatar):
        return 0
    if isinstance(one, Audio):
        return one.samples.nbytes + len(one.original)
    return one.pixels.nbytes if isinstance(one, Photo) else len(one.data)


class DecodedInputs:
    """Inputs of waiting jobs as they were read when they were checked, within a bound of bytes. Thread-safe by the interpreter's lock."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[str, tuple[Any, int]] = {}

    def keep(self, job_id: str, decoded: Any, nbytes: int) -> None:
        if nbytes + sum(size for _, size in list(self._kept.values())) <= self._max_bytes:
            self._kept[job_id] = decoded, nbytes

    def take(self, job_id: str) -> Any | None:
        """Once; None where they are not kept."""
        decoded, _ = self._kept.pop(job_id, (None, 0))
        return decoded

    def forget_all_but(self, job_ids: set[str]) -> None:
        for job_id in set(self._kept) - job_ids:
            self.take(job_id)
