"""POST /stream: a video while it is being made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from core.errors import TalkingHeadError
from core.media.fragmented_mp4 import Segment
from core.streaming.recording import SegmentStream
from core.web.api import spec
from core.web.api.connection import gone
from core.web.api.context import Context, Here, Owner
from core.web.api.request_parsing import video_request

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
    request = await video_request(http, context, owner)
    limiter = anyio.CapacityLimiter(1)
    pieces: SegmentStream = await anyio.to_thread.run_sync(context.studio.stream, request, limiter=limiter)
    first: list[Segment | None] = []

    async def start() -> None:
        first.append(await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter))

    try:
        left = await gone(http, start())  # errors up to here have an answer of their own
    except BaseException:
        pieces.close()
        raise
    if left or first[0] is None:
        pieces.close()
        return Response(status_code=499)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_data(first[0], pieces, limiter, context), media_type=pieces.mime_type, headers=headers)


async def _data(first: Segment, pieces: SegmentStream, limiter: Any, context: Context) -> AsyncIterator[bytes]:
    state = "cancelled"
    try:
        yield first.data
        while (piece := await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)) is not None:
            yield piece.data
        context.metrics.made(await anyio.to_thread.run_sync(pieces.job.result, limiter=limiter))
        state = "done"
    except TalkingHeadError:
        state = "failed"
        raise
    finally:
        pieces.close()
        context.metrics.jobs.labels("stream", state).inc()
