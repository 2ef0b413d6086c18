"""POST /stream: a video while it is being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from core.media.fragmented_mp4 import Segment
from core.streaming.recording import SegmentStream
from core.web.api import spec
from core.web.api.connection import gone
from core.web.api.context import Here, Owner
from core.web.api.request_parsing import accept_video

router = APIRouter(tags=["videos"])


@router.post(
    "/stream",
    summary="One recording and one person become a video that plays while it is made",
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
    limiter = anyio.CapacityLimiter(1)
    begun: list[tuple[SegmentStream, Segment | None]] = []

    async def begin() -> None:
        pieces = await asyncio.wrap_future(context.jobs.handle(job.id))
        begun.append((pieces, await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)))

    try:
        left = await gone(http, begin())  # errors up to here have an answer of their own
    except BaseException:
        context.jobs.abandon(job.id, owner)
        raise
    if left or begun[0][1] is None:
        context.jobs.abandon(job.id, owner)
        return Response(status_code=499)
    pieces, first = begun[0][0], begun[0][1]
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Job-Id": job.id}
    data = _data(first, pieces, limiter, lambda: context.jobs.abandon(job.id, owner))
    return StreamingResponse(data, media_type=pieces.mime_type, headers=headers)


async def _data(first: Segment, pieces: SegmentStream, limiter: Any, abandon: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        yield first.data
        while (piece := await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)) is not None:
            yield piece.data
    finally:
        pieces.close()
        abandon()
