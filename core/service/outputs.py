"""The private folder of videos and uploads: names that cannot be guessed, a limit of bytes, and a sweeper for what is old.

The folder is the page's own, a child of `Settings.output_dir`: everything in it that is older than the time to live is removed, so
it must never be a folder in which people keep files. It may vanish at any time: it is made again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError, EncodingError, OutputError, disk_error
from core.optimization.shared_folder import SharedFolder
from core.service.job_inputs import UNRECORDED_S
from core.service.leases import Lease, remove_unleased, unleased
from core.service.owned_folders import UPLOAD, folder_name
from core.settings import Settings

logger = logging.getLogger(__name__)

VIDEO_NAME = "talking-head.mp4"
"""What a downloaded video is called; the folder above it is what nobody can guess."""
THUMBNAIL_NAME = "thumbnail.jpg"
PREVIEW_NAME = "preview.mp4"
"""The first seconds of a video that is being made, beside where it will be."""
INPUTS = "inputs"
"""Folder of what unended jobs were given (job_inputs.py), which is not ours to sweep."""
_NAME_BYTES = 24
_VIDEO_FOLDER = re.compile(rf"[0-9a-f]{{{2 * _NAME_BYTES}}}")
_UPLOAD_FOLDER = re.compile(rf"{UPLOAD}[0-9a-f]{{{2 * _NAME_BYTES}}}")
_HINT = "Name another folder with TALKING_HEAD_OUTPUT_DIR."
_LONGEST_PAUSE_S = 300.0
_NO_LIMIT = 2**63


@dataclass(frozen=True)
class KeptUpload:
    """One upload's folder. used_s: when it was last used, Unix time."""

    folder: Path
    nbytes: int
    used_s: float


class OutputFolder:
    """A page's files. `root` holds one folder per video (and per upload). Safe with threads and other processes.

    root: made by `prepare`, readable by this user only. ttl_s: seconds a file is kept. limit_bytes: of all videos together; the oldest go
    first. All methods that write raise OutputError where the folder cannot be used, DiskFull where there is no room.
    """

    def __init__(self, root: Path, ttl_s: float, limit_bytes: int = _NO_LIMIT) -> None:
        self.root = Path(os.path.abspath(root))  # as Gradio writes the paths of what it serves
        self.ttl_s = ttl_s
        self.limit_bytes = limit_bytes
        self.shared: SharedFolder | None = None
        """Where the videos of ended jobs are kept for all machines; None where there is but one."""
        self._looked_s = time.monotonic()

    def prepare(self) -> None:
        """Makes the folder, private. Raises OutputError where it cannot be made, or another user could put files in its place."""
        try:
            for folder in (self.root.parent, self.root):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.root.stat().st_mode & 0o777 != 0o700:
                self.root.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from error
        for folder in (self.root.parent, self.root):
            if not _is_ours(folder):
                raise OutputError(f"The folder for videos, {folder}, belongs to another user.", _HINT)

    def check(self) -> None:
        """Raises OutputError or DiskFull where no video could be put here now, by trying."""
        trial = self.new_folder("trial-")
        try:
            (trial / "data").write_bytes(b"x" * 65_536)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            shutil.rmtree(trial, ignore_errors=True)

    def new_video(self, owner: str) -> Path:
        """A path for one video, in a folder of its own whose name cannot be guessed, and says whose it is (owned_folders.py)."""
        return self._owned_folder(owner) / VIDEO_NAME

    def new_file(self, name: str, data: bytes, owner: str) -> Path:
        """Writes `data` where a video would lie, under a name of its own."""
        return self._written(self._owned_folder(owner) / name, data)

    def new_upload(self, name: str, data: bytes, owner: str) -> Path:
        """Writes `data` where an upload of its owner would lie."""
        return self._written(self._owned_folder(owner, UPLOAD) / name, data)

    def put_beside(self, upload: Path, name: str, data: bytes) -> Path:
        """Writes `data` into the folder of an upload, which it goes with."""
        beside = upload.with_name(name)
        try:
            beside.write_bytes(data)
        except OSError as error:
            raise self._unusable(error) from error
        return beside

    def _written(self, path: Path, data: bytes) -> Path:
        try:
            path.write_bytes(data)
        except OSError as error:
            self.discard(path)
            raise self._unusable(error) from error
        return path

    def adopt(self, path: Path, name: str, owner: str) -> Path:
        """Moves a file that was just put below `root` into a folder of its owner, under `name`."""
        own = self._owned_folder(owner, UPLOAD) / name
        try:
            path.rename(own)
        except OSError as error:
            self.discard(own)
            raise self._unusable(error) from error
        return own

    def uploads(self) -> list[KeptUpload]:
        """Of all owners; what is removed meanwhile is left out."""
        found = []
        try:
            folders = [folder for folder in self.root.iterdir() if _UPLOAD_FOLDER.fullmatch(folder.name)]
        except OSError:
            return []
        for folder in folders:
            with contextlib.suppress(OSError):
                nbytes = sum(path.lstat().st_size for path in folder.iterdir())
                found.append(KeptUpload(folder, nbytes, folder.stat().st_mtime))
        return found

    @contextlib.contextmanager
    def using(self, *files: Path | None) -> Iterator[None]:
        """Leases, until the block ends, of those files that lie here; they count as used now. One that is gone is passed over."""
        with contextlib.ExitStack() as leases:
            for file in files:
                if file is not None and file.parent.parent == self.root:
                    with contextlib.suppress(OSError):
                        leases.enter_context(Lease(file.parent))
                        os.utime(file.parent)
            yield

    def new_folder(self, prefix: str) -> Path:
        """An empty private folder whose name cannot be guessed, and under which nobody is served."""
        return self._made(f"{prefix}{secrets.token_hex(_NAME_BYTES)}")

    def _owned_folder(self, owner: str, prefix: str = "") -> Path:
        return self._made(folder_name(owner, prefix))

    def _made(self, name: str) -> Path:
        folder = self.root / name
        try:
            try:
                folder.mkdir(mode=0o700)
            except FileNotFoundError:  # the folder vanished while the service ran
                self.prepare()
                folder.mkdir(mode=0o700)
        except OSError as error:
            raise self._unusable(error) from error
        return folder

    def lease(self, file: Path) -> Lease:
        """Until it is closed, `trim` and `sweep` of no process remove the file, which is being made or sent.

        Raises FileNotFoundError where its folder is gone.
        """
        return Lease(file.parent)

    def renew(self, video: Path) -> None:
        """A video that counts as made now: `trim` and `sweep` leave it longer. One that is gone is passed over."""
        with contextlib.suppress(OSError):
            for path in (*video.parent.iterdir(), video.parent):
                os.utime(path)

    def share(self, video: Path) -> None:
        """Puts a finished video, and what belongs to it, where all machines find it. Raises BusyError where the store is away."""
        if self.shared is None:
            return
        self.thumbnail(video)
        for path in sorted(video.parent.iterdir()):
            if path.is_file() and not path.name.startswith(".") and path.name != PREVIEW_NAME:
                self.shared.push(f"{video.parent.name}/{path.name}", path)

    def bring(self, path: Path) -> bool:
        """Whether a file of a finished video is here now; another machine's is fetched. Raises BusyError where the store is away,
        OutputError.
        """
        if path.is_file():
            return True
        if self.shared is None or not _VIDEO_FOLDER.fullmatch(path.parent.name):
            return False
        try:
            with self._held(path.parent):
                here = self.shared.fetch(f"{path.parent.name}/{path.name}", path)
        except OSError as error:
            raise self._unusable(error) from error
        self.trim()
        return here

    @contextlib.contextmanager
    def _held(self, folder: Path) -> Iterator[None]:
        """The folder is there, and no process makes room with it until the block ends; left empty, it goes."""
        while True:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                lease = Lease(folder)
                break
            except FileNotFoundError:  # another process made room with it in this moment
                continue
        with lease:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def may_be_had(self, video: Path) -> bool:
        """Whether a finished video is here, or can be where it is looked for in the shared store."""
        return self.shared is not None or video.is_file()

    def forget(self, video: Path) -> None:
        """Removes a finished video on all machines; what others have fetched goes there when its time has come. Raises BusyError where the
        shared store is away.
        """
        if self.shared is not None:
            self.shared.drop(video.parent.name)
        self.discard(video)

    def forget_all_but(self, videos: Collection[Path]) -> None:
        """Removes from the shared store what is of none of the videos and old: its job was never accepted, or not recorded as done.

        Looks at times only. Raises BusyError where the store is away.
        """
        if self.shared is not None and time.monotonic() - self._looked_s > UNRECORDED_S:
            self._looked_s = time.monotonic()
            self.shared.drop_unknown({video.parent.name for video in videos}, UNRECORDED_S)

    def thumbnail(self, video: Path) -> Path | None:
        """A small JPEG of the first picture of a video, beside it; None where it cannot be made."""
        path = video.parent / THUMBNAIL_NAME
        if path.is_file():
            return path
        if self.shared is not None and not video.is_file():
            with contextlib.suppress(BusyError, OutputError):
                return path if self.bring(path) else None
            return None
        from core.media.thumbnails import first_picture

        try:
            about = video.parent.stat()
            part = video.parent / f".{secrets.token_hex(8)}.part"
            part.write_bytes(first_picture(video))
            os.replace(part, path)
            os.utime(video.parent, ns=(about.st_atime_ns, about.st_mtime_ns))  # the video is as old as before
        except (OSError, EncodingError):
            return None
        return path

    def discard(self, video: Path) -> None:
        """Removes a video (from `new_video`) that nobody will fetch, and its folder."""
        shutil.rmtree(video.parent, ignore_errors=True)

    def trim(self) -> list[Path]:
        """Removes videos, the oldest first, until all take `limit_bytes` at most; returns the folders that went.

        The newest stays, and so does what somebody holds a lease of.
        """
        made = sorted(self._videos())
        total = sum(nbytes for _, _, nbytes in made)
        gone = []
        for _, folder, nbytes in made[:-1]:
            if total <= self.limit_bytes:
                break
            if remove_unleased(folder):
                total -= nbytes
                gone.append(folder)
        if gone:
            logger.info("%d videos made room for newer ones", len(gone))
        return gone

    def nbytes(self) -> int:
        """Of all videos."""
        return sum(nbytes for _, _, nbytes in self._videos())

    def _videos(self) -> Iterator[tuple[float, Path, int]]:
        """When it was made (Unix time), its folder, its bytes; of all folders of videos with something in them."""
        try:
            folders = [folder for folder in self.root.iterdir() if _VIDEO_FOLDER.fullmatch(folder.name)]
        except OSError:
            return
        for folder in folders:
            with contextlib.suppress(OSError):  # it was removed just now
                nbytes = sum(path.lstat().st_size for path in folder.iterdir())
                if nbytes:
                    yield folder.stat().st_mtime, folder, nbytes

    def sweep(self, now_s: float | None = None) -> int:
        """Removes files older than `ttl_s` and folders left empty as long; returns how many files went. `now_s`: Unix time."""
        horizon_s = (time.time() if now_s is None else now_s) - self.ttl_s
        removed = 0
        for child in self.root.iterdir() if self.root.is_dir() else ():
            if child.is_symlink() or not child.is_dir():
                removed += _remove_if_older(child, horizon_s)
            elif child.name != INPUTS:
                with unleased(child) as free:
                    if free:
                        removed += _sweep_folder(child, horizon_s)
        return removed

    def _unusable(self, error: OSError) -> OutputError:
        return disk_error(error, f"The folder for videos, {self.root}, cannot be used", _HINT)


def _sweep_folder(root: Path, horizon_s: float) -> int:
    removed = 0
    for folder, subfolders, files in os.walk(root, topdown=False):
        for name in files:
            removed += _remove_if_older(Path(folder, name), horizon_s)
        for name in subfolders:
            _remove_if_older(Path(folder, name), horizon_s)
    _remove_if_older(root, horizon_s)
    return removed


class Sweeper:
    """A thread that sweeps a folder from time to time, from `start` to `stop`."""

    def __init__(self, outputs: OutputFolder) -> None:
        self._outputs = outputs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause_s = min(self._outputs.ttl_s / 4, _LONGEST_PAUSE_S)
        while True:
            try:
                self._outputs.sweep()
            except OSError:  # the next round may do better; the page goes on
                logger.exception("could not remove old files")
            if self._stop.wait(pause_s):
                return


def service_outputs(settings: Settings) -> OutputFolder:
    """The folder of pages and server, not yet made."""
    return OutputFolder(settings.output_dir / "videos", settings.output_ttl_s, settings.output_bytes)


def _is_ours(folder: Path) -> bool:
    """True for a folder (or a link to one) made by us or by root: another user's could be exchanged behind our back."""
    return not hasattr(os, "getuid") or folder.lstat().st_uid in (os.getuid(), 0)


def _remove_if_older(path: Path, horizon_s: float) -> bool:
    """Removes a file, a link or an empty folder that came here before `horizon_s`.

    The change time counts as well: a copied file may keep an old modification time.
    """
    try:
        about = path.lstat()
        if max(about.st_mtime, about.st_ctime) > horizon_s:
            return False
        if stat.S_ISDIR(about.st_mode):
            path.rmdir()
        else:
            path.unlink()
    except OSError:  # gone already, or a folder that is not empty
        return False
    return True
