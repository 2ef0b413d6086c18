"""Limits connections to a server and its requests under way, for each address and in all; the same for pages and API.

A connection that says nothing (no head of a request has come, or the last request is answered) makes room for a newer one, the longest
silent first. So strangers who only connect take nothing from those who ask for something. A request too many is refused, but never one for
the health.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from core.service.owners import Asgi, Receive, Scope, Send
from core.settings import Settings
from core.web.addresses import address_of, path_below
from core.web.guards.proxies import Networks, is_trusted, trust_proxies, trusted_proxies
from core.web.guards.refusals import error_body

logger = logging.getLogger(__name__)

HEALTH_PATH = "/health"
SPARE = 16
"""Connections beyond the limits: a request can only be refused, or be one for the health, once its head has come."""
SEND_BUFFER_BYTES, UNSENT_BYTES = 256 * 1024, 32 * 1024
"""What the system keeps for a client that reads slowly, and how much of it may not be on its way yet, and of what waits for the system:
so whoever sends learns soon that a client does not read."""
MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_S = 10
RETRY_S = 5
LINGER_S = 1.0
"""How long what a refused client still sends is thrown away, so that it gets to read the answer."""
JUDGE_S = 0.05
"""After a connection too many: by then the requests of those who ask have come, so that a flood of silent ones does not push them out."""
BURST = 16
"""Connections that are taken before others get a turn."""
_PEER = "talking_head.peer"
WS_MAX_BYTES = 2**20
"""Of one message; more ends the connection with 1009."""
WS_PING_S, WS_PONG_S = 10.0, 10.0
"""How often a WebSocket is asked for a sign of life, and how long it has for it: a dead one is noticed within 20 s."""
FILES = 4096
MOST = FILES // 2
"""Connections at which nothing is waited for."""


class OpenConnections:
    """The open connections. Used on one event loop.

    address_limit: of one address. limit: in all. trusted: proxies, each of whose connections may be anybody's.
    """

    def __init__(self, address_limit: int, limit: int, trusted: Networks) -> None:
        self._address_limit, self._limit, self._trusted = address_limit, limit, trusted
        self._open: dict[asyncio.Transport, str] = {}
        self._taken: Counter[str] = Counter()
        self._silent: OrderedDict[asyncio.Transport, None] = OrderedDict()
        self._silent_of: dict[str, OrderedDict[asyncio.Transport, None]] = {}
        self._crowded: set[str] = set()
        self._judging: asyncio.TimerHandle | None = None

    def opened(self, transport: asyncio.Transport, peer: str) -> None:
        """It has said nothing so far. Where it is one too many, the connections that were silent longest are ended soon."""
        address = "" if is_trusted(peer, self._trusted) else address_of(peer)
        self._open[transport] = address
        self._taken[address] += 1
        self.silent(transport)
        if address and self._taken[address] > self._address_limit + SPARE:
            self._crowded.add(address)
        if len(self._open) > MOST:
            self._judge()
        elif (self._crowded or len(self._open) > self._limit + SPARE) and self._judging is None:
            self._judging = asyncio.get_running_loop().call_later(JUDGE_S, self._judge)

    def _judge(self) -> None:
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None
        for address in self._crowded:
            if self._end_longest_silent(self._silent_of.get(address, {}), self._taken[address] - self._address_limit - SPARE):
                logger.warning("More than %d connections from %s at once: those that say nothing are ended", self._address_limit, address)
        self._crowded.clear()
        if self._end_longest_silent(self._silent, len(self._open) - self._limit - SPARE):
            logger.warning("More than %d connections at once: those that say nothing are ended", self._limit)

    def _end_longest_silent(self, silent: Iterable[asyncio.Transport], n: int) -> bool:
        """Whether there were any."""
        ended = list(islice(silent, max(0, n)))
        for transport in ended:
            self.closed(transport)
            transport.abort()
        return bool(ended)

    def silent(self, transport: asyncio.Transport) -> None:
        """From now on it waits for its client, until `speaks`."""
        if transport in self._open and transport not in self._silent:
            self._silent[transport] = None
            self._silent_of.setdefault(self._open[transport], OrderedDict())[transport] = None

    def speaks(self, transport: asyncio.Transport) -> None:
        """A request has come, or is coming after its head."""
        if transport in self._silent:
            del self._silent[transport]
            of_address = self._silent_of[self._open[transport]]
            del of_address[transport]
            if not of_address:
                del self._silent_of[self._open[transport]]

    def closed(self, transport: asyncio.Transport) -> None:
        """May be called again."""
        self.speaks(transport)
        address = self._open.pop(transport, None)
        if address is not None:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


class RequestsUnderWay:
    """ASGI: at most `address_limit` requests and WebSockets of one address at the same time (429), and `limit` of all (503).

    The address is the one that the server in front of it found out: a trusted proxy's word where there is one.
    """

    def __init__(self, app: Asgi, address_limit: int, limit: int) -> None:
        self._app, self._address_limit, self._limit = app, address_limit, limit
        self._taken: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or path_below(scope) == HEALTH_PATH:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        address = address_of(client[0] if client else "")
        if self._taken[address] >= self._address_limit:
            words = f"{self._address_limit} requests from {address[:60]} are under way already.", "Wait until one of them has ended."
            await _refuse(scope, send, 429, "TooMany", *words)
        elif self._taken.total() >= self._limit:
            await _refuse(scope, send, 503, "BusyError", f"{self._limit} requests are under way already.", "Try again a little later.")
        else:
            self._taken[address] += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._taken[address] -= 1
                if not self._taken[address]:
                    del self._taken[address]


def guard_connections(config: uvicorn.Config, settings: Settings) -> None:
    """Bounds the connections and requests of a uvicorn server, one that has not started or one that has: then of those to come.

    Whose they are is told by the trusted proxies where one is in front. Its messages go where all others go.
    """
    trusted = trusted_proxies(settings)
    connections = OpenConnections(settings.address_connections, settings.max_connections, trusted)
    config.http, config.ws = _http_protocol(connections, settings.header_timeout_s), _websocket_protocol(connections)
    config.app = RequestsUnderWay(config.app, settings.address_connections, settings.max_connections)  # type: ignore[arg-type]
    config.h11_max_incomplete_event_size = MAX_HEAD_BYTES
    config.timeout_keep_alive = KEEP_ALIVE_S
    config.ws_max_size, config.ws_per_message_deflate = WS_MAX_BYTES, False
    config.ws_ping_interval, config.ws_ping_timeout = WS_PING_S, WS_PONG_S
    config.limit_concurrency = None  # it counts the silent ones too, and refuses those who ask for the health
    config.backlog = BURST
    config.root_path = settings.root_path
    trust_proxies(config, trusted)  # the last: it puts itself in front, and all of this into effect
    for name in ("uvicorn", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    allow_files()


def allow_files() -> None:
    """As many open files as FILES, or as the system lets this process have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems have a limit of their own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _http_protocol(connections: OpenConnections, header_timeout_s: float) -> type[H11Protocol]:
    """uvicorn's protocol, which by itself would wait for the end of a request's head for ever, and for half a request when it ends."""

    class BoundedHttp(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _refused = False
        _is_websocket = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            sock = transport.get_extra_info("socket")
            transport.set_write_buffer_limits(high=UNSENT_BYTES)
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            self._watch()
            connections.opened(transport, self.client[0] if self.client else "")

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                super().data_received(data)
                self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            connections.closed(self.transport)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._asks():
                connections.silent(self.transport)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            super().handle_websocket_upgrade(event)
            self._is_websocket = True

        def shutdown(self) -> None:
            """A request of which something is still to come cannot be served any more."""
            cycle = self.cycle
            if cycle is None or cycle.response_complete or self.conn.their_state is not h11.SEND_BODY:
                super().shutdown()
                return
            self._refused = True
            if cycle.response_started:
                self.transport.abort()
            else:
                for event in _refusal(503, "BusyError", "The server is stopping.", "Send it again in a moment."):
                    self.transport.write(self.conn.send(event) or b"")
                self.flow.resume_reading()
                self.loop.call_later(LINGER_S, self.transport.abort)
            cycle.disconnected = True
            cycle.message_event.set()

        def _asks(self) -> bool:
            """A request waits for its answer, or the connection is a WebSocket's now."""
            answered = self.cycle is None or self.cycle.response_complete
            return not answered or self._is_websocket

        def _watch(self) -> None:
            """The clock runs from the first byte (or the connection) to the end of the head; also while the rest of a request comes whose
            answer was sent already.
            """
            if self.transport.is_closing():
                self._unwatch()
            elif self._asks():
                self._unwatch()
                connections.speaks(self.transport)
            elif self._late is None:
                self._late = self.loop.call_later(header_timeout_s, self.transport.abort)

        def _unwatch(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return BoundedHttp


def _websocket_protocol(connections: OpenConnections) -> type[WebSocketsSansIOProtocol]:
    class CountedWebSocket(WebSocketsSansIOProtocol):
        """It tells the application whether the other side lives, and is not waited for when the server ends."""

        _heard_s = 0.0

        @property
        def heard_s(self) -> float:
            """When anything came last, by time.monotonic(); now where the application does not want to hear."""
            return time.monotonic() if self.read_paused and self.writable.is_set() else self._heard_s

        def ping(self) -> None:
            if not (self.close_sent or self.transport.is_closing()):
                self.conn.send_ping(b"alive?")
                self.transport.write(b"".join(self.conn.data_to_send()))

        async def run_asgi(self) -> None:
            cast(dict[str, Any], self.scope["extensions"])[_PEER] = self
            await super().run_asgi()

        def data_received(self, data: bytes) -> None:
            self._heard_s = time.monotonic()
            super().data_received(data)

        def keepalive_timeout(self) -> None:
            """The answer to a ping lies behind what the client sends; a client that sends lives."""
            if self.heard_s > time.monotonic() - (self.ping_timeout or 0.0):
                self.pong_timer = self.pending_ping_payload = None
                self.schedule_ping()
            else:
                super().keepalive_timeout()

        def shutdown(self) -> None:
            super().shutdown()
            self.loop.call_later(LINGER_S, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

        async def send(self, message: Any) -> None:
            await super().send(message)
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True  # it has been answered: uvicorn would log as an error that it was not

    return CountedWebSocket


def websocket_peer(scope: Any) -> Any:
    """The other side of a WebSocket: a Peer of core/service/resumable_session.py."""
    return scope["extensions"][_PEER]


def _body(kind: str, message: str, hint: str) -> bytes:
    return json.dumps(error_body(kind, message, hint)).encode()


def _headers(data: bytes) -> list[tuple[bytes, bytes]]:
    about = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    return [*about, (b"retry-after", b"%d" % RETRY_S), (b"connection", b"close")]


def _refusal(status: int, kind: str, message: str, hint: str) -> list[h11.Event]:
    data = _body(kind, message, hint)
    return [h11.Response(status_code=status, headers=_headers(data)), h11.Data(data=data), h11.EndOfMessage()]


async def _refuse(scope: Scope, send: Send, status: int, kind: str, message: str, hint: str) -> None:
    data = _body(kind, message, hint)
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{prefix}.response.start", "status": status, "headers": _headers(data)})
    await send({"type": f"{prefix}.response.body", "body": data})
