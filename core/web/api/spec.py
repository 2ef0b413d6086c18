"""What the OpenAPI document says of forms and errors, which the framework cannot see in the code."""

from __future__ import annotations

from typing import Any

from core.web.api.models import ErrorBody

_OPTIONS = {
    "type": "string",
    "contentMediaType": "application/json",
    "description": "Options by name, as JSON: size, seed, face_index, blink, head_motion, mouth, gaze_x, gaze_y, preset, and Ditto's own",
    "example": '{"size": 320, "seed": 7, "blink": 1.2}',
}
_FILE = {"type": "string", "format": "binary"}
_ENGINE = {"type": "string", "enum": ["auto", "lite", "ditto"], "default": "auto"}
_CONSENT = {"type": "boolean", "description": "The person shown agreed; some deployments ask for it"}
_VIDEO = {
    "audio": {**_FILE, "description": "The speech: WAV, MP3, M4A/AAC, FLAC, Ogg/Opus, WebM"},
    "image": {**_FILE, "description": "The person: PNG, JPEG, WebP, BMP, or a video for Ditto; or give avatar instead"},
    "avatar": {"type": "string", "description": "Token of a registered person, instead of image"},
    "engine": _ENGINE,
    "options": _OPTIONS,
    "consent": _CONSENT,
}
_AVATAR = {
    "image": {**_FILE, "description": "The person: PNG, JPEG, WebP, BMP, or a video for Ditto"},
    "name": {"type": "string", "maxLength": 80, "description": "For the owner alone"},
    "engine": _ENGINE,
    "options": {**_OPTIONS, "description": "Only face_index and Ditto's framing", "example": '{"face_index": 0}'},
    "consent": _CONSENT,
}

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


def form(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


VIDEO_FORM = form(_VIDEO, ["audio"])
AVATAR_FORM = form(_AVATAR, ["image"])
MP4: dict[str, Any] = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
JPEG: dict[str, Any] = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
