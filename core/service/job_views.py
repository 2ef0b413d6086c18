"""Jobs as their owners see them, and errors as plain values that can be recorded and raised again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TalkingHeadError, disk_error, is_disk_full
from core.generation import GenerationInfo
from core.media.captions import Caption
from core.service.errors import hide_paths
from core.service.job_store import JobKind, JobRecord, JobState
from core.service.outputs import PREVIEW_NAME
from core.visemes.files import beside

NAME, PROLONGED = "name", "prolonged_s"
"""Of a video that is done, in its result."""
INTERNAL = "InternalError"
"""Recorded as the type of an error that is none of ours: a defect, which was logged."""


class InternalError(TalkingHeadError):
    """A job failed in a way nobody foresaw."""


@dataclass(frozen=True)
class MadeVideo:
    """Where the file of a video is, and what is known of it."""

    path: Path
    info: GenerationInfo


@dataclass(frozen=True)
class JobView:
    """One job as its owner sees it.

    stage, done, total: as in `core.generation.Progress`. position: how many queued jobs are before it, itself counted; 0 where it is not
    queued.
    fps: frames made in a second, 0.0 while not known. left_s: seconds left, about; None while not known. info: of a video that is done.
    voice: id of the one that speaks a text; "" for a recording. captions: of a text, once the job is done, and of a stream as far as it is
    spoken; empty where they were not asked for, or the voice does not tell the times of words. captions_burned: they are in the picture.
    avatar: the token, once a job that registers one is done. video: where its file is, once it is done; visemes: the file beside it, where
    they were asked for. name: of the video, by its owner;
    "" without one. prolonged_s: when its time to live began anew, 0.0 where it did not. preview: where its first seconds are while the rest
    is made, where they were asked for. made: the video of a job that still looks for the words of its recording. error: why it failed.
    client_state: what the adapter that submitted it noted for itself.
    """

    id: str
    owner: str
    kind: JobKind
    state: JobState
    kept: bool
    stage: str
    done: int
    total: int
    position: int
    fps: float
    left_s: float | None
    created_s: float
    ended_s: float
    info: GenerationInfo | None
    voice: str
    captions: tuple[Caption, ...]
    captions_burned: bool
    avatar: str | None
    video: Path | None
    visemes: Path | None
    name: str
    prolonged_s: float
    preview: Path | None
    made: MadeVideo | None
    error: TalkingHeadError | None
    client_state: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def watchable(self) -> MadeVideo | None:
        """The video, also while only its captions are missing."""
        return self.made if self.video is None or self.info is None else MadeVideo(self.video, self.info)


def view_of(record: JobRecord, position: int) -> JobView:
    now_s = time.time() if record.updated_s == 0 else record.updated_s
    spent_s = now_s - record.animating_s
    fps = record.done / spent_s if record.stage == "animating" and record.animating_s and record.done and spent_s > 0 else 0.0
    result = record.result or {}
    info = None if result.get("info") is None else GenerationInfo.from_dict(result["info"])
    return JobView(
        id=record.id,
        owner=record.owner,
        kind=record.kind,
        state=record.state,
        kept=record.kept,
        stage="done" if record.state == "done" else record.stage,
        done=record.done,
        total=record.total,
        position=position,
        fps=fps,
        left_s=(record.total - record.done) / fps if fps and record.total and record.state == "running" else None,
        created_s=record.created_s,
        ended_s=record.ended_s,
        info=info if record.state == "done" else None,
        voice=(record.request.get("speech") or {}).get("voice", ""),
        captions=tuple(Caption(start_s, end_s, tuple(lines)) for start_s, end_s, lines in result.get("captions") or ()),
        captions_burned=bool((record.request.get("options") or {}).get("burn_captions")),
        avatar=result.get("avatar"),
        video=Path(record.output) if record.output and record.state == "done" else None,
        visemes=_visemes(record),
        name=str(result.get(NAME, "")),
        prolonged_s=float(result.get(PROLONGED, 0.0)),
        preview=_preview(record),
        made=_made(record, info),
        error=None if record.error is None else as_exception(record.error),
        client_state=record.request.get("client_state") or {},
    )


def _visemes(record: JobRecord) -> Path | None:
    if record.state != "done" or not record.output or not (record.request.get("options") or {}).get("visemes"):
        return None
    return beside(Path(record.output))


def _made(record: JobRecord, info: GenerationInfo | None) -> MadeVideo | None:
    """None also where another machine makes it, whose files come here when the job is done."""
    if record.state != "running" or not record.output or info is None:
        return None
    path = Path(record.output)
    return MadeVideo(path, info) if path.is_file() else None


def _preview(record: JobRecord) -> Path | None:
    if record.state != "running" or not record.output or not record.request.get("preview"):
        return None
    path = Path(record.output).with_name(PREVIEW_NAME)
    return path if path.is_file() else None


def as_values(error: BaseException) -> dict[str, Any]:
    """Plain JSON values for the record."""
    if isinstance(error, OSError) and is_disk_full(error):
        error = disk_error(error, "The job's files cannot be written", "")
    if not isinstance(error, TalkingHeadError):
        message, hint = "The job failed in a way nobody foresaw; it was logged.", "Try again; it may be this input."
        return {"type": INTERNAL, "message": message, "hint": hint, "code": "internal"}
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "code": error.code,
        "parameters": error.parameters,
    }


def as_exception(values: Mapping[str, Any]) -> TalkingHeadError:
    """The error again, of its own class where that is known here."""
    kind = _kinds().get(values["type"], InternalError)
    error = kind.__new__(kind, values["message"])
    TalkingHeadError.__init__(
        error, values["message"], values["hint"], code=values.get("code", ""), parameters=values.get("parameters") or {}
    )
    return error


def _kinds() -> dict[str, type[TalkingHeadError]]:
    found: dict[str, type[TalkingHeadError]] = {}
    waiting = [TalkingHeadError]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return found


def error_view(error: BaseException) -> dict[str, str]:
    """What a client is told of an error: its type, message and hint. A path that an error names is cut to the file's name."""
    if isinstance(error, OSError) and is_disk_full(error):
        error = disk_error(error, "What was sent cannot be kept", "")
    if not isinstance(error, TalkingHeadError) or isinstance(error, InternalError):
        message, hint = "The server failed in a way nobody foresaw; it was logged.", "Try again; it may be this input."
        return {"type": INTERNAL, "message": message, "hint": hint}
    return {"type": type(error).__name__, "message": hide_paths(error.message), "hint": hide_paths(error.hint)}
