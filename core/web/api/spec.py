"""What the OpenAPI document says of forms and errors, which the framework cannot see in the code."""

from __future__ import annotations

from typing import Any

from core.options import PRESETS
from core.types import CONTROL_RANGES, MAX_SIZE_PX, MIN_SIZE_PX
from core.web.api.models import ErrorBody


def engine(names: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": ["auto", *names], "default": "auto"}


_FRAMING: dict[str, Any] = {"face_index": {"type": "integer", "minimum": 0, "description": "Which face, the largest first"}}
_SIDE = {"type": "integer", "minimum": MIN_SIZE_PX, "maximum": MAX_SIZE_PX, "multipleOf": 2}
_OPTIONS = {
    "type": "object",
    "description": "Options by name, as JSON. Ditto's own (README) beside these; an engine refuses by name what it does not honour",
    "properties": {
        **_FRAMING,
        "size": {"anyOf": [_SIDE, {"const": "source"}], "default": 320},
        "seed": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**32 - 1}, {"const": "random"}], "default": 1234},
        "label": {"type": "boolean", "description": 'A small "AI" in the picture; where the deployment sets it, it cannot be left out'},
        "preset": {"enum": list(PRESETS), "description": "Several options under one name, of Ditto"},
        **{name: {"type": "number", "minimum": low, "maximum": high} for name, (low, high) in CONTROL_RANGES.items()},
    },
    "example": {"size": 320, "seed": 7, "blink": 1.2},
}
_FILE = {"type": "string", "format": "binary"}
_CONSENT = {"type": "boolean", "description": "The person shown agreed; some deployments ask for it"}
_VIDEO = {
    "audio": {**_FILE, "description": "The speech: WAV, MP3, M4A/AAC, FLAC, Ogg/Opus, WebM"},
    "image": {**_FILE, "description": "The person: PNG, JPEG, WebP, BMP, or a video for Ditto; or give avatar instead"},
    "avatar": {"type": "string", "description": "Token of a registered person, instead of image"},
    "engine": engine(["lite", "ditto"]),
    "options": _OPTIONS,
    "consent": _CONSENT,
}
_AVATAR = {
    "image": {**_FILE, "description": "The person: PNG, JPEG, WebP, BMP, or a video for Ditto"},
    "name": {"type": "string", "maxLength": 80, "description": "For the owner alone"},
    "engine": engine(["lite", "ditto"]),
    "options": {"type": "object", "description": "face_index, and Ditto's framing", "properties": _FRAMING, "example": {"face_index": 0}},
    "consent": _CONSENT,
}

_KINDS = {
    "audio": "audio/wav, audio/mpeg, audio/mp4, audio/flac, audio/ogg, audio/webm",
    "image": "image/png, image/jpeg, image/webp, image/bmp, video/mp4, video/webm",
    "options": "application/json",
}
"""What the parts usually are. It is told from their content; what a client says of it is not looked at."""
_SAID = {
    400: "The request is malformed, or a part is missing",
    401: "No key, or a key that is not known",
    403: "A web page of an origin that is not allowed",
    404: "There is no such job or avatar for this owner",
    408: "The upload took too long",
    409: "The job has no result (yet), or was stopped",
    413: "A file, a field or the whole request is too large",
    415: "A file is not what this part takes, by its content",
    422: "An option, the recording or the photo cannot be used; the message says why",
    429: "Too many requests, or too much at once; see Retry-After",
    500: "A defect of the server",
    503: "Busy or not ready; see Retry-After",
}
ALWAYS = (400, 401, 403, 429, 500)
UPLOAD = (*ALWAYS, 408, 409, 413, 415, 422, 503)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The described errors of a route."""
    return {status: {"model": ErrorBody, "description": _SAID[status]} for status in sorted({*ALWAYS, *statuses})}


def form(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    kinds = {name: {"contentType": kind} for name, kind in _KINDS.items() if name in properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, "encoding": kinds}}}}


VIDEO_FORM = form(_VIDEO, required=["audio"], oneOf=[{"required": ["image"]}, {"required": ["avatar"]}])
AVATAR_FORM = form(_AVATAR, required=["image"])
MP4: dict[str, Any] = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
JPEG: dict[str, Any] = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
JOB_LINKS = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}} for name in ("job_status", "job_result", "delete_job")
}
AVATAR_LINKS = {
    name: {"operationId": name, "parameters": {"token": "$response.body#/token"}} for name in ("avatar_thumbnail", "delete_avatar")
}
