"""The JSON bodies of the server's answers."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from core.service.job_views import JobView
from core.web.api.errors import as_body

_TOKEN = "3f1c0e8a5b7d42966c1e0f4b8a2d7593c6e81b04"  # noqa: S105 - an example
_ERROR: JsonDict = {"type": "FaceError", "message": "No face was found in the photo.", "hint": "Use a photo with one clear face."}
_SPEECH_ERROR: JsonDict = {
    "message": "There is no voice 'x'.", "type": "invalid_request_error", "param": "voice", "code": "voice_unknown",
}  # fmt: skip
_INFO: dict[str, Any] = {
    "engine": "lite", "engine_reason": "auto: it is the only engine offered here and needs no download", "frames": 75, "fps": 25,
    "width": 320, "height": 320, "audio_s": 3.0, "wall_s": 0.9, "rtf": 0.3, "first_frame_ms": 62.0, "register_ms": 0.0, "load_ms": 0.0,
    "seed": 1234, "warnings": [], "cache_hit": False, "avatar": _TOKEN, "label": True, "skipped": [], "sync_offset_ms": -2.3,
    "sync_confidence": 0.97,
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
                "voice": None, "captions": None, "visemes": None, "info": None, "error": None,
            }
        },
    )  # fmt: skip

    id: str = Field(description="Cannot be guessed; good for its owner only")
    kind: Literal["video", "stream", "avatar", "idle"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: Literal["queued", "recognising", "speech", "loading", "registering", "animating", "finishing", "done"]
    done: int = Field(description="Frames done in this stage")
    total: int = Field(description="Frames of this stage; 0 while not known")
    progress: float = Field(ge=0, le=1)
    position: int = Field(description="Jobs before this one in the queue")
    fps: float = Field(description="Frames made in a second; 0 while not known")
    left_s: float | None = Field(description="Seconds left, about")
    created_s: float = Field(description="Unix time")
    result: str | None = Field(description="Where the video is, once the job is done")
    avatar: str | None = Field(description="The token, once a job that registers an avatar is done")
    voice: str | None = Field(description="The voice that speaks the text; null for a recording")
    captions: str | None = Field(description="Where the captions are, of a text that is streamed as far as it is spoken; null without any")
    visemes: str | None = Field(description="Where the visemes are, once a video that was asked for with them is done")
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
        voice=job.voice or None,
        captions=f"/jobs/{job.id}/captions.vtt" if job.captions else None,
        visemes=None if job.visemes is None else f"/jobs/{job.id}/visemes",
        info=None if job.info is None else job.info.to_dict(),
        error=error,
    )


class AvatarCard(_Answer):
    """One registered person."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "token": _TOKEN, "name": "Ada", "kind": "photo", "width": 1024, "height": 1024, "face_index": 0, "landmarks": None,
                "created_s": 1780000000.0, "nbytes": 2400000, "consent": True, "warnings": [], "thumbnail": f"/avatars/{_TOKEN}/thumbnail",
            }
        },
    )  # fmt: skip

    token: str = Field(description="Stands for the person in later requests; good for its owner only")
    name: str
    kind: Literal["photo", "video"]
    width: int
    height: int
    face_index: int
    landmarks: list[list[float]] | None = Field(description="Where the face was marked by hand; null: it was found")
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


class VoiceCard(_Answer):
    """One voice that speaks texts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "id": "af_heart", "name": "Heart", "language": "en-US", "sample_rate_hz": 24000, "licence": "Apache-2.0", "natural": True,
                "synthesiser": "kokoro", "installed": True,
            }
        },
    )  # fmt: skip

    id: str = Field(description="What it is asked for by")
    name: str
    language: str = Field(description="BCP 47; empty where it speaks several")
    sample_rate_hz: int
    licence: str
    natural: bool = Field(description="It sounds like a person; else plainly like a machine")
    synthesiser: Literal["kokoro", "espeak", "service"]
    installed: bool = Field(description="It can be used here")


class VoiceList(_Answer):
    voices: list[VoiceCard] = Field(description="The natural ones first")
    default: str | None = Field(description="The voice where none is asked for; null where there are none")


class SpeechRequest(BaseModel):
    """As programs for OpenAI's interface send it; what else they send is not looked at."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model": "tts-1", "input": "Hello, I am Ada.", "voice": "af_heart", "response_format": "wav"}}
    )

    input: str = Field(description="What is said, plain or SSML")
    voice: str = Field(max_length=100, description="Its id, as GET /voices tells it")
    model: str = Field(default="", max_length=200, description="Not looked at: the voice tells what speaks")
    response_format: Literal["mp3", "wav", "pcm"] = Field(default="mp3", description="pcm: 16 bit, little endian, 24 kHz, mono")
    speed: float = Field(default=1.0, description="0.5 to 2, relative to the voice's usual speed")


class SpeechErrorDetail(_Answer):
    message: str
    type: str
    param: str | None = Field(description="The field that is wrong")
    code: str | None


class SpeechErrorBody(_Answer):
    """An error as programs for OpenAI's interface expect it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"error": _SPEECH_ERROR}})

    error: SpeechErrorDetail


class Queue(_Answer):
    running: int
    waiting: int
    max_jobs: int = Field(description="Jobs that this server does at the same time; 0: it takes them for others")
    slots: int = Field(description="The same of all servers that share the queue and live")
    max_queue: int


class Degraded(_Answer):
    """A part that the server goes on without."""

    part: Literal["outputs", "cache", "jobs", "files"] = Field(
        description="outputs: no video can be written; cache: nothing is kept, and nobody registered; "
        "jobs: they do not outlive a restart, or nobody is there to do them; files: the store that several machines share does not answer"
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
                "queue": {"running": 0, "waiting": 0, "max_jobs": 1, "slots": 1, "max_queue": 16},
                "cache": {"avatars": {"hits": 3, "misses": 1}},
                "live_sessions": 0,
            }
        },
    )  # fmt: skip

    live: bool
    ready: bool = Field(description="It can make videos; a server that takes jobs for others (max_jobs 0): take them")
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
