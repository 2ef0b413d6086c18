"""Caches, health and figures."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from core.errors import EngineUnavailable, OptionError
from core.web.api import spec
from core.web.api.context import Context, Here, Owner
from core.web.api.models import ClearRequest, Freed, Health, Queue

router = APIRouter(tags=["service"])


@router.post("/cache/clear", summary="Delete what is kept of this owner", response_model=Freed, responses=spec.errors(413, 422))
async def clear_cache(what: ClearRequest, context: Here, owner: Owner) -> Freed:
    """`avatars` and every video of them, `results` (kept to answer the same request again, and those of ended jobs), or `all`."""
    freed = await asyncio.to_thread(context.studio.clear_cache, what.which, owner)
    return Freed(freed_bytes=freed + context.jobs.forget(owner, with_avatar=what.which == "avatars"))


@router.get(
    "/health",
    summary="Whether the server lives, and can make videos",
    response_model=Health,
    responses={503: {"model": Health, "description": "It lives, but is not ready: the engine is still loading, or cannot be"}},
)
async def health(context: Here, response: Response) -> Health:
    """Needs no key. Answers from the first second on."""
    state = await asyncio.to_thread(_health, context)
    if not state.ready:
        response.status_code = 503
    return state


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={**spec.errors(), 200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(context: Here, owner: Owner) -> Response:
    text, kind = await asyncio.to_thread(context.metrics.text)
    return Response(text, headers={"Content-Type": kind})


def _health(context: Context) -> Health:
    told, caches = context.studio.health(), context.figures.stats()
    caches.pop("queue", None)
    try:
        engine, problem = context.studio.choose_engine("auto")[0], ""
    except (EngineUnavailable, OptionError) as error:
        engine, problem = "", str(error)
    return Health(
        live=told["live"],
        ready=told["ready"],
        engine=engine,
        engines=told["engines"],
        loaded=told["loaded"],
        loading=told["loading"],
        device=told["device"],
        problem=problem,
        queue=Queue(**told["queue"]),
        cache=caches,
        live_sessions=context.live.n_sessions,
    )
