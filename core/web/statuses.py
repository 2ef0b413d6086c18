"""The HTTP status of each kind of error, for pages and server alike."""

from __future__ import annotations

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
    is_disk_full,
)
from core.service.errors import JobNotReady, KeyReused, Malformed, TooLarge, TooMany, UnknownJob, WrongKind
from core.web.guards.refusals import Refusal

RETRY_AFTER_S = 15

_STATUS: tuple[tuple[type[TalkingHeadError], int], ...] = (
    (AvatarError, 404),
    (OptionError, 422),
    (FaceError, 422),
    (AudioError, 422),
    (ImageError, 422),
    (OutputError, 507),
    (InputError, 400),
    (BusyError, 503),
    (EngineUnavailable, 503),
    (Cancelled, 409),
    (UnknownJob, 404),
    (JobNotReady, 409),
    (KeyReused, 422),
    (Malformed, 400),
    (TooLarge, 413),
    (WrongKind, 415),
    (TooMany, 429),
)


def status_of(error: BaseException) -> int:
    if isinstance(error, Refusal):
        return error.status
    if is_disk_full(error):
        return 507
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: BaseException) -> dict[str, str]:
    """What belongs to the answer beside its status: of a refusal its own, and when to come back."""
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    elif status_of(error) == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    elif isinstance(error, JobNotReady):
        headers["Retry-After"] = "1"
    return headers
