"""Routes of caches, health and metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from core.web.api import spec
from core.web.api.context import Context, Here, Owner
from core.web.api.models import ClearRequest, Freed, Health, Queue

router = APIRouter(tags=["service"])

_EVERYTHING = ClearRequest()


@router.post("/cache/clear", summary="Delete what is kept of this owner", response_model=Freed, responses=spec.errors(413, 422))
async def clear_cache(context: Here, owner: Owner, what: ClearRequest = _EVERYTHING) -> Freed:
    """`avatars` and every video of them, `results` (kept to answer the same request again, and those of ended jobs),
    the `speech` of texts, or `all`.

    Without a body it is `all`.
    """
    return Freed(freed_bytes=await asyncio.to_thread(context.service.avatars.clear, what.which, owner))


@router.get(
    "/health",
    summary="Whether the server lives, and can make videos",
    response_model=Health,
    responses={503: {"model": Health, "description": "It lives, but is not ready: the engine is still loading, or cannot be"}},
)
async def health(context: Here, response: Response) -> Health:
    """Needs no key. Answers from the first second on. What the server goes on without is in `degraded`; it changes no status."""
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
    told, caches = context.service.health.report(), context.figures.stats()
    queue = caches.pop("queue")
    return Health(
        live=told["live"],
        ready=told["ready"],
        engine=told["engine"],
        engines=told["engines"],
        loaded=told["loaded"],
        loading=told["loading"],
        device=told["device"],
        problem=told["problem"],
        degraded=told["degraded"],
        queue=Queue(**queue),
        cache=caches,
        live_sessions=context.live.n_sessions,
    )
