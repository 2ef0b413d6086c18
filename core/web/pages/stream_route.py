"""Sends a video while it is made: each stream has an address of its own, which is good once."""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator

from starlette.responses import PlainTextResponse, StreamingResponse

from core.errors import BusyError, TalkingHeadError
from core.service.errors import UnknownJob
from core.service.jobs import Jobs
from core.service.owners import Asgi, Receive, Scope, Send
from core.service.streams import OpenStream, open_stream
from core.web.statuses import headers_of, status_of

logger = logging.getLogger(__name__)

FOLDER = "talking_head_stream"
MAX_CLAIMED = 4096
"""Addresses that are known to be used up; of older ones the job is long forgotten."""
_ADDRESS = re.compile(rf"/{FOLDER}/([\w-]{{22}})$")


def stream_address(job_id: str) -> str:
    """Where the stream of a job can be fetched once, relative to the page. The job's id is what nobody can guess."""
    return f"{FOLDER}/{job_id}"


def job_at(address: str) -> str:
    """The job whose stream is at an address; "" for what is no such address."""
    found = _ADDRESS.search(f"/{address}")
    return found[1] if found else ""


class StreamRoute:
    """ASGI middleware: answers at the addresses of streams, wherever the page is mounted. Who goes away stops the work."""

    def __init__(self, app: Asgi, jobs: Jobs) -> None:
        self._app, self._jobs = app, jobs
        self._claimed: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        try:
            handle = self._jobs.handle(found[1])
            if not self._claim(found[1]):
                raise UnknownJob
        except UnknownJob:
            await PlainTextResponse("There is no such stream.", 404)(scope, receive, send)
            return
        try:
            stream = await open_stream(self._jobs, handle)
        except BusyError as error:  # the service stops
            await PlainTextResponse(str(error), status_of(error), headers_of(error))(scope, receive, send)
            return
        except TalkingHeadError:  # the page asks why, and says it in its own language
            stream = None
        except Exception:
            logger.exception("a stream failed before its first piece")
            stream = None
        if stream is None:
            await PlainTextResponse("The stream could not be made.", 409)(scope, receive, send)
            return
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        answer = StreamingResponse(_data(stream), media_type=stream.pieces.mime_type, headers=headers)
        await answer(scope, receive, send)

    def _claim(self, job_id: str) -> bool:
        with self._lock:
            if job_id in self._claimed:
                return False
            self._claimed[job_id] = None
            while len(self._claimed) > MAX_CLAIMED:
                self._claimed.popitem(last=False)
            return True


async def _data(stream: OpenStream) -> AsyncIterator[bytes]:
    try:
        async for data in stream.data():
            yield data
    except TalkingHeadError:  # what was sent so far plays; the page asks what happened
        return
    except Exception:
        logger.exception("a stream failed")
    finally:
        stream.pieces.close()
