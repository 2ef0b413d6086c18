"""POST /stream: a video while it is being made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from core.service.streams import OpenStream, open_stream
from core.web.api import spec
from core.web.api.connection import gone
from core.web.api.context import Here, Owner
from core.web.api.request_parsing import accept_video

router = APIRouter(tags=["videos"])


@router.post(
    "/stream",
    summary="One recording, or one text, and one person become a video that plays while it is made",
    response_class=StreamingResponse,
    openapi_extra=spec.VIDEO_FORM,
    responses={
        **spec.errors(*spec.UPLOAD, 404),
        200: {"description": "Fragmented MP4: H.264 and AAC, first an initialisation, then pieces of at most 2 s", "content": spec.MP4},
    },
)
async def stream(http: Request, context: Here, owner: Owner) -> Response:
    """Chunked. An error after the first piece breaks the answer off. A client that goes away stops the work."""
    job = await accept_video(http, context, owner, "stream", kept=False, idempotency_key="")
    begun: list[OpenStream | None] = []

    async def begin() -> None:
        begun.append(await open_stream(context.jobs, context.jobs.handle(job.id)))

    try:
        left = await gone(http, begin())  # errors up to here have an answer of their own
    except BaseException:
        await context.jobs.abandon_on_thread(job.id, owner)
        raise
    opened = None if left else begun[0]
    if opened is None:
        await context.jobs.abandon_on_thread(job.id, owner)
        return Response(status_code=499)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Job-Id": job.id}
    data = _data(opened, lambda: context.jobs.abandon_on_thread(job.id, owner))
    return StreamingResponse(data, media_type=opened.pieces.mime_type, headers=headers)


async def _data(stream: OpenStream, abandon: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    try:
        async for data in stream.data():
            yield data
    finally:
        stream.pieces.close()
        await abandon()
