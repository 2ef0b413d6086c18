"""Parses forms into the inputs of the service: recording, person, options."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import Request as HttpRequest

from core.service.errors import Malformed
from core.service.job_store import JobKind
from core.service.job_views import JobView
from core.service.options import options_in
from core.service.requests import AvatarInputs, VideoInputs
from core.service.uploads import Part
from core.web.api.context import Context, check_room
from core.web.api.uploads import Form, read_form

VIDEO_PARTS: dict[str, Part] = {
    "audio": "sound", "image": "person", "avatar": "text", "engine": "text", "options": "text", "consent": "text",
    "text": "text", "voice": "text", "speed": "text", "captions": "text", "background": "picture",
}  # fmt: skip
AVATAR_PARTS: dict[str, Part] = {
    "image": "person", "name": "text", "engine": "text", "options": "text", "consent": "text",
}  # fmt: skip


async def accept_video(http: HttpRequest, context: Context, owner: str, kind: JobKind, kept: bool, idempotency_key: str) -> JobView:
    """The job of POST /generate or POST /stream, accepted. Raises ApiError, InputError, BusyError."""
    async with _form(http, context, owner, VIDEO_PARTS) as form:
        text = form.fields.get("text")
        if "audio" not in form.files and text is None:
            raise Malformed("audio is missing.", "Send the recording as a part named audio, or what is said as text.")
        if bool(form.fields.get("avatar")) == ("image" in form.files):
            both = "Both image and avatar are given." if "image" in form.files else "image is missing, and no avatar is given."
            raise Malformed(both, "Send a photo or video as image, or a token as avatar.")
        inputs = VideoInputs(
            form.files.get("audio"),
            form.files.get("image"),
            form.fields.get("avatar", ""),
            form.fields.get("engine") or "auto",
            options_in(form.fields.get("options", "")),
            _flag(form, "consent", False),
            text=text,
            voice=form.fields.get("voice", ""),
            speed=form.fields.get("speed") or 1.0,
            captions=_captions(form, readable=kept or kind == "stream"),
            background=form.files.get("background"),
        )
        return await context.service.requests.video(inputs, owner, kind=kind, kept=kept, idempotency_key=idempotency_key)


async def accept_avatar(http: HttpRequest, context: Context, owner: str, kept: bool, idempotency_key: str) -> JobView:
    """The job of POST /avatars, accepted. Raises as `accept_video`."""
    async with _form(http, context, owner, AVATAR_PARTS) as form:
        if "image" not in form.files:
            raise Malformed("image is missing.", "Send the photo or video as a part named image.")
        inputs = AvatarInputs(
            form.files.get("image"),
            form.fields.get("name", ""),
            form.fields.get("engine") or "auto",
            options_in(form.fields.get("options", "")),
            _flag(form, "consent", False),
        )
        return await context.service.requests.avatar(inputs, owner, kept=kept, idempotency_key=idempotency_key)


@asynccontextmanager
async def _form(http: HttpRequest, context: Context, owner: str, parts: Mapping[str, Part]) -> AsyncIterator[Form]:
    """The form of a request that will start a job. Where there is no room, that is told before anything is read."""
    declared = http.headers.get("content-length", "")
    await check_room(context, owner, int(declared) if declared.isdecimal() else 0)
    with context.uploads.slot(owner):
        async with read_form(http, parts, context.service.outputs, context.settings) as form:
            yield form


def _captions(form: Form, readable: bool) -> bool | None:
    """readable: the job can be asked for them. Else nothing is recognised that nobody can read."""
    if form.fields.get("captions", "").strip():
        return _flag(form, "captions", False)
    return None if readable or "text" in form.fields else False


def _flag(form: Form, name: str, missing: bool) -> bool:
    given = form.fields.get(name, "").strip().lower()
    return given in ("1", "true", "yes", "on") if given else missing
