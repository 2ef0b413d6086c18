"""Where a page keeps its videos and uploads: a private folder, unguessable names, and a sweeper for what is old.

The folder is the page's own, a child of `Settings.output_dir`: everything in it that is older than the time to live is removed, so
it must never be a folder in which people keep files.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
import threading
import time
from pathlib import Path

from core.errors import OutputError
from core.settings import Settings

logger = logging.getLogger(__name__)

VIDEO_NAME = "talking-head.mp4"
"""What a downloaded video is called; the folder above it is what nobody can guess."""
_HINT = "Name another folder with TALKING_HEAD_OUTPUT_DIR."
_LONGEST_PAUSE_S = 300.0


class OutputFolder:
    """A page's files. `root` holds one folder per video (and per upload).

    root: made by `prepare`, readable by this user only. ttl_s: seconds a file is kept.
    """

    def __init__(self, root: Path, ttl_s: float) -> None:
        self.root = root.absolute()
        self.ttl_s = ttl_s

    def prepare(self) -> None:
        """Makes the folder, private. Raises OutputError where it cannot be made, or another user could put files in its place."""
        try:
            for folder in (self.root.parent, self.root):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise OutputError(f"The folder for videos, {self.root}, cannot be used: {error.strerror or error}.", _HINT) from error
        for folder in (self.root.parent, self.root):
            if not _is_ours(folder):
                raise OutputError(f"The folder for videos, {folder}, belongs to another user.", _HINT)

    def new_video(self) -> Path:
        """A path for one video, in a folder of its own whose name cannot be guessed (192 random bits)."""
        return self._new_folder() / VIDEO_NAME

    def new_file(self, name: str, data: bytes) -> Path:
        """Writes `data` where a video would lie, under a name of its own."""
        path = self._new_folder() / name
        path.write_bytes(data)
        return path

    def _new_folder(self) -> Path:
        folder = self.root / secrets.token_hex(24)
        folder.mkdir(mode=0o700)
        return folder

    def discard(self, video: Path) -> None:
        """Removes a video (from `new_video`) that nobody will fetch, and its folder."""
        shutil.rmtree(video.parent, ignore_errors=True)

    def sweep(self, now_s: float | None = None) -> int:
        """Removes files older than `ttl_s` and folders left empty as long; returns how many files went. `now_s`: Unix time."""
        horizon_s = (time.time() if now_s is None else now_s) - self.ttl_s
        removed = 0
        for folder, subfolders, files in os.walk(self.root, topdown=False):
            for name in files:
                removed += _remove_if_older(Path(folder, name), horizon_s)
            for name in subfolders:
                _remove_if_older(Path(folder, name), horizon_s)
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


def page_outputs(settings: Settings) -> OutputFolder:
    """The folder of the pages, not yet made."""
    return OutputFolder(settings.output_dir / "page", settings.output_ttl_s)


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
