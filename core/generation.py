"""What is told of a video: its progress while it is made, then its file and the facts about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Progress:
    """The progress of a job: `done` of `total` frames in `stage` (total 0: not known yet). speech: a text is being spoken;
    recognising: the words of a recording are found. preview: that of the first seconds has just been finished."""

    stage: Literal["queued", "recognising", "speech", "loading", "registering", "animating", "finishing", "done"]
    done: int = 0
    total: int = 0
    preview: bool = False


ProgressCallback = Callable[[Progress], None]

SkipReason = Literal["no_face", "other_face", "too_small", "turned_away", "cut_off"]
"""Why frames of a video source are shown as they are: no face was found in them; another person's face took the place; the face is too
small, or turned too far to the side, to be animated; its mouth is outside the picture."""


@dataclass(frozen=True)
class Skipped:
    """A span whose frames show the source as it is, seconds from the start: from_s <= t < to_s."""

    from_s: float
    to_s: float
    why: SkipReason


@dataclass(frozen=True)
class GenerationInfo:
    """The facts about a finished video: the engine, the size and the times.

    engine_reason: why this engine ("no GPU was found"). wall_s: from request to finished file, engine loaded.
    rtf: wall_s / audio_s. first_frame_ms: from the moment audio and avatar are there to the first finished frame.
    register_ms, load_ms: registration of the photo and loading of the engine in this request, else 0.
    cache_hit: the very video had been made before; the times are those of this request. avatar: token of the avatar used. label: the
    visible "AI" is in the frames. mark: the imperceptible mark is. skipped: spans of the video in which a moving source was shown as it is.
    sync_offset_ms: by how much the picture is late (negative: the sound). sync_confidence: how well the lips follow the speech, about 0 to
    1 (`core.sync.report.SyncReport`). Both are measured on some of the drawn frames (`core.sync.meter`), and None where less than two
    seconds are spoken or no face was seen, and of streams; sync_offset_ms also where the confidence is not above chance.
    """

    engine: str
    engine_reason: str
    frames: int
    fps: float
    width: int
    height: int
    audio_s: float
    wall_s: float
    rtf: float
    first_frame_ms: float
    register_ms: float
    load_ms: float
    seed: int
    warnings: tuple[str, ...] = ()
    cache_hit: bool = False
    avatar: str | None = None
    label: bool = False
    mark: bool = False
    skipped: tuple[Skipped, ...] = ()
    sync_offset_ms: float | None = None
    sync_confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain = dataclasses.asdict(self)
        return {**plain, "warnings": list(self.warnings), "skipped": list(plain["skipped"])}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> GenerationInfo:
        """What `to_dict` gave. Raises TypeError for anything else."""
        skipped = tuple(Skipped(**span) for span in plain.get("skipped", ()))
        return cls(**{**plain, "warnings": tuple(plain["warnings"]), "skipped": skipped})


@dataclass(frozen=True)
class Generation:
    """A finished video and what is known about it."""

    path: Path
    info: GenerationInfo
