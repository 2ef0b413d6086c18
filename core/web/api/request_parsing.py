"""A form becomes what the studio takes: recording, person, options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import Request as HttpRequest

from core.errors import OptionError
from core.settings import Settings
from core.types import Audio, Avatar, Request, Source
from core.web.api.context import Context, check_room
from core.web.api.errors import Malformed
from core.web.api.options import check_engine, options_in, options_of
from core.web.api.uploads import Form, Part, read_form

VIDEO_PARTS: dict[str, Part] = {
    "audio": "sound", "image": "person", "avatar": "text", "engine": "text", "options": "text", "consent": "text",
}  # fmt: skip
AVATAR_PARTS: dict[str, Part] = {
    "image": "person", "name": "text", "engine": "text", "options": "text", "consent": "text",
}  # fmt: skip


@asynccontextmanager
async def upload(http: HttpRequest, context: Context, owner: str, parts: Mapping[str, Part]) -> AsyncIterator[Form]:
    """The form of a request that will start a job. A full house is told before anything is read."""
    check_room(context, owner)
    with context.uploads.slot(owner):
        async with read_form(http, parts, context.upload_root, context.settings) as form:
            yield form


async def video_request(http: HttpRequest, context: Context, owner: str) -> Request:
    """The request of POST /generate and POST /stream. Raises ApiError, InputError, BusyError."""
    async with upload(http, context, owner, VIDEO_PARTS) as form:
        if "audio" not in form.files:
            raise Malformed("audio is missing.", "Send the recording as a part named audio.")
        token = form.fields.get("avatar", "")
        if bool(token) == ("image" in form.files):
            both = "Both image and avatar are given." if token else "image is missing, and no avatar is given."
            raise Malformed(both, "Send a photo as image, or a token as avatar.")
        engine = check_engine(form.fields.get("engine") or "auto", context.studio)
        options = options_of(options_in(form.fields.get("options", "")), context.settings, avatar=bool(token))
        if token:
            source: Source | Avatar = await asyncio.to_thread(context.studio.avatar, token, owner)
        else:
            check_consent(form, context.settings)
            source = await person(form, context)
        audio = await sound(form, context)
    return Request(audio, source, engine, options.framing, options.controls, options.render, owner=owner)


async def person(form: Form, context: Context) -> Source:
    """The photo, or the video, of the form."""
    from core.media.source import load_source  # imported when first needed: the server must answer before it is loaded

    async with context.decoders:
        source: Source = await asyncio.to_thread(load_source, form.files["image"], context.settings)
    return source


async def sound(form: Form, context: Context) -> Audio:
    from core.media.audio import load_audio

    async with context.decoders:
        return await asyncio.to_thread(load_audio, form.files["audio"], context.settings)


def check_consent(form: Form, settings: Settings) -> bool:
    """Whether it was declared. Raises OptionError where it must be."""
    given = form.fields.get("consent", "").strip().lower() in ("1", "true", "yes", "on")
    if settings.require_consent and not given:
        raise OptionError("The consent of the person shown was not declared.", "Send consent=true if they gave it.")
    return given
