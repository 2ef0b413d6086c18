"""The server under the application: connections that do not get on with it are ended, and a signal ends it in good order."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.errors import InputError
from core.scheduler import Scheduler
from core.web.api.settings import ServerSettings

logger = logging.getLogger(__name__)

MIN_KEY_LENGTH = 16
WS_MAX_BYTES = 2**20
"""Of one message; more ends the connection with 1009."""
WS_PING_S, WS_PONG_S = 30.0, 20.0
MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_S = 10
SEND_BUFFER_BYTES = 256 * 1024
"""What the system keeps for a client that reads slowly: about half a minute of video at most."""
CANCEL_S = 5.0
"""How long cancelled jobs may take to stop."""


def http_protocol(header_timeout_s: float) -> type[H11Protocol]:
    """uvicorn's protocol, which by itself would wait for the end of a request's head for ever."""

    class TimedHttp(H11Protocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """The clock runs from the first byte (or the connection) to the end of the head."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._unwatch()
            elif self._late is None:
                self._late = self.loop.call_later(header_timeout_s, self.transport.abort)

        def _unwatch(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return TimedHttp


class Server(uvicorn.Server):
    """Ends after SIGTERM or Ctrl-C: takes no more, gives running jobs their grace, hands the others back.

    scheduler: whose jobs these are, None where it goes on without this server. announce: called when it answers.
    """

    def __init__(self, config: uvicorn.Config, scheduler: Scheduler | None, grace_s: float, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._scheduler, self._grace_s, self._announce = scheduler, grace_s, announce

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            super().run(sockets)  # raises the signal again when all is done: to us it is a good end
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: Any) -> None:
        """Before uvicorn listens to signals, and after."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._scheduler is None:
            return await super().shutdown(sockets)
        ending = asyncio.create_task(asyncio.to_thread(self._scheduler.close, self._grace_s, CANCEL_S))
        await super().shutdown(sockets)
        await ending


def make_server(
    app: Any, settings: ServerSettings, scheduler: Scheduler | None, announce: Callable[[], None] = lambda: None
) -> Server:
    config = uvicorn.Config(
        app,
        http=http_protocol(settings.header_timeout_s),
        ws="websockets-sansio",
        ws_max_size=WS_MAX_BYTES,
        ws_ping_interval=WS_PING_S,
        ws_ping_timeout=WS_PONG_S,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.stop_grace_s + CANCEL_S),
        lifespan="on",
        server_header=False,
        access_log=False,
        log_config=None,
    )
    return Server(config, scheduler, settings.stop_grace_s, announce)


def listen(host: str, port: int) -> socket.socket:
    """The socket to serve on. Raises InputError where the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise InputError(f"Port {port} on {host} cannot be used.", "Is it taken? Choose another with --port.") from error


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_keys(host: str, settings: ServerSettings) -> None:
    """Raises InputError for a key that could be guessed, and where everyone on a network could use the server and nobody said so."""
    for n, key in enumerate(settings.api_keys, start=1):  # checked here: an error of the settings would repeat it
        if len(key.get_secret_value()) < MIN_KEY_LENGTH:
            raise InputError(f"Key {n} of TALKING_HEAD_API_KEYS is too short.", f"It must have at least {MIN_KEY_LENGTH} characters.")
    if not (settings.api_keys or settings.open_to_all or is_loopback(host)):
        hint = "Set TALKING_HEAD_API_KEYS, or TALKING_HEAD_OPEN_TO_ALL=true to serve everyone."
        raise InputError(f"No key is set, and {host} can be reached from other machines.", hint)
