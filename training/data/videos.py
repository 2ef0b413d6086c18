"""Makes the shards of one video: everything of `prepare` that is done in a process of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from core.errors import InputError
from core.media.source import load_clip
from core.settings import Settings, load_settings
from core.types import FPS
from training.data.clips import Limits, MadeClip, clips_of
from training.data.manifest import DroppedEntry, Options, Record, SourceEntry, write_record
from training.data.networks import DataNetworks
from training.data.shards import ShardWriter
from training.data.shots import shots_of, sound_of
from training.files import DataError, digest_of

SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv"})
MAX_VIDEO_BYTES = 4 * 2**30
MAX_VIDEO_S = 6 * 3600.0


def videos_in(folder: Path) -> list[Path]:
    """All videos below a folder, by name. Raises DataError where there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder.", "Name the folder that holds the videos.")
    try:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror or error}).", "Check its permissions.") from error
    if not found:
        raise DataError(f"{folder} holds no videos.", f"Put files into it that end in {', '.join(sorted(SUFFIXES))}.")
    return found


def training_settings() -> Settings:
    """Those of the environment, with limits for whole films."""
    return load_settings().model_copy(update={"max_video_bytes": MAX_VIDEO_BYTES, "max_video_s": MAX_VIDEO_S})


def prepare_video(
    path: Path, name: str, sha256: str, folder: Path, options: Options, networks: DataNetworks, told: Callable[[int], None]
) -> SourceEntry:
    """Writes the shards of one video, and then its record. A video that cannot be read gives an entry that says why.

    told: frames looked at so far. Raises OutputError where the disk is full.
    """
    try:
        size = path.stat().st_size
        if size > MAX_VIDEO_BYTES:
            raise DataError(f"{name} has {size / 2**30:.1f} GiB.", f"At most {MAX_VIDEO_BYTES >> 30} GiB are read at once: cut it.")
        clip = load_clip(path.read_bytes(), name, training_settings())
        samples = sound_of(clip)
        limits = Limits(options.min_frames, options.max_frames, options.check_sync)
        writer = ShardWriter(folder, sha256)
        dropped: list[DroppedEntry] = []
        for shot in shots_of(clip, limits.max_frames):
            for each in clips_of(shot, samples, networks, limits, told):
                if isinstance(each, MadeClip):
                    writer.add(each, round(each.first / FPS, 2))
                else:
                    dropped.append(DroppedEntry(**dataclasses.asdict(each)))
        writer.close()
        seconds = clip.n_frames / FPS
    except OSError as error:
        return SourceEntry(name=name, sha256=sha256, seconds=0, error=f"{name} cannot be read ({error.strerror or error}).")
    except InputError as error:
        if error.code in ("disk_full", "disk_unusable"):
            raise
        return SourceEntry(name=name, sha256=sha256, seconds=0, error=str(error))
    entry = SourceEntry(
        name=name, sha256=sha256, seconds=seconds, clips=tuple(writer.entries), dropped=tuple(dropped), shards=writer.shards
    )
    write_record(folder, Record(options=options, source=entry))
    return entry


def digest_or_error(path: Path) -> str:
    """Hex SHA-256 of a video, "" where it cannot be read."""
    try:
        return digest_of(path)
    except DataError:
        return ""
