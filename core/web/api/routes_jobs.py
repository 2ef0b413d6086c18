"""POST /generate, and the jobs it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse
from starlette.types import Receive, Scope, Send

from core.errors import BusyError, Cancelled
from core.scheduler import Scheduler
from core.service.jobs import Entry
from core.types import GenerationInfo
from core.web.api import spec
from core.web.api.connection import accept, gone, serve_while_connected
from core.web.api.context import Async, Here, Owner
from core.web.api.errors import NotFound, NotReady
from core.web.api.models import INFO_EXAMPLE, JobStatus
from core.web.api.request_parsing import video_request

router = APIRouter(tags=["videos"])

_INFO_HEADER = {
    "X-Generation-Info": {
        "description": "What was made and how fast, as JSON",
        "schema": {"type": "string"},
        "example": json.dumps(INFO_EXAMPLE),
    }
}


@router.post(
    "/generate",
    summary="One recording and one person become a video",
    response_class=FileResponse,
    openapi_extra=spec.VIDEO_FORM,
    responses={
        **spec.errors(*spec.UPLOAD, 404),
        200: {"description": "The video", "content": spec.MP4, "headers": _INFO_HEADER},
        202: {"model": JobStatus, "description": "With async=1: the job, to be watched at its Location", "links": spec.JOB_LINKS},
    },
)
async def generate(
    http: Request, context: Here, owner: Owner, async_: Async = False
) -> Response:
    """Waits for the video and answers with it; a client that goes away stops the work. With `async=1` the answer is a job."""
    request = await video_request(http, context, owner)
    video = context.outputs.new_video()
    entry = await context.jobs.start(owner, "video", video, lambda told: context.studio.submit(request, video, told))
    if async_:
        return accepted(entry, context.studio.scheduler)
    try:
        if await gone(http, entry.ended()):
            context.jobs.abandon(entry)
            return Response(status_code=499)  # nobody is there to read it
        generation = entry.job.result()
    except Cancelled:
        context.jobs.abandon(entry)
        raise BusyError("The server is stopping.", "Try again later.") from None  # nobody else knows of this job
    except BaseException:
        context.jobs.abandon(entry)
        raise
    return _Once(generation.path, headers=_about(entry.job.id, generation.info), forget=lambda: context.jobs.abandon(entry))


@router.get("/jobs/{job_id}", summary="Where a job stands", response_model=JobStatus, responses=spec.errors(404))
async def job_status(job_id: str, context: Here, owner: Owner) -> JobStatus:
    return context.jobs.get(job_id, owner).status(context.studio.scheduler)


@router.get(
    "/jobs/{job_id}/result",
    summary="The video of a job that is done",
    response_class=FileResponse,
    responses={
        **spec.errors(404, 409, 422, 503),
        200: {"description": "The video", "content": spec.MP4, "headers": _INFO_HEADER},
        206: {"description": "The part asked for with Range", "content": spec.MP4},
        416: {"description": "No such part"},
    },
)
async def job_result(job_id: str, context: Here, owner: Owner) -> Response:
    entry = context.jobs.get(job_id, owner)
    if not entry.job.wait(0):
        raise NotReady(f"The job is still {entry.job.state}.", "Wait for its end at /jobs/{id}/events.", {"Retry-After": "1"})
    if entry.video is None:
        raise NotReady("This job makes an avatar, no video.", "Its token is in the job's status.")
    made = entry.job.result()
    if not made.path.is_file():
        raise NotFound("The video is no longer kept.", "Make it again.")
    return FileResponse(made.path, media_type="video/mp4", filename="talking-head.mp4", headers=_about(entry.job.id, made.info))


@router.delete("/jobs/{job_id}", summary="Stop a job, and forget it and its video", response_model=JobStatus, responses=spec.errors(404))
async def delete_job(job_id: str, context: Here, owner: Owner) -> JobStatus:
    """Answers when the work has stopped, with the state it ended in."""
    entry = context.jobs.get(job_id, owner)
    await context.jobs.stop(entry)
    return entry.status(context.studio.scheduler).model_copy(update={"result": None})


@router.websocket("/jobs/{job_id}/events")
async def events(socket: WebSocket, job_id: str, context: Here, owner: Owner) -> None:
    """The job's status as JSON, now and at each change; closes with 1000 after that of its end."""
    entry = context.jobs.get(job_id, owner)

    async def tell() -> None:
        async for status in entry.changes(context.studio.scheduler):
            await socket.send_text(status.model_dump_json())

    with context.watchers.slot(owner):
        await accept(socket)
        if not await serve_while_connected(socket, tell()):
            await socket.close(1000)


def accepted(entry: Entry[Any], scheduler: Scheduler) -> Response:
    """202 with the job."""
    return JSONResponse(entry.status(scheduler).model_dump(), 202, {"Location": f"/jobs/{entry.job.id}", "Retry-After": "1"})


def _about(job_id: str, info: GenerationInfo) -> dict[str, str]:
    return {"X-Job-Id": job_id, "X-Engine": info.engine, "X-Generation-Info": json.dumps(info.to_dict()), "Cache-Control": "no-store"}


class _Once(FileResponse):
    """A video that is forgotten when it was sent, or could not be."""

    def __init__(self, path: Path, headers: dict[str, str], forget: Callable[[], None]) -> None:
        super().__init__(path, headers=headers, media_type="video/mp4", filename="talking-head.mp4")
        self._forget = forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._forget()
