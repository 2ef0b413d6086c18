"""An ingress replica of Ray Serve: the server with its API and page, which takes jobs and leaves them to render replicas.

Requests do not pass through Ray Serve's own proxy. It reads whole bodies ahead and keeps what a slow client has not taken, both without a
bound; the server here reads and sends at the client's pace, bounds connections, and knows who asks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from api_server import build_application, open_service
from core.command_line import log_to_stderr
from core.service.outputs import Sweeper
from core.service.service import Service
from core.thread_priority import switch_often
from core.web.addresses import address, listen
from core.web.api.http import check_keys, make_server
from deploy.ray_live import RayLiveSessions
from deploy.ray_render import ditto_mode
from deploy.ray_renderers import ServeRenderers
from deploy.ray_settings import read_ray_settings
from deploy.ray_streams import RendererStreams

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

logger = logging.getLogger(__name__)

STARTED_S = 60.0
ENDED_S = 30.0
"""How long connections may take to end when the replica is to stop, beside the grace for requests."""


class Ingress:
    """Made, asked for its health and stopped by Ray Serve. The settings are those of its own machine's environment."""

    def __init__(self, renderers: DeploymentHandle[Any]) -> None:
        log_to_stderr()
        switch_often()
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._settings = settings = read_ray_settings().of_ingress
        check_keys(settings.host, settings)
        self.service: Service = open_service(settings, ditto_mode(settings), makers=RendererStreams(renderers))
        self.service.live_source = RayLiveSessions(settings, ServeRenderers(renderers))
        self._sweeper = Sweeper(self.service.outputs)
        self._socket = listen(settings.host, settings.port)
        self.url = address(settings.host, self._socket.getsockname()[1])
        app = build_application(self.service, settings, settings.host, page=settings.page)
        self._server = make_server(app, settings, self.service)
        self._thread = threading.Thread(target=self._serve, name="ingress", daemon=True)
        self._stopping = threading.Lock()
        self.service.start()
        self._sweeper.start()
        self._thread.start()
        logger.warning("Talking Head answers at %s", self.url)

    def check_health(self) -> None:
        """Raises where requests are no longer answered, so that another takes its place."""
        if not self._thread.is_alive():
            raise RuntimeError("The server has ended.")

    def __del__(self) -> None:
        """Called by Ray Serve when the replica is to stop: takes no more requests, and lets those under way end."""
        if hasattr(self, "_stopping") and self._stopping.acquire(blocking=False):  # once; the interpreter calls it again
            self._server.should_exit = True
            self._thread.join(self._settings.stop_grace_s + ENDED_S)
            self._socket.close()
            self.service.close(0.0)
            self.service.studio.close()
            self._sweeper.stop()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))
