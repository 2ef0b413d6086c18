"""POST /generate, and the routes of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse
from starlette.types import Receive, Scope, Send

from core.errors import BusyError, Cancelled
from core.media.captions import Caption, subrip, webvtt
from core.service.errors import JobNotReady, MadeRoom, UnknownJob
from core.service.job_views import JobView
from core.service.leases import Lease
from core.web.api import spec
from core.web.api.connection import gone, serve_while_connected
from core.web.api.context import Async, Context, Here, IdempotencyKey, Owner
from core.web.api.errors import as_response
from core.web.api.head import with_sent_method
from core.web.api.models import INFO_EXAMPLE, JobStatus, status_of_job
from core.web.api.request_parsing import accept_video
from core.web.live.connection import accept

router = APIRouter(tags=["videos"])

STOP_S = 10.0
"""How long a deleted job is waited for; it stops at its next step."""

_INFO_HEADER = {
    "X-Generation-Info": {
        "description": "What was made and how fast, as JSON",
        "schema": {"type": "string"},
        "example": json.dumps(INFO_EXAMPLE),
    }
}


def _captions(kind: str) -> dict[str, Any]:
    said = {"description": "The captions", "content": {kind: {"schema": {"type": "string"}}}}
    return {"response_class": Response, "responses": {**spec.errors(404, 409, 410), 200: said}}


@router.post(
    "/generate",
    summary="One recording, or one text, and one person become a video",
    response_class=FileResponse,
    openapi_extra=spec.VIDEO_FORM,
    responses={
        **spec.errors(*spec.UPLOAD, 404, 410),
        200: {"description": "The video", "content": spec.MP4, "headers": _INFO_HEADER},
        202: {"model": JobStatus, "description": "With async=1: the job, to be watched at its Location", "links": spec.JOB_LINKS},
    },
)
async def generate(
    http: Request, context: Here, owner: Owner, async_: Async = False, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Waits for the video and answers with it; a client that goes away stops the work. With `async=1` the answer is a job."""
    job = await accept_video(http, context, owner, "video", kept=async_ or bool(idempotency_key), idempotency_key=idempotency_key)
    if async_:
        return accepted(job, context)
    ended = await wait_for_job(http, context, job)
    if ended is None:
        return Response(status_code=499)  # nobody is there to read it
    try:
        return _Video(ended, forget=lambda: context.jobs.abandon(job.id, owner))
    except BaseException:
        await context.jobs.abandon_on_thread(job.id, owner)
        raise


async def wait_for_job(http: Request, context: Context, job: JobView) -> JobView | None:
    """The job when it has ended well; None where the client went first, which ends a job that nobody else waits for.

    Raises what the job failed with.
    """
    ended: list[JobView] = []

    async def end() -> None:
        ended.append(await context.jobs.ended(job.id, job.owner))

    try:
        if await gone(http, end()):
            await context.jobs.abandon_on_thread(job.id, job.owner)
            return None
    except BaseException:
        await context.jobs.abandon_on_thread(job.id, job.owner)
        raise
    if ended[0].state == "done":
        return await asyncio.to_thread(context.jobs.with_files, job.id, job.owner)
    await context.jobs.abandon_on_thread(job.id, job.owner)
    raise ended[0].error or Cancelled("The job was cancelled.", code="cancelled")


@router.get("/jobs/{job_id}", summary="Where a job stands", response_model=JobStatus, responses=spec.errors(404, 410))
async def job_status(job_id: str, context: Here, owner: Owner) -> JobStatus:
    return status_of_job(await asyncio.to_thread(context.jobs.get, job_id, owner))


@router.get(
    "/jobs/{job_id}/result",
    summary="The video of a job that is done",
    response_class=FileResponse,
    responses={
        **spec.errors(404, 409, 410, 422, 503, 507),
        200: {"description": "The video", "content": spec.MP4, "headers": _INFO_HEADER},
        206: {"description": "The part asked for with Range", "content": spec.MP4},
        416: {"description": "No such part"},
    },
)
async def job_result(job_id: str, context: Here, owner: Owner) -> Response:
    job = await asyncio.to_thread(context.jobs.with_files, job_id, owner)
    if not job.ended:
        raise JobNotReady(f"The job is still {job.state}.", "Wait for its end at /jobs/{id}/events.", code="job_not_ready")
    if job.kind not in ("video", "idle"):
        raise JobNotReady("This job makes no file.", "What it made is in the job's status.", code="job_without_file")
    if job.state != "done":
        raise job.error or Cancelled("The job was cancelled.", code="cancelled")
    return _Video(job)


@router.get("/jobs/{job_id}/captions.vtt", summary="The captions of a job, as WebVTT", **_captions("text/vtt"))
async def job_captions_vtt(job_id: str, context: Here, owner: Owner) -> Response:
    return Response(webvtt(await _captions_of(job_id, context, owner)), headers={"Content-Type": "text/vtt; charset=utf-8"})


@router.get("/jobs/{job_id}/captions.srt", summary="The captions of a job, as SubRip", **_captions("application/x-subrip"))
async def job_captions_srt(job_id: str, context: Here, owner: Owner) -> Response:
    return Response(subrip(await _captions_of(job_id, context, owner)), headers={"Content-Type": "application/x-subrip; charset=utf-8"})


@router.get(
    "/jobs/{job_id}/visemes",
    summary="What the mouth does in the video of a job, in numbers",
    response_class=Response,
    responses={
        **spec.errors(404, 409, 410),
        200: {"description": "The visemes", "content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def job_visemes(job_id: str, context: Here, owner: Owner) -> Response:
    job = await asyncio.to_thread(context.jobs.with_files, job_id, owner)
    if not job.ended:
        raise JobNotReady(f"The job is still {job.state}.", "Wait for its end at /jobs/{id}/events.", code="job_not_ready")
    if job.visemes is None:
        raise JobNotReady("This job has no visemes.", "Ask for a video with the option visemes.", code="job_without_visemes")
    try:
        data = await asyncio.to_thread(job.visemes.read_bytes)
    except OSError:
        raise MadeRoom from None
    return Response(data, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _captions_of(job_id: str, context: Context, owner: str) -> tuple[Caption, ...]:
    job = await asyncio.to_thread(context.jobs.get, job_id, owner)
    if not job.captions and not job.ended:
        raise JobNotReady(f"The job is still {job.state}.", "Wait for its end at /jobs/{id}/events.", code="job_not_ready")
    if not job.captions:
        hint = "They come with texts whose voice tells the times of words, and with recordings where there is a recogniser."
        raise JobNotReady("This job has no captions.", hint, code="job_without_captions")
    return job.captions


@router.delete(
    "/jobs/{job_id}", summary="Stop a job, and forget it and its video", response_model=JobStatus, responses=spec.errors(404, 410)
)
async def delete_job(job_id: str, context: Here, owner: Owner) -> JobStatus:
    """Answers when the work has stopped, with the state it ended in."""
    job = await asyncio.to_thread(context.jobs.cancel, job_id, owner)
    if not job.ended:
        with contextlib.suppress(TimeoutError, UnknownJob):
            job = await asyncio.wait_for(context.jobs.ended(job_id, owner), STOP_S)
    with contextlib.suppress(UnknownJob):
        await asyncio.to_thread(context.jobs.forget, job_id, owner)
    return status_of_job(job).model_copy(update={"result": None})


@router.websocket("/jobs/{job_id}/events")
async def events(socket: WebSocket, job_id: str, context: Here, owner: Owner) -> None:
    """The job's status as JSON, now and at each change; closes with 1000 after that of its end."""
    await asyncio.to_thread(context.jobs.get, job_id, owner)  # an unknown one is refused before the handshake

    async def tell() -> None:
        async for job in context.jobs.watch(job_id, owner):
            await socket.send_text(status_of_job(job).model_dump_json())

    with context.watchers.slot(owner):
        await accept(socket)
        try:
            if not await serve_while_connected(socket, tell()):
                await socket.close(1000)
        except UnknownJob:
            await socket.close(1000)
        except BusyError as error:  # the server stops
            await socket.close(1001, error.message)


def accepted(job: JobView, context: Context) -> Response:
    """202 with the job."""
    location = f"{context.settings.root_path}/jobs/{job.id}"
    return JSONResponse(status_of_job(job).model_dump(), 202, {"Location": location, "Retry-After": "1"})


class _Video(FileResponse):
    """The video of a job, which makes no room for others while it is sent. forget: called when it was sent, or could not be."""

    def __init__(self, job: JobView, forget: Callable[[], None] | None = None) -> None:
        if job.video is None or job.info is None or not job.video.is_file():
            raise MadeRoom
        about = {
            "X-Job-Id": job.id,
            "X-Engine": job.info.engine,
            "X-Generation-Info": json.dumps(job.info.to_dict()),
            "Cache-Control": "no-store",
        }
        super().__init__(job.video, headers=about, media_type="video/mp4", filename="talking-head.mp4")
        self._folder, self._forget = job.video.parent, forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                lease = await asyncio.to_thread(Lease, self._folder)
            except OSError:  # it made room in this moment
                await as_response(MadeRoom())(scope, receive, send)
                return
            with lease:
                await super().__call__(with_sent_method(scope), receive, send)
        finally:
            if self._forget is not None:
                await asyncio.to_thread(self._forget)
