"""The JSON bodies of the server's answers."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from core.service.job_views import JobView
from core.web.api.errors import as_body

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
    kind: Literal["video", "stream", "avatar"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: Literal["queued", "speech", "loading", "registering", "animating", "finishing", "done"]
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


def status_of_job(job: JobView) -> JobStatus:
    error = None
    if job.error is not None and job.state == "failed":
        error = ErrorDetail(**as_body(job.error)["error"])
    progress = round(min(job.done / job.total, 1.0), 4) if job.total else 0.0
    return JobStatus(
        id=job.id,
        kind=job.kind,
        state=job.state,
        stage=cast(Any, job.stage),
        done=job.done,
        total=job.total,
        progress=1.0 if job.state == "done" else progress,
        position=job.position,
        fps=round(job.fps, 1),
        left_s=None if job.left_s is None else round(job.left_s, 2),
        created_s=job.created_s,
        result=None if job.video is None else f"/jobs/{job.id}/result",
        avatar=job.avatar,
        info=None if job.info is None else job.info.to_dict(),
        error=error,
    )


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

    which: Literal["avatars", "results", "speech", "all"] = "all"


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"message": "Who are you?"}})

    message: str = Field(min_length=1, max_length=4000)
    chat: str = Field(default="", max_length=64, description="A conversation that goes on; without it a new one begins")
    secret: str = Field(default="", max_length=64, description="Its secret")
    avatar: str = Field(default="", max_length=100, description="Of a new conversation: makes videos in which this person says the answers")
    engine: Literal["auto", "lite", "ditto"] = "auto"
    options: dict[str, Any] = Field(default_factory=dict, description="Of the videos, as in POST /generate")
    voice: str = Field(default="", max_length=100)
    speed: float = Field(default=1.0, ge=0.5, le=2.0)


class ChatLatency(_Answer):
    """Seconds after the message came; null for what there is none of."""

    first_token_s: float | None
    first_sentence_s: float | None
    first_sound_s: float | None
    first_picture_s: float | None


class ChatAnswer(_Answer):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "chat": "q3Jf0rJ8pXl2bq0YtV5d7w", "secret": "Zk4Vd1o3mH0cUe7Yb2sRxN5wKqLpTgAj", "turn": 0, "text": "I am Ada.",
                "reason": "end", "job": "", "error": None,
                "latency": {"first_token_s": 0.31, "first_sentence_s": 0.42, "first_sound_s": None, "first_picture_s": None},
            }
        },
    )  # fmt: skip

    chat: str
    secret: str = Field(description="Goes with `chat`")
    turn: int
    text: str
    reason: Literal["end", "length", "interrupted", "failed"] = Field(description="Why it ended; length: the rest was left out")
    job: str = Field(description="Of the video that is being made; empty where there is none")
    error: ErrorDetail | None = Field(description="Why no video is made of it, though it was asked for")
    latency: ChatLatency


class Queue(_Answer):
    running: int
    waiting: int
    max_jobs: int
    max_queue: int


class Degraded(_Answer):
    """A part that the server goes on without."""

    part: Literal["outputs", "cache", "jobs"] = Field(
        description="outputs: no video can be written; cache: nothing is kept, and nobody registered; jobs: they do not outlive a restart"
    )
    code: str = Field(description='"disk_full", "disk_unusable" or ""')
    message: str


class Health(_Answer):
    """Whether the server lives, and whether it can make videos now."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "live": True, "ready": True, "engine": "lite", "engines": ["lite"], "loaded": ["lite"], "loading": {},
                "device": "cpu", "problem": "",
                "degraded": [{"part": "cache", "code": "disk_full", "message": "The folder for caches cannot be used: the disk is full."}],
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
    degraded: list[Degraded] = Field(description="What does not work as it should, and why; empty where all does")
    queue: Queue
    cache: dict[str, Any]
    live_sessions: int


INFO_EXAMPLE = _INFO
