"""What the OpenAPI document says of forms and errors, which the framework cannot see in the code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.engines.capabilities import DITTO_FRAMING
from core.media.formats import PHOTO_FORMATS, SOUND_FORMATS, VIDEO_FORMATS
from core.option_table import OPTION_TABLE, OptionEntry
from core.options import PRESETS
from core.request import DEFAULT
from core.speech_synthesis.base import MAX_SPEED, MIN_SPEED
from core.web.api.models import ErrorBody


def engine(names: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": ["auto", *names], "default": "auto"}


def _described(entry: OptionEntry) -> dict[str, Any]:
    known = {} if entry.default in (None, DEFAULT) else {"default": entry.default}
    return {**entry.schema, "description": f"{entry.meaning[0].upper()}{entry.meaning[1:]} ({', '.join(entry.engines)})", **known}


def _options(entries: Iterable[OptionEntry]) -> dict[str, Any]:
    return {entry.name: _described(entry) for entry in entries}


_OPTIONS = {
    "type": "object",
    "description": "Options by name, as JSON; an engine refuses by name what it does not honour",
    "properties": {**_options(OPTION_TABLE), "preset": {"enum": list(PRESETS), "description": "Several options under one name (ditto)"}},
    "example": {"size": 320, "seed": 7, "blink": 1.2},
}
_FRAMING = _options(entry for entry in OPTION_TABLE if entry.group == "framing" or entry.name in DITTO_FRAMING)
_FILE = {"type": "string", "format": "binary"}
_CONSENT = {"type": "boolean", "description": "The person shown agreed; some deployments ask for it"}
_VIDEO = {
    "audio": {**_FILE, "description": f"The speech: {SOUND_FORMATS}"},
    "image": {**_FILE, "description": f"The person: {PHOTO_FORMATS}; or a video ({VIDEO_FORMATS}); or give avatar instead"},
    "avatar": {"type": "string", "description": "Token of a registered person, instead of image"},
    "engine": engine(["lite", "ditto"]),
    "options": _OPTIONS,
    "consent": _CONSENT,
    "text": {"type": "string", "maxLength": 100_000, "description": "What is said, plain or SSML, instead of audio"},
    "voice": {"type": "string", "description": "Of the text: its id, as GET /voices tells it; without one the default"},
    "speed": {"type": "number", "minimum": MIN_SPEED, "maximum": MAX_SPEED, "default": 1.0, "description": "Relative to usual"},
    "captions": {
        "type": "boolean",
        "description": "Keep captions: of a text where the voice tells the times, of a recording as recognised. Without it, those of "
        "recordings where there is a recogniser, unless the answer is the video itself",
    },
    "background": {
        **_FILE, "description": f"A picture behind the person, instead of the option background: {PHOTO_FORMATS} (lite)"
    },
}
_AVATAR = {
    "image": {**_FILE, "description": f"The person: {PHOTO_FORMATS}; or a video ({VIDEO_FORMATS})"},
    "name": {"type": "string", "maxLength": 80, "description": "For the owner alone"},
    "engine": engine(["lite", "ditto"]),
    "options": {"type": "object", "description": "How the face is found and read", "properties": _FRAMING, "example": {"face_index": 0}},
    "consent": _CONSENT,
}

_KINDS = {
    "audio": "audio/wav, audio/mpeg, audio/mp4, audio/flac, audio/ogg, audio/webm",
    "image": "image/png, image/jpeg, image/webp, image/bmp, video/mp4, video/webm",
    "background": "image/png, image/jpeg, image/webp, image/bmp",
    "options": "application/json",
    "video": "video/mp4, video/quicktime, video/webm, video/x-matroska",
}
"""What the parts usually are. It is told from their content; what a client says of it is not looked at."""
_SAID = {
    400: "The request is malformed, or a part is missing",
    401: "No key, or a key that is not known",
    403: "A web page of an origin that is not allowed",
    404: "There is no such job, avatar or session for this owner",
    408: "The upload took too long",
    409: "The job has no result (yet), or was stopped",
    410: "The video of the job made room for newer ones",
    412: "If-Match is not the ETag of the connection",
    413: "A file, a field or the whole request is too large",
    415: "A file is not what this part takes, by its content",
    422: "An option, the recording, photo or video cannot be used; the message says why",
    429: "Too many requests, or too much at once; see Retry-After",
    500: "A defect of the server",
    501: "Voices that speak texts, or WebRTC, are not installed here, or no language model is set",
    502: "The service that speaks texts failed, or the language model",
    503: "Busy or not ready; see Retry-After",
    507: "The server's disk is full, or cannot be written",
}
ALWAYS = (400, 401, 403, 429, 500)
UPLOAD = (*ALWAYS, 408, 409, 413, 415, 422, 501, 502, 503, 507)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The described errors of a route."""
    return {status: {"model": ErrorBody, "description": _SAID[status]} for status in sorted({*ALWAYS, *statuses})}


def form(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    kinds = {name: {"contentType": kind} for name, kind in _KINDS.items() if name in properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, "encoding": kinds}}}}


VIDEO_FORM = form(
    _VIDEO,
    allOf=[
        {"oneOf": [{"required": ["audio"]}, {"required": ["text"]}]},
        {"oneOf": [{"required": ["image"]}, {"required": ["avatar"]}]},
    ],
)
AVATAR_FORM = form(_AVATAR, required=["image"])
DETECT_FORM = form({"video": {**_FILE, "description": "MP4, MOV, WebM, MKV, AVI, WMV, MPEG, FLV or GIF"}}, required=["video"])
MP4: dict[str, Any] = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
JPEG: dict[str, Any] = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
WEBP: dict[str, Any] = {"image/webp": {"schema": {"type": "string", "format": "binary"}}}
JOB_LINKS = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}} for name in ("job_status", "job_result", "delete_job")
}
AVATAR_LINKS = {
    name: {"operationId": name, "parameters": {"token": "$response.body#/token"}} for name in ("avatar_thumbnail", "delete_avatar")
}
