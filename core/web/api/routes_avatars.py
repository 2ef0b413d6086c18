"""Routes of avatars: people that an owner registers once and shows often."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from core.request import Avatar
from core.web.api import spec
from core.web.api.context import Async, Here, IdempotencyKey, Owner
from core.web.api.models import AvatarCard, AvatarList, Freed, JobStatus
from core.web.api.request_parsing import accept_avatar
from core.web.api.routes_jobs import accepted, wait_for_job

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
    http: Request, context: Here, owner: Owner, async_: Async = False, idempotency_key: IdempotencyKey = ""
) -> Response:
    """The token in the answer stands for the person from now on. The same photo again, read the same way, has the same token."""
    job = await accept_avatar(http, context, owner, kept=async_ or bool(idempotency_key), idempotency_key=idempotency_key)
    if async_:
        return accepted(job, context)
    ended = await wait_for_job(http, context, job)
    if ended is None:
        return Response(status_code=499)
    await context.jobs.abandon_on_thread(job.id, owner)
    avatar = await asyncio.to_thread(context.studio.avatar, ended.avatar or "", owner)
    return JSONResponse(_card(avatar).model_dump(), 201)


@router.get("", summary="The owner's people", response_model=AvatarList, responses=spec.errors())
async def list_avatars(context: Here, owner: Owner) -> AvatarList:
    avatars = await asyncio.to_thread(context.studio.list_avatars, owner)
    return AvatarList(avatars=[_card(avatar) for avatar in avatars])


@router.get(
    "/{token}/thumbnail",
    summary="A small picture of the face",
    response_class=Response,
    responses={**spec.errors(404, 422), 200: {"description": "256×256 pixels; moving: 96×96", "content": {**spec.JPEG, **spec.WEBP}}},
)
async def avatar_thumbnail(
    token: str, context: Here, owner: Owner, moving: Annotated[bool, Query(description="of a video: its beginning")] = False
) -> Response:
    moves = await asyncio.to_thread(context.studio.moving_thumbnail, token, owner) if moving else None
    picture = moves or await asyncio.to_thread(context.studio.thumbnail, token, owner)
    return Response(picture, media_type="image/webp" if moves else "image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.delete("/{token}", summary="Delete a person, and every video kept of them", response_model=Freed, responses=spec.errors(404))
async def delete_avatar(token: str, context: Here, owner: Owner) -> Freed:
    return Freed(freed_bytes=await asyncio.to_thread(context.service.avatars.delete, token, owner))


def _card(avatar: Avatar) -> AvatarCard:
    return AvatarCard(
        token=avatar.token,
        name=avatar.name,
        kind=avatar.kind,
        width=avatar.width,
        height=avatar.height,
        face_index=avatar.framing.face_index,
        landmarks=None if avatar.framing.landmarks is None else [list(point) for point in avatar.framing.landmarks],
        created_s=avatar.created_s,
        nbytes=avatar.nbytes,
        consent=avatar.consent,
        warnings=list(avatar.warnings),
        thumbnail=f"/avatars/{avatar.token}/thumbnail",
    )
