"""Lists, downloads, verifies and removes the checkpoints of one folder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import EngineUnavailable
from manager import hub as hub_access
from manager import trt
from manager.catalogue import DEFAULT_FORMAT, Catalogue, CatalogueFile, Checkpoints, load_catalogue
from manager.errors import CorruptFileError, DiskFullError, DownloadError, FolderError, HubError
from manager.folder import FOLDER_VARIABLE, Folder, chosen_folder, digest, still_as_recorded
from manager.hub import Hub, RemoteFile, check_announced
from manager.progress import DownloadCallback, Meter, human_bytes

SPARE_BYTES = 64 * 2**20
"""Left free on the disk beside the checkpoints."""

State = Literal["present", "cached", "partial", "damaged", "absent"]
Verdict = Literal["verified", "size only", "unchecked", "damaged", "absent"]


@dataclass(frozen=True)
class FileStatus:
    """The state of one file in the folder, by its size (nothing is hashed). path: of the file, present or not; size_bytes: found there."""

    file: CatalogueFile
    state: State
    path: Path
    size_bytes: int


@dataclass(frozen=True)
class FileVerdict:
    """The result of hashing one file: "size only" where its digest is unknown, "unchecked" where its size is unknown too."""

    file: CatalogueFile
    verdict: Verdict
    path: Path
    reason: str = ""


class Store:
    """The checkpoints in one folder (default: `chosen_folder`). Making the object does nothing."""

    def __init__(self, folder: Path | str | None = None, catalogue: Catalogue | None = None, endpoint: str | None = None) -> None:
        self.catalogue = load_catalogue() if catalogue is None else catalogue
        path, chosen = chosen_folder() if folder is None else (Path(folder).expanduser().absolute(), True)
        self.folder = Folder(path, chosen=chosen)
        self._endpoint = endpoint
        self.waits_s = hub_access.RETRY_WAITS_S

    # ---- see

    def status(self, format: str) -> tuple[FileStatus, ...]:
        """All files of a format, extras included, as they lie here. Makes nothing, fetches nothing."""
        if self.folder.exists:
            self.folder.check()
        return tuple(self._status(file) for file in self.catalogue.files(format, self._all_extras(format)))

    def locate(self, format: str = DEFAULT_FORMAT, extras: Iterable[str] = ()) -> Checkpoints:
        """The paths of the files, without network or hashing. Raises DownloadError where one is missing or has the wrong size."""
        files = self.catalogue.files(format, extras)
        if self.folder.exists:
            self.folder.check()
        found = [self._status(file) for file in files]
        if missing := [status.file for status in found if status.state not in ("present", "cached")]:
            raise DownloadError(
                f"{_names(missing)} of the {format} checkpoints {'is' if len(missing) == 1 else 'are'} not in {self.folder.path}.",
                f"Run: python model_manager.py download --format {format}",
            )
        return Checkpoints(format, self.catalogue.revision, {status.file.role: status.path for status in found})

    def _status(self, file: CatalogueFile) -> FileStatus:
        path = self.folder.file(file.path)
        size = self.folder.size(file.path)
        if size is not None and (size == file.size_bytes or (file.size_bytes is None and size)):
            return FileStatus(file, "present", path, size)
        if (cached := self._cached(file)) is not None:
            return FileStatus(file, "cached", cached, cached.stat().st_size)
        if size is not None:
            return FileStatus(file, "damaged", path, size)
        partial = self.folder.partial(file.path, self.catalogue.revision)
        if partial.is_file():
            return FileStatus(file, "partial", path, partial.stat().st_size)
        return FileStatus(file, "absent", path, 0)

    def _cached(self, file: CatalogueFile) -> Path | None:
        """The file in the Hub's own cache, as far as its size is right."""
        with contextlib.suppress(OSError, DownloadError):  # no huggingface_hub: no cache of its
            cached = hub_access.cached_file(self.catalogue.repo, file.path, self.catalogue.revision)
            if cached is not None and (size := cached.stat().st_size) and file.size_bytes in (None, size):
                return cached
        return None

    def _all_extras(self, format: str) -> set[str]:
        return self.catalogue.extras(format) if format in self.catalogue.formats else set()

    # ---- ensure

    def ensure(
        self,
        format: str = DEFAULT_FORMAT,
        progress: DownloadCallback | None = None,
        *,
        extras: Iterable[str] = (),
        cancel: threading.Event | None = None,
    ) -> Checkpoints:
        """Returns verified files, fetching what is missing or damaged. Nothing is asked of the network when all is there.

        Raises EngineUnavailable (TensorRT engines that cannot run here), OptionError (no such format), HubError, CorruptFileError,
        DiskFullError, FolderError, Cancelled.
        """
        files = self.catalogue.files(format, extras)
        if format == "trt" and (obstacle := trt.obstacle()) is not None:
            raise EngineUnavailable(f"The TensorRT checkpoints cannot run here: {obstacle}.", "Use --format pytorch or onnx.")
        if self.folder.exists:
            self.folder.check()
            records = self.folder.records()
            settled = {file.role: path for file in files if (path := self._settled(file, records)) is not None}
            if len(settled) == len(files):
                Meter(progress).stage("done")
                return Checkpoints(format, self.catalogue.revision, settled)
        self.folder.open()
        meter = Meter(progress)
        with self.folder.lock(cancel, lambda: meter.stage("waiting")):
            paths = self._complete(files, meter, cancel)
        meter.stage("done")
        return Checkpoints(format, self.catalogue.revision, paths)

    def _settled(self, file: CatalogueFile, records: dict[str, dict[str, object]]) -> Path | None:
        """The file's path where it was verified before and has not changed since."""
        path = self.folder.file(file.path)
        if self.folder.size(file.path) is not None:
            return path if still_as_recorded(records.get(file.path), path, self.catalogue.revision, file.sha256) else None
        cached = self._cached(file) if records.get(f"cache:{file.path}") else None
        if cached and still_as_recorded(records.get(f"cache:{file.path}"), cached, self.catalogue.revision, file.sha256):
            return cached
        return None

    def _complete(self, files: tuple[CatalogueFile, ...], meter: Meter, cancel: threading.Event | None) -> dict[str, Path]:
        hub = Hub(self.catalogue.repo, self.catalogue.revision, self._endpoint, self.waits_s)
        records = self.folder.records()
        paths: dict[str, Path] = {}
        missing: list[CatalogueFile] = []
        for file in files:
            path = self._settled(file, records) or self._adopt(file, hub, meter, cancel)
            if path is None:
                missing.append(file)
            else:
                paths[file.role] = path
        if not missing:
            return paths
        if not self.folder.writable:
            raise FolderError(
                f"{_names(missing)} cannot be put into {self.folder.path}: it cannot be written to.",
                f"Set {FOLDER_VARIABLE} to a folder of your own.",
            )
        if hub_access.offline():
            raise HubError(
                f"{_names(missing)} cannot be fetched into {self.folder.path}: HF_HUB_OFFLINE is set.",
                "Unset it once, or put the files there as they lie in the repository.",
            )
        plan = [(file, self._announced(file, hub, cancel)) for file in missing]
        self._check_room(plan)
        total = sum(remote.size_bytes for _, remote in plan)
        meter.start(len(plan), sum(self._arrived_before(file, remote) for file, remote in plan), total)
        for file, remote in plan:
            meter.file = file.path
            meter.tell()
            paths[file.role] = self._fetch(file, remote, hub, meter, cancel)
            meter.files_done += 1
            meter.tell()
        return paths

    def _adopt(self, file: CatalogueFile, hub: Hub, meter: Meter, cancel: threading.Event | None) -> Path | None:
        """A file that lies here or in the Hub's cache and was not verified yet; None where it is missing or not the published one."""
        status = self._status(file)
        if status.state not in ("present", "cached"):
            return None
        meter.stage("checking", file.path)
        cached = status.state == "cached"
        algorithm, expected = self._expected(file, hub, status.path if cached else None, cancel)
        if not expected:
            return status.path  # nobody can say more; asked again next time
        if digest(status.path, algorithm, cancel) != expected:
            self.folder.distrust(file.path)
            return None
        key = f"cache:{file.path}" if cached else file.path
        self.folder.record(key, status.path, self.catalogue.revision, algorithm, expected)
        return status.path

    def _expected(self, file: CatalogueFile, hub: Hub, cached: Path | None, cancel: threading.Event | None) -> tuple[str, str]:
        """The digest a file should have: from the catalogue, the Hub's cache, an earlier download, or the Hub; ("", "") if nobody says."""
        if file.sha256 is not None:
            return "sha256", file.sha256
        if cached is not None and (told := hub_access.cached_digest(cached)) is not None:
            return "sha256", told
        record = self.folder.records().get(file.path, {})
        if record.get("revision") == self.catalogue.revision:
            return str(record["algorithm"]), str(record["digest"])
        if not hub_access.offline():
            with contextlib.suppress(HubError):
                remote = hub.describe(file.path, cancel)
                check_announced(file, remote, hub.host)
                return remote.algorithm, remote.digest
        return "", ""

    @staticmethod
    def _announced(file: CatalogueFile, hub: Hub, cancel: threading.Event | None) -> RemoteFile:
        remote = hub.describe(file.path, cancel)
        check_announced(file, remote, hub.host)
        return RemoteFile(remote.size_bytes, "sha256", file.sha256) if file.sha256 is not None else remote

    def _arrived_before(self, file: CatalogueFile, remote: RemoteFile) -> int:
        partial = self.folder.partial(file.path, self.catalogue.revision)
        return min(partial.stat().st_size, remote.size_bytes) if partial.is_file() else 0

    def _check_room(self, plan: list[tuple[CatalogueFile, RemoteFile]]) -> None:
        needed = sum(remote.size_bytes - self._arrived_before(file, remote) for file, remote in plan) + SPARE_BYTES
        if (free := self.folder.free_bytes()) < needed:
            raise DiskFullError(
                f"{self.folder.path} has {human_bytes(free)} free, the checkpoints need {human_bytes(needed)}.",
                f"Free some, or set {FOLDER_VARIABLE} to a folder on another disk.",
            )

    def _fetch(self, file: CatalogueFile, remote: RemoteFile, hub: Hub, meter: Meter, cancel: threading.Event | None) -> Path:
        """Downloads one file and verifies it; a file that is not what it should be is fetched once more from its beginning."""
        partial = self.folder.partial(file.path, self.catalogue.revision)
        problem = ""
        for _ in range(2):
            try:
                hub.fetch(file.path, remote.size_bytes, partial, meter.arrived, cancel)
            except CorruptFileError as error:
                problem = error.message
            else:
                found = digest(partial, remote.algorithm, cancel) if remote.algorithm else ""
                if found == remote.digest:
                    path = self.folder.move_in(partial, file.path)
                    self.folder.record(file.path, path, self.catalogue.revision, remote.algorithm, remote.digest)
                    return path
                problem = f"{file.path} has the {remote.algorithm} digest {found[:16]}…, it should be {remote.digest[:16]}…"
            meter.arrived(-partial.stat().st_size)
            partial.unlink()
        hint = f"{hub.host}, or something on the way to it, changes the file: check HF_ENDPOINT and any proxy."
        raise CorruptFileError(f"{problem.rstrip('.')}, twice.", hint)

    # ---- verify, remove

    def verify(
        self,
        format: str = DEFAULT_FORMAT,
        progress: DownloadCallback | None = None,
        *,
        extras: Iterable[str] | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[FileVerdict, ...]:
        """Hashes every file of a format again. What is found damaged is fetched again by the next `ensure`.

        extras: also these, which then must be there; None: those that are there.
        """
        wanted = self.catalogue.files(format, self._all_extras(format) if extras is None else extras)
        if not self.folder.exists:
            return tuple(self._verdict(file, None, Meter(progress), cancel) for file in wanted if extras is not None or not file.extra)
        self.folder.check()
        verdicts = []
        with self.folder.lock(cancel):
            hub = Hub(self.catalogue.repo, self.catalogue.revision, self._endpoint, self.waits_s)
            for file in wanted:
                verdict = self._verdict(file, hub, Meter(progress), cancel)
                if not (extras is None and file.extra and verdict.verdict == "absent"):
                    verdicts.append(verdict)
                if verdict.verdict == "damaged":
                    self.folder.distrust(file.path, f"cache:{file.path}")
        return tuple(verdicts)

    def _verdict(self, file: CatalogueFile, hub: Hub | None, meter: Meter, cancel: threading.Event | None) -> FileVerdict:
        status = self._status(file)
        if status.state in ("absent", "partial"):
            return FileVerdict(file, "absent", status.path)
        if status.state == "damaged":
            return FileVerdict(file, "damaged", status.path, f"{status.size_bytes} bytes, {file.size_bytes} were published")
        meter.stage("checking", file.path)
        cached = status.path if status.state == "cached" else None
        hub = hub or Hub(self.catalogue.repo, self.catalogue.revision, self._endpoint, self.waits_s)
        algorithm, expected = self._expected(file, hub, cached, cancel)
        if not expected:
            return FileVerdict(file, "unchecked" if file.size_bytes is None else "size only", status.path, "nobody could say its digest")
        if digest(status.path, algorithm, cancel) != expected:
            return FileVerdict(file, "damaged", status.path, "its digest is not the published one")
        return FileVerdict(file, "verified", status.path)

    def remove(self, format: str | None = None, cancel: threading.Event | None = None) -> tuple[tuple[Path, ...], int]:
        """Deletes the files of a format (None: of all) that no other format here uses; returns their paths and the bytes freed.

        Only files of the catalogue, their unfinished parts and converted copies are touched; never the Hub's own cache, nor anything else
        in the folder.
        """
        formats = list(self.catalogue.formats) if format is None else [format]
        doomed = {file.path for name in formats for file in self.catalogue.files(name, self._all_extras(name))}
        if not self.folder.exists:
            return (), 0
        self.folder.check()
        removed, freed = [], 0
        with self.folder.lock(cancel):
            for relative in sorted(doomed - self._used_by_others(formats)):
                for path in (self.folder.file(relative), *self.folder.partials(relative), *_converted(self.folder.file(relative))):
                    if path.is_symlink() or not path.is_file():
                        continue
                    freed += path.stat().st_size
                    try:
                        path.unlink()
                    except OSError as error:
                        raise FolderError(f"{path} cannot be removed: {error.strerror}.") from error
                    removed.append(path)
                self._remove_empty(self.folder.file(relative).parent)
            self.folder.forget(*doomed, *(f"cache:{relative}" for relative in doomed))
            self._remove_empty(self.folder.path / ".partial")
        return tuple(removed), freed

    def _used_by_others(self, formats: list[str]) -> set[str]:
        """Files that a format, which is here beyond what it shares, needs as well."""
        used: set[str] = set()
        mine = {file.path for name in formats for file in self.catalogue.formats[name]}
        for name, files in self.catalogue.formats.items():
            paths = {file.path for file in files}
            if name not in formats and any(self.folder.size(path) is not None for path in paths - mine):
                used |= paths
        return used

    def _remove_empty(self, path: Path) -> None:
        while path != self.folder.path and self.folder.path in path.parents:
            try:
                path.rmdir()
            except OSError:  # not empty, or gone
                return
            path = path.parent


def _names(files: list[CatalogueFile]) -> str:
    names = [file.path.rpartition("/")[2] for file in files]
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _converted(path: Path) -> list[Path]:
    """Copies of an ONNX file at another opset, which the engine puts beside it (`core/models/onnx_files.py`)."""
    return sorted(path.parent.glob(f"{path.stem}_opset[0-9]*.onnx")) if path.suffix == ".onnx" else []
