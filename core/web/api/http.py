"""The server under the application: its connections are bounded, and a signal ends it in good order."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from core.errors import InputError
from core.service.service import Service
from core.web.addresses import WAITING, is_loopback
from core.web.api.context import Context
from core.web.api.settings import ServerSettings
from core.web.connections import guard_connections

MIN_KEY_LENGTH = 16
CANCEL_S = 5.0
"""How long cancelled jobs may take to stop."""


class Server(uvicorn.Server):
    """Ends after SIGTERM or Ctrl-C: takes no more, gives running jobs their grace, hands the others back.

    service: whose jobs these are, None where it goes on without this server. announce: called when it answers. before_close: awaited before
    connections are closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service | None,
        grace_s: float,
        announce: Callable[[], None],
        before_close: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._service, self._grace_s, self._announce, self._before_close = service, grace_s, announce, before_close

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
        for sock in sockets or ():
            sock.listen(WAITING)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = None
        if self._service is not None:
            ending = asyncio.create_task(asyncio.to_thread(self._service.stop, self._grace_s, CANCEL_S))
        await self._before_close()
        await super().shutdown(sockets)
        if ending is not None:
            await ending


def make_server(
    app: FastAPI, settings: ServerSettings, service: Service | None, announce: Callable[[], None] = lambda: None
) -> Server:
    async def stop_live() -> None:
        context: Context = app.state.context
        await context.talking.stop()

    config = uvicorn.Config(
        app,
        timeout_graceful_shutdown=round(settings.stop_grace_s + CANCEL_S),
        lifespan="on",
        loop="asyncio",  # the same on every machine, whatever else is installed there
        server_header=False,
        access_log=False,
        log_config=None,
    )
    guard_connections(config, settings)
    return Server(config, service, settings.stop_grace_s, announce, stop_live)


def check_keys(host: str, settings: ServerSettings) -> None:
    """Raises InputError for a key that could be guessed, and where everyone on a network could use the server and nobody said so."""
    for n, key in enumerate(settings.api_keys, start=1):  # checked here: an error of the settings would repeat it
        if len(key.get_secret_value()) < MIN_KEY_LENGTH:
            raise InputError(f"Key {n} of TALKING_HEAD_API_KEYS is too short.", f"It must have at least {MIN_KEY_LENGTH} characters.")
    if not (settings.api_keys or settings.open_to_all or is_loopback(host)):
        hint = "Set TALKING_HEAD_API_KEYS, or TALKING_HEAD_OPEN_TO_ALL=true to serve everyone."
        raise InputError(f"No key is set, and {host} can be reached from other machines.", hint)
