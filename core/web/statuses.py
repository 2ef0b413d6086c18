"""The HTTP status of each kind of error, for pages and server alike, and the answer with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import (
    AudioError,
    AvatarError,
    BusyError,
    Cancelled,
    EngineUnavailable,
    FaceError,
    ImageError,
    InputError,
    OptionError,
    OutputError,
    TalkingHeadError,
    TextError,
    is_disk_full,
)
from core.service.errors import (
    JobNotReady,
    KeyReused,
    MadeRoom,
    Malformed,
    ModelUnavailable,
    PeersUnavailable,
    StalePeer,
    TooLarge,
    TooMany,
    UnknownChat,
    UnknownJob,
    UnknownLiveSession,
    UnknownPeer,
    WrongKind,
)
from core.service.owners import Receive, Scope, Send
from core.web.guards.refusals import Refusal, answer

RETRY_AFTER_S = 15

_STATUS: tuple[tuple[type[TalkingHeadError], int], ...] = (
    (AvatarError, 404),
    (OptionError, 422),
    (FaceError, 422),
    (TextError, 422),
    (AudioError, 422),
    (ImageError, 422),
    (OutputError, 507),
    (InputError, 400),
    (BusyError, 503),
    (EngineUnavailable, 503),
    (Cancelled, 409),
    (MadeRoom, 410),
    (UnknownJob, 404),
    (UnknownLiveSession, 404),
    (UnknownChat, 404),
    (UnknownPeer, 404),
    (PeersUnavailable, 501),
    (StalePeer, 412),
    (ModelUnavailable, 503),
    (JobNotReady, 409),
    (KeyReused, 422),
    (Malformed, 400),
    (TooLarge, 413),
    (WrongKind, 415),
    (TooMany, 429),
)
_STATUS_OF_CODE = {"speech_not_installed": 501, "speech_service_failed": 502, "chat_not_set": 501, "chat_service_failed": 502,
                   "recognition_not_set": 501, "recognition_service_failed": 502}  # fmt: skip
"""Of errors that trying again a little later does not help."""


def status_of(error: BaseException) -> int:
    if isinstance(error, Refusal):
        return error.status
    if is_disk_full(error):
        return 507
    if isinstance(error, TalkingHeadError) and error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def retry_after_s(error: BaseException) -> int | None:
    """In how many seconds it may go well; None where it would not."""
    told = error.parameters.get("retry_after_s") if isinstance(error, TooMany | BusyError) else None
    if isinstance(told, int | float):
        return max(1, round(told))
    if isinstance(error, JobNotReady):
        return 1
    return RETRY_AFTER_S if status_of(error) == 503 else None


def headers_of(error: BaseException) -> dict[str, str]:
    """What belongs to the answer beside its status: of a refusal its own, and when to come back."""
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    wait_s = retry_after_s(error)
    return headers if wait_s is None else {**headers, "Retry-After": str(wait_s)}


async def answer_error(error: TalkingHeadError, body: Mapping[str, Any] | str, scope: Scope, receive: Receive, send: Send) -> None:
    """As `answer`, with the error's status and headers. body: what is said of it."""
    await answer(status_of(error), body, headers_of(error), scope, receive, send)
