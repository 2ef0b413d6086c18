"""All errors raised on purpose, as one tree of classes.

TalkingHeadError
├── InputError                  the request is at fault (command line: exit code 2)
│   ├── AudioError              the recording cannot be used
│   ├── TextError               the text cannot be spoken
│   ├── ImageError              the photo cannot be used
│   │   └── FaceError           the photo has no (usable) face, or not the one asked for
│   ├── AvatarError             there is no such avatar (for this owner), or its kept source is damaged
│   ├── OptionError             an option is unknown, out of range, or not honoured by the engine
│   └── OutputError             the result cannot be written where it was asked for
│       └── DiskFull            there is no room for it
├── EngineUnavailable           the engine asked for cannot run here (missing checkpoints, device, package)
├── EncodingError               the video encoder failed
├── SigningError                the video could not be signed, where signing is configured
├── CheckpointError, ConfigError  a model file is damaged, foreign or of another version (core/models)
├── DownloadError               a checkpoint cannot be fetched (its branch: manager/errors.py)
├── Refusal                     what is refused before anything looks at it (its branch: core/web/guards/refusals.py)
│   └── ApiError                what only a server can say (its branch: core/web/api/errors.py)
├── BusyError                   the queue is full: try again later
└── Cancelled                   the job was cancelled by its owner

A message says what is wrong and with which value; `hint` says what to do about it. `code` and `parameters` say the same to programs, and to
pages that have words of their own for it, in other languages too.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType

MAX_MESSAGE = 1000
"""Characters of a message: what a caller sent is told back to them, but not a megabyte of it."""
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file grew past the allowed size"}
"""What a system says where there is no room, by its error number."""


class TalkingHeadError(Exception):
    """Base of all errors raised on purpose. `str(error)` is one line: what is wrong, then what to do.

    code: stable name of what is wrong, in snake_case; "" where only the message tells. parameters: the values that belong to it, of plain
    JSON types.
    """

    def __init__(self, message: str, hint: str = "", *, code: str = "", parameters: Mapping[str, object] = MappingProxyType({})) -> None:
        message = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.parameters = dict(parameters)

    def __str__(self) -> str:
        return " ".join(f"{self.message} {self.hint}".split())

    def __reduce__(self) -> tuple[type[TalkingHeadError], tuple[str, str], dict[str, object]]:
        return type(self), (self.message, self.hint), {"code": self.code, "parameters": self.parameters}


class InputError(TalkingHeadError):
    """The request cannot be served as it stands; another input can."""


class AudioError(InputError):
    """The recording is empty, unreadable, too long, too short or not audio."""


class TextError(InputError):
    """The text is empty, too long, not understood, or in a language that the voice does not speak."""


class ImageError(InputError):
    """The photo is empty, unreadable, too large, too small or not an image."""


class FaceError(ImageError):
    """No usable face was found, or the face asked for does not exist."""


class AvatarError(InputError):
    """The token stands for no avatar of this owner. The words are the same whether it never existed, is gone, or is another's."""


class OptionError(InputError):
    """An option is unknown, out of range, or not honoured by the chosen engine."""


class OutputError(InputError):
    """The result cannot be written where it was asked for."""


class DiskFull(OutputError):
    """There is no room on the disk. Its code is always "disk_full"."""

    def __init__(
        self, message: str, hint: str = "Make room on the disk.", *, code: str = "disk_full",
        parameters: Mapping[str, object] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        super().__init__(message, hint, code=code, parameters=parameters)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, ours or the system's, is that of a disk without room."""
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in FULL)


def disk_error(error: OSError, what: str, hint: str) -> OutputError:
    """The error of ours for one of the file system: DiskFull where there is no room, else OutputError with code "disk_unusable".

    what: the beginning of the sentence, such as "The avatar cannot be kept". hint: what to do where it is not the room that lacks.
    """
    wrapped: OutputError
    if error.errno in FULL:
        wrapped = DiskFull(f"{what}: {FULL[error.errno]}.", "Free some space, or write elsewhere.")
    else:
        wrapped = OutputError(f"{what}: {error.strerror or error}.", hint, code="disk_unusable")
    wrapped.__cause__ = error
    return wrapped


class EngineUnavailable(TalkingHeadError):
    """The engine asked for cannot run here."""


class EncodingError(TalkingHeadError):
    """The video encoder failed."""


class SigningError(TalkingHeadError):
    """The video could not be signed, and unsigned ones are not wanted."""


class BusyError(TalkingHeadError):
    """The queue is full."""


class Cancelled(TalkingHeadError):
    """The job was cancelled."""


def forget_frames(error: BaseException) -> None:
    """Lets an error go of the calls it came through, and with them of all their variables; its causes too.

    For errors that are kept, once whoever needs the traceback has had it.
    """
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:  # causes may lead back to an error that was raised from itself
        seen.add(id(each))
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
