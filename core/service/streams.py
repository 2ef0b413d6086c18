"""A stream's pieces for the one who reads it: handed out when its job runs, or the reason why it will not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future

import anyio
import anyio.to_thread

from core.errors import Cancelled
from core.media.segments import Segment
from core.service.errors import stopping
from core.service.jobs import Jobs
from core.service.remote_streams import RemoteStream
from core.streaming.recording import SegmentStream


class OpenStream:
    """One whose first piece is there. pieces: to be closed by the reader."""

    def __init__(self, pieces: SegmentStream | RemoteStream, first: Segment, limiter: anyio.CapacityLimiter) -> None:
        self.pieces, self._first, self._limiter = pieces, first, limiter

    async def data(self) -> AsyncIterator[bytes]:
        """All of it. Raises what ended the job, after the pieces made before."""
        yield self._first.data
        while (piece := await anyio.to_thread.run_sync(next, self.pieces, None, limiter=self._limiter)) is not None:
            yield piece.data


async def open_stream(jobs: Jobs, handle: Future[SegmentStream | RemoteStream]) -> OpenStream | None:
    """handle: of the job, as `Jobs.handle` gives it. None where there is nothing to be read.

    Raises what the job failed with, and BusyError with code "stopping" where the service stops before the first piece.
    """
    limiter = anyio.CapacityLimiter(1)
    try:
        pieces = await asyncio.shield(asyncio.wrap_future(handle))  # the job sets it, also where its reader left meanwhile
        first = await anyio.to_thread.run_sync(next, pieces, None, limiter=limiter)
    except Cancelled:
        if jobs.stopping:
            raise stopping() from None
        raise
    if first is None:
        pieces.close()
        return None
    return OpenStream(pieces, first, limiter)
