"""The page at "/", behind the key of the server: made while the server already answers, shown to who has the key.

    /login      a form for the key; a good one sets a cookie (keys.py), which programs never need
    everything else that no route of the server takes    the page, or a redirect to /login
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, cast
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.service.errors import TooMany
from core.service.owners import Asgi, Receive, Scope, Send, header, root_of
from core.service.quotas import RateLimit
from core.settings import Settings
from core.web.addresses import address_of, path_below
from core.web.api.errors import NotFound, Unauthorised, as_body, as_response
from core.web.api.guard import refuse_websocket
from core.web.api.keys import Keys
from core.web.live.page_peers import PagePeers, is_of_peers
from core.web.live.page_sockets import PageSockets
from core.web.pages.error_texts import told_in

logger = logging.getLogger(__name__)

MAX_LOGIN_BYTES = 4096
LOGIN = "/login"
_STYLE = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Talking Head</title><style>"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem}input,button{font:inherit;padding:.5rem;"
    "width:100%;box-sizing:border-box;margin:.3rem 0}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}</style>"
)


class PageMount:
    """ASGI. build: makes the page's application, which takes seconds; called once, on a thread, by `run`. wrong: how many wrong keys an
    address may send. uses: how often one may make the page do something.
    """

    def __init__(self, keys: Keys, build: Callable[[], Any] | None, wrong: RateLimit, uses: RateLimit, settings: Settings) -> None:
        self._keys, self._build, self._uses = keys, build, uses
        self._wrong = wrong
        self._page: Asgi | None = None
        self._sockets = PageSockets(_refused, lambda scope: scope["app"].state.context.talking, told_in)
        self._peers = PagePeers(self._show, lambda scope: scope["app"].state.context.talking, told_in, settings)
        self._problem = ""

    @contextlib.asynccontextmanager
    async def run(self) -> Any:
        """Makes the page in the background, and keeps it going until the block ends."""
        ending = asyncio.Event()
        task = asyncio.create_task(self._live(ending))
        try:
            yield
        finally:
            ending.set()
            await asyncio.gather(task, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            known = self._page is not None and self._keys.allows_page(scope)
            await (self._sockets if known else _refused)(scope, receive, send)
            return
        answer: Response | None
        if path_below(scope) == LOGIN and self._keys.needed:
            answer = await self._login(Request(cast(Any, scope), receive))
        elif not self._keys.allows_page(scope):
            wants_page = scope["method"] == "GET" and "text/html" in header(scope, "accept")
            answer = RedirectResponse(f"{root_of(scope)}{LOGIN}", 303) if wants_page else as_response(Unauthorised())
        elif self._page is None:
            answer = self._not_yet(scope)
        elif is_of_peers(scope) or (answer := self._too_often(scope)) is None:
            await self._peers(scope, receive, send)
            return
        await answer(cast(Any, scope), receive, cast(Callable[[Any], Awaitable[None]], send))

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._page is not None:
            await self._page(scope, receive, send)

    def _too_often(self, scope: Scope) -> Response | None:
        if scope["method"] == "POST":
            try:
                self._uses.take((scope.get("client") or ("",))[0])
            except TooMany as error:
                return as_response(error)
        return None

    async def _live(self, ending: asyncio.Event) -> None:
        if self._build is None:
            return
        try:
            page = await asyncio.to_thread(self._build)
            async with page.router.lifespan_context(page):
                self._page = page
                await ending.wait()
                self._page = None
        except Exception:
            self._problem = "The page could not be made; the log says why."
            logger.exception("the page could not be made")

    def _not_yet(self, scope: Scope) -> Response:
        if self._build is None:
            return as_response(NotFound("There is nothing at this address.", "See /openapi.json."))
        said = self._problem or "The page is being prepared. It appears here in a few seconds."
        again = "" if self._problem else "<meta http-equiv=refresh content=2>"
        return HTMLResponse(f"{_STYLE}{again}<h1>Talking Head</h1><p>{escape(said)}</p>", 503, {"Retry-After": "3"})

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return _form()
        if request.method != "POST":
            return _form("", 405)
        sender = address_of(request.client.host if request.client else "")
        try:
            self._wrong.check(sender)
        except TooMany as error:
            return _form(as_body(error)["error"]["message"], 429, as_response(error).headers["Retry-After"])
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_LOGIN_BYTES:
                return _form("That is no key.", 413)
        key = parse_qs(body.decode("latin-1")).get("key", [""])[0].strip()
        cookie = self._keys.login_cookie(key, request.scope)
        if cookie is None:
            with contextlib.suppress(TooMany):
                self._wrong.take(sender)
            return _form("This key is not known.", 401)
        return RedirectResponse(f"{root_of(request.scope)}/", 303, {"Set-Cookie": cookie})


async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse_websocket(Unauthorised("There is nothing at this address."), send)


def _form(problem: str = "", status: int = 200, retry_after: str = "") -> Response:
    said = f"<p role=alert>{escape(problem)}</p>" if problem else ""
    form = (
        "<form method=post action=login><label>Key<input name=key type=password autocomplete=current-password autofocus required></label>"
        "<button>Log in</button></form>"
    )
    headers = {"Cache-Control": "no-store", **({"Retry-After": retry_after} if retry_after else {})}
    return HTMLResponse(f"{_STYLE}<h1>Talking Head</h1>{said}{form}", status, headers)
