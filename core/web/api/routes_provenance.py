"""POST /detect: how a video is marked as synthetic; GET /live/{id}/provenance: what a live session says of its video."""

from __future__ import annotations

from fastapi import APIRouter, Request

from core.service.errors import Malformed
from core.web.api import spec
from core.web.api.context import Here, Owner
from core.web.api.provenance_models import Detected, LiveProvenance
from core.web.api.uploads import read_form

router = APIRouter(tags=["provenance"])


@router.post(
    "/detect",
    summary="How a video is marked as synthetic",
    response_model=Detected,
    openapi_extra=spec.DETECT_FORM,
    responses=spec.errors(408, 413, 415, 422, 507),
)
async def detect(http: Request, context: Here, owner: Owner) -> Detected:
    """Looks for the imperceptible mark in the pictures, and reads metadata and manifest of an MP4. Nothing is kept of the video."""
    service = context.service
    service.detection.check_room(owner)
    with context.uploads.slot(owner):
        async with read_form(http, {"video": "video"}, service.outputs, context.settings) as form:
            if "video" not in form.files:
                raise Malformed("video is missing.", "Send it as a part named video.")
            found = await service.detection.read(form.files["video"], owner)
    return Detected(**found.to_dict())


@router.get(
    "/live/{session_id}/provenance",
    summary="What a live session says of its video",
    response_model=LiveProvenance,
    responses=spec.errors(404),
)
async def live_provenance(session_id: str, context: Here, owner: Owner) -> LiveProvenance:
    """While the session lasts, for its owner. The same is in the first piece of its stream; the mark is in every frame."""
    told = context.live.statement(session_id, owner)
    return LiveProvenance(session=told.session_id, synthetic=True, running_s=round(told.running_s, 1), metadata=dict(told.metadata))
