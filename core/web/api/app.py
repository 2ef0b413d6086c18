"""The server as one ASGI application."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from core.service.owners import Asgi, Message, Receive, Scope, Send
from core.service.quotas import RateLimit
from core.service.service import Service
from core.web.api import (
    errors,
    routes_avatars,
    routes_chat,
    routes_jobs,
    routes_live,
    routes_provenance,
    routes_service,
    routes_speech,
    routes_stream,
    routes_webrtc,
    spec,
)
from core.web.api.context import make_context
from core.web.api.docs_page import docs_html
from core.web.api.errors import as_response
from core.web.api.guard import BodyGuard
from core.web.api.head import HeadAsGet
from core.web.api.keys import Keys
from core.web.api.metrics import Metrics
from core.web.api.page_mount import PageMount
from core.web.api.settings import ServerSettings
from core.web.api.wrong_keys import WrongKeys
from core.web.guards.headers import SecurityHeaders, frame_ancestors
from core.web.guards.hosts import AddressGuard, reach_of

logger = logging.getLogger(__name__)

VERSION = "1"
_ROUTES = (
    *(routes_jobs, routes_stream, routes_avatars, routes_service, routes_speech, routes_live, routes_chat, routes_provenance),
    routes_webrtc,
)
_ROUTERS = [
    *(routes.router for routes in _ROUTES),
    routes_speech.openai_router,
]
"""None of them includes another: what is not a route of theirs is not seen by `_refuse_other_methods`."""
_ABOUT = """One photo or video of a person, and one speech recording or a text, become a talking-head video.

{access} WebSockets `/jobs/{{id}}/events` and `/live` are described in docs/api.md. Conversations over `/chat` are in docs/chat.md."""
_NEEDS_KEY = (
    "This server needs a key, given out by who runs it: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; without one it answers "
    "401, and 429 to who tries too many."
)
_NEEDS_OWNER = (
    "This server needs no key; `X-Owner-Key` (16 random characters or more, kept by the client) tells whose avatars and jobs are whose."
)
_KEYS = {"bearer": {"type": "http", "scheme": "bearer"}, "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
_OWNER = {"owner": {"type": "apiKey", "in": "header", "name": "X-Owner-Key"}}
_EXPOSED = ["X-Job-Id", "X-Engine", "X-Generation-Info", "Retry-After", "Location", "ETag", "Link", "X-Live-Session"]


def build_api(
    service: Service, settings: ServerSettings, page: Callable[[], Any] | None = None, *, loopback: bool = False,
    host: str = "127.0.0.1",
) -> FastAPI:
    """The application. service: started and closed by the caller. page: makes the page's application, mounted last at "/"; it runs in the
    background once the server is up. loopback: this machine's one user is everybody who can reach it. host: what the server listens on.
    """
    keys = Keys([key.get_secret_value() for key in settings.api_keys], alone=loopback and not settings.open_to_all)
    wrong = RateLimit(settings.wrong_keys_per_minute, "wrong keys", service.rates)
    mount = PageMount(keys, page, wrong, RateLimit(settings.requests_per_minute, "uses of the page"), settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = make_context(service, settings, keys)
        app.state.context = context
        async with mount.run():
            yield
        await context.talking.stop()  # by whoever serves this application, if the server has not done it

    app = FastAPI(
        title="Talking Head",
        version=VERSION,
        description=_ABOUT.format(access=_NEEDS_KEY if keys.needed else _NEEDS_OWNER),
        lifespan=lifespan,
        docs_url=None,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redoc_url=None,
        middleware=[
            Middleware(HeadAsGet),
            Middleware(_Watched),
            Middleware(SecurityHeaders, frame_ancestors=frame_ancestors(settings)),
            Middleware(AddressGuard, reach=reach_of(settings, host), origins=settings.cors_origins, excused=keys.sent),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=["Authorization", "X-API-Key", "X-Owner-Key", "Content-Type", "If-Match"],
                expose_headers=_EXPOSED,
                max_age=3600,
            ),
            Middleware(WrongKeys, keys=keys, wrong=wrong),
            Middleware(
                BodyGuard,
                max_bytes=settings.max_body_bytes,
                max_plain_bytes=settings.max_plain_body_bytes,
                timeout_s=settings.upload_timeout_s,
            ),
        ],
    )
    errors.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    _complete_document(app, keys.needed, service.studio.health()["engines"])
    _refuse_other_methods(app)
    app.router.routes.append(Route("/docs", lambda request: HTMLResponse(docs_html(app.openapi())), include_in_schema=False))
    app.router.routes.append(Mount("/", mount))
    return app


class _Watched:
    """Counts requests and their time by route, never by address; and answers for defects."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metrics: Metrics = scope["app"].state.context.metrics  # asked now: a mounted application puts itself there
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if status:  # the answer has begun: it breaks off, so that nobody takes it for whole
                raise
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            await as_response(error)(cast(Any, scope), receive, cast(Any, watched))
        finally:
            path = getattr(scope.get("route"), "path", "page")
            method = scope["method"] if scope["method"] in ("GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS") else "other"
            metrics.requests.labels(method, path, str(status)).inc()
            metrics.request_s.labels(method, path).observe(time.perf_counter() - began)


def _refuse_other_methods(app: FastAPI) -> None:
    """With 405: without this they would fall through to the page."""
    known: dict[str, set[str]] = {}
    for route in (route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)):
        known.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in known.items():
        methods |= {"HEAD"} if "GET" in methods else set()
        app.router.routes.append(Route(path, _NoSuchMethod(", ".join(sorted(methods)))))


class _NoSuchMethod:
    """An application, since a route to one takes every method there may be."""

    def __init__(self, allow: str) -> None:
        self._allow = allow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> NoReturn:
        raise HTTPException(405, headers={"Allow": self._allow})


def _complete_document(app: FastAPI, needed: bool, engines: list[str]) -> None:
    """With the ways to say who asks, for every route but /health, and the engines that are offered."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            schemes = _KEYS if needed else _OWNER
            document["components"]["securitySchemes"] = schemes
            ways: list[dict[str, Any]] = [{name: []} for name in schemes]
            for path, methods in document["paths"].items():
                for route in methods.values():
                    if path != "/health":
                        route["security"] = ways if needed else [*ways, {}]
                    for content in route.get("requestBody", {}).get("content", {}).values():
                        form = content["schema"].get("properties", {})
                        if "engine" in form:
                            content["schema"] = {**content["schema"], "properties": {**form, "engine": spec.engine(engines)}}
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
