"""What the server answers, as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

_TOKEN = "3f1c0e8a5b7d42966c1e0f4b8a2d7593c6e81b04"  # noqa: S105 - an example
_ERROR: JsonDict = {"type": "FaceError", "message": "No face was found in the photo.", "hint": "Use a photo with one clear face."}
_INFO: dict[str, Any] = {
    "engine": "lite", "engine_reason": "auto: it is the only engine offered here and needs no download", "frames": 75, "fps": 25,
    "width": 320, "height": 320, "audio_s": 3.0, "wall_s": 0.9, "rtf": 0.3, "first_frame_ms": 62.0, "register_ms": 0.0, "load_ms": 0.0,
    "seed": 1234, "warnings": [], "cache_hit": False, "avatar": _TOKEN, "label": True,
}  # fmt: skip


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(_Answer):
    type: str = Field(description="Stable name of the kind of error")
    message: str = Field(description="What is wrong, with the value")
    hint: str = Field(description="What to do about it; may be empty")


class ErrorBody(_Answer):
    """Every answer with a status of 400 and above."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"error": _ERROR}})

    error: ErrorDetail


class JobStatus(_Answer):
    """Where a job stands."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "id": "q3Jf0rJ8pXl2bq0YtV5d7w", "kind": "video", "state": "running", "stage": "animating", "done": 40, "total": 75,
                "progress": 0.533, "position": 0, "fps": 92.5, "left_s": 0.4, "created_s": 1780000000.0, "result": None, "avatar": None,
                "info": None, "error": None,
            }
        },
    )  # fmt: skip

    id: str = Field(description="Cannot be guessed; good for its owner only")
    kind: Literal["video", "avatar"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: Literal["queued", "loading", "registering", "animating", "finishing", "done"]
    done: int = Field(description="Frames done in this stage")
    total: int = Field(description="Frames of this stage; 0 while not known")
    progress: float = Field(ge=0, le=1)
    position: int = Field(description="Jobs before this one in the queue")
    fps: float = Field(description="Frames made in a second; 0 while not known")
    left_s: float | None = Field(description="Seconds left, about")
    created_s: float = Field(description="Unix time")
    result: str | None = Field(description="Where the video is, once the job is done")
    avatar: str | None = Field(description="The token, once a job that registers an avatar is done")
    info: dict[str, Any] | None = Field(description="What was made and how fast, once a video is done")
    error: ErrorDetail | None = Field(description="Why it failed")


class AvatarCard(_Answer):
    """One registered person."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "token": _TOKEN, "name": "Ada", "kind": "photo", "width": 1024, "height": 1024, "face_index": 0, "created_s": 1780000000.0,
                "nbytes": 2400000, "consent": True, "warnings": [], "thumbnail": f"/avatars/{_TOKEN}/thumbnail",
            }
        },
    )  # fmt: skip

    token: str = Field(description="Stands for the person in later requests; good for its owner only")
    name: str
    kind: Literal["photo", "video"]
    width: int
    height: int
    face_index: int
    created_s: float = Field(description="Unix time")
    nbytes: int = Field(description="On the server's disk")
    consent: bool = Field(description="The consent of the person shown was declared")
    warnings: list[str]
    thumbnail: str = Field(description="Where its picture is")


class AvatarList(_Answer):
    avatars: list[AvatarCard] = Field(description="The newest first")


class Freed(_Answer):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"freed_bytes": 2400000}})

    freed_bytes: int


class ClearRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"which": "results"}})

    which: Literal["avatars", "results", "all"] = "all"


class Queue(_Answer):
    running: int
    waiting: int
    max_jobs: int
    max_queue: int


class Health(_Answer):
    """Whether the server lives, and whether it can make videos now."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "live": True, "ready": True, "engine": "lite", "engines": ["lite"], "loaded": ["lite"], "loading": {},
                "device": "cpu", "problem": "",
                "queue": {"running": 0, "waiting": 0, "max_jobs": 1, "max_queue": 16}, "cache": {"avatars": {"hits": 3, "misses": 1}},
                "live_sessions": 0,
            }
        },
    )  # fmt: skip

    live: bool
    ready: bool
    engine: str = Field(description='What "auto" takes now')
    engines: list[str]
    loaded: list[str]
    loading: dict[str, Any] = Field(description="How far each engine is")
    device: str
    problem: str = Field(description="Why it is not ready, where that is known")
    queue: Queue
    cache: dict[str, Any]
    live_sessions: int


INFO_EXAMPLE = _INFO
