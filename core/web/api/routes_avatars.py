"""People that an owner registers once and shows often."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from core.types import Avatar
from core.web.api import spec
from core.web.api.connection import gone
from core.web.api.context import Async, Here, Owner
from core.web.api.errors import Malformed
from core.web.api.models import AvatarCard, AvatarList, Freed, JobStatus
from core.web.api.options import check_engine, options_in, options_of
from core.web.api.request_parsing import AVATAR_PARTS, check_consent, person, upload
from core.web.api.routes_jobs import accepted

router = APIRouter(prefix="/avatars", tags=["avatars"])


@router.post(
    "",
    summary="Register a person",
    status_code=201,
    response_model=AvatarCard,
    openapi_extra=spec.AVATAR_FORM,
    responses={
        **spec.errors(*spec.UPLOAD),
        201: {"model": AvatarCard, "description": "The person", "links": spec.AVATAR_LINKS},
        202: {"model": JobStatus, "description": "With async=1: the job", "links": spec.JOB_LINKS},
    },
)
async def register_avatar(
    http: Request, context: Here, owner: Owner, async_: Async = False
) -> Response:
    """The token in the answer stands for the person from now on. The same photo again, read the same way, has the same token."""
    async with upload(http, context, owner, AVATAR_PARTS) as form:
        if "image" not in form.files:
            raise Malformed("image is missing.", "Send the photo as a part named image.")
        engine = check_engine(form.fields.get("engine") or "auto", context.studio)
        options = options_of(options_in(form.fields.get("options", "")), context.settings, avatar=False)
        consent = check_consent(form, context.settings)
        source = await person(form, context)
        name = form.fields.get("name", "")
    entry = await context.jobs.start(
        owner,
        "avatar",
        None,
        lambda told: context.studio.submit_avatar(
            source, owner, name=name, framing=options.framing, engine=engine, consent=consent, on_progress=told
        ),
    )
    if async_:
        return accepted(entry, context.studio.scheduler)
    left = await gone(http, entry.ended())
    context.jobs.abandon(entry)
    if left:
        return Response(status_code=499)
    return JSONResponse(_card(entry.job.result()).model_dump(), 201)


@router.get("", summary="The owner's people", response_model=AvatarList, responses=spec.errors())
async def list_avatars(context: Here, owner: Owner) -> AvatarList:
    avatars = await asyncio.to_thread(context.studio.list_avatars, owner)
    return AvatarList(avatars=[_card(avatar) for avatar in avatars])


@router.get(
    "/{token}/thumbnail",
    summary="A small picture of the face",
    response_class=Response,
    responses={**spec.errors(404), 200: {"description": "256×256 pixels", "content": spec.JPEG}},
)
async def avatar_thumbnail(token: str, context: Here, owner: Owner) -> Response:
    picture = await asyncio.to_thread(context.studio.thumbnail, token, owner)
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.delete("/{token}", summary="Delete a person, and every video kept of them", response_model=Freed, responses=spec.errors(404))
async def delete_avatar(token: str, context: Here, owner: Owner) -> Freed:
    freed = await asyncio.to_thread(context.studio.delete_avatar, token, owner)
    return Freed(freed_bytes=freed + context.jobs.forget(owner, token))


def _card(avatar: Avatar) -> AvatarCard:
    return AvatarCard(
        token=avatar.token,
        name=avatar.name,
        kind=avatar.kind,
        width=avatar.width,
        height=avatar.height,
        face_index=avatar.framing.face_index,
        created_s=avatar.created_s,
        nbytes=avatar.nbytes,
        consent=avatar.consent,
        warnings=list(avatar.warnings),
        thumbnail=f"/avatars/{avatar.token}/thumbnail",
    )
