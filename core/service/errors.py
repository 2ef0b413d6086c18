"""Errors of the service, beyond those of core/errors.py.

ServiceError
├── UnknownJob         there is no such job (for this owner)
│   └── MadeRoom       its video had to go, since there was no more room for it
├── UnknownLiveSession there is no such live session (for this owner)
├── UnknownChat        there is no such conversation (for this owner)
├── UnknownPeer        there is no such WebRTC connection (for this owner)
├── PeersUnavailable   WebRTC is not installed, or switched off
├── StalePeer          a WebRTC connection has gone on since
├── ModelUnavailable   no language model is set, or it fails
├── JobNotReady        it has no result, or none yet
├── KeyReused          the idempotency key was used for another request
├── Malformed          what was sent is not what its headers say
├── TooLarge           one file or field has more bytes than may be sent
├── WrongKind          the content is of a kind that is not taken
└── TooMany            more requests, connections or bytes than one owner or address may have
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from core.errors import BusyError, TalkingHeadError

_PATH = re.compile(r"(?<![\w./:])/(?:[^\s/:,;]+/)+([^\s/:,;]+)")


def hide_paths(text: str) -> str:
    """The text with every path of the machine cut to the file's name. One of a single part stays: addresses of the API look like it."""
    return _PATH.sub(r"\1", text)


class ServiceError(TalkingHeadError):
    """Base of what only the service can say."""


class UnknownJob(ServiceError):
    """In the same words for a job that never existed, is forgotten, or is another's."""

    def __init__(self) -> None:
        super().__init__("There is no such job.", "It may have been deleted, or be too old.", code="unknown_job")


class MadeRoom(UnknownJob):
    """Told to its owner alone; to others it is UnknownJob."""

    def __init__(self) -> None:
        ServiceError.__init__(
            self, "The video of this job made room for newer ones.", "Make it again, and fetch it soon: there is little room here.",
            code="job_made_room",
        )  # fmt: skip


class UnknownLiveSession(ServiceError):
    """In the same words for a session that never existed, has ended, is another's, or has another secret."""

    def __init__(self, kept_s: float) -> None:
        hint = f"It is kept for {kept_s:g} s after a connection is lost; start a new one."
        super().__init__("There is no such live session.", hint, code="unknown_live_session")


class UnknownChat(ServiceError):
    """In the same words for a conversation that never existed, has ended, is another's, or has another secret."""

    def __init__(self, kept_s: float) -> None:
        hint = f"It is kept for {kept_s / 60:g} minutes after the last message; start a new one."
        super().__init__("There is no such conversation.", hint, code="unknown_chat")


class UnknownPeer(ServiceError):
    """In the same words for a connection that never existed, has ended, or is another's."""

    def __init__(self) -> None:
        super().__init__("There is no such WebRTC connection.", "It has ended; offer a new one.", code="unknown_peer")


class PeersUnavailable(ServiceError):
    """There is no WebRTC here."""


class StalePeer(ServiceError):
    """What was sent is for an ICE session that is over."""

    def __init__(self) -> None:
        super().__init__("The connection has been restarted since.", "Send If-Match with its newest ETag.", code="peer_stale")


class ModelUnavailable(ServiceError):
    """There is no language model, or it cannot answer now."""


class JobNotReady(ServiceError):
    """The job has no result (yet)."""


class KeyReused(ServiceError):
    """An idempotency key stands for one request."""


class Malformed(ServiceError):
    """The request is not what its headers say."""


class TooLarge(ServiceError):
    """More bytes than may be sent."""


class WrongKind(ServiceError):
    """The content is of a kind that is not taken here."""


class TooMany(ServiceError):
    """retry_after_s: when there is room again."""

    def __init__(
        self,
        message: str,
        hint: str,
        retry_after_s: float,
        *,
        code: str = "too_many",
        parameters: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(message, hint, code=code, parameters={**parameters, "retry_after_s": max(1, round(retry_after_s))})
        self.retry_after_s = retry_after_s


def stopping() -> BusyError:
    """What is said to whoever asks for jobs while the service stops."""
    return BusyError("The service is stopping; the job goes on when it is back.", "Try again in a minute.", code="stopping")


def without_folders(error: TalkingHeadError, *paths: Path | None) -> TalkingHeadError:
    """The same error with every path of ours shortened to the file's name: whoever sent it knows the name, and must not learn the path."""
    for path in filter(None, paths):
        for long in (str(path), str(path.parent)):
            error.message = error.message.replace(long, Path(long).name)
            error.hint = error.hint.replace(long, Path(long).name)
    return error
