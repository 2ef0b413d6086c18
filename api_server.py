#!/usr/bin/env python3
"""The REST and WebSocket server, with the page at "/".

Exit code 0 after Ctrl-C or SIGTERM; 2 for bad arguments or settings (one line on stderr); 1 for anything else.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from typing import TYPE_CHECKING

from core.command_line import OneLineParser, exit_code, log_to_stderr
from core.service.outputs import Sweeper, service_outputs
from core.settings import read_settings
from core.thread_priority import switch_often
from core.web.addresses import address, is_loopback, listen, port_number
from core.web.api.http import check_keys, make_server
from core.web.api.settings import ServerSettings
from core.web.gradio_environment import prepare_environment
from integrations.webrtc import offer_webrtc
from manager.ditto import MODES, Mode, offer_ditto
from manager.kokoro import offer_kokoro

if TYPE_CHECKING:
    from fastapi import FastAPI

    from core.service.remote_streams import StreamMakers
    from core.service.service import Service


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="api_server.py", description="REST and WebSocket server that turns photos and speech into videos.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the whole network (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=port_number, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--no-page", action="store_true", help='leave out the page at "/"')
    parser.add_argument(
        "--ditto", default="auto", choices=MODES, help="offer the ditto engine: auto where there is a GPU (default), on, off"
    )
    return parser.parse_args(argv)


def open_service(settings: ServerSettings, ditto: Mode, *, worker: str = "", makers: StreamMakers | None = None) -> Service:
    """The service of this process, not yet started, over a studio of its own; both are closed by the caller.

    worker, makers: as in `Jobs`.
    """
    outputs = service_outputs(settings)
    outputs.prepare()
    prepare_environment(str(outputs.root))

    from core.service.service import Service
    from core.studio import open_studio

    studio = open_studio(settings, offer_ditto(settings, ditto), serving=True)
    kokoro, webrtc = offer_kokoro(fetch=settings.fetch_ditto), offer_webrtc(settings)
    return Service(studio, outputs, kokoro_file=kokoro, webrtc=webrtc, worker=worker, makers=makers)


def build_application(service: Service, settings: ServerSettings, host: str, *, page: bool) -> FastAPI:
    """What answers requests. host: what it listens on. page: with the page at "/"."""
    from core.service.examples import EXAMPLES
    from core.web.api.app import build_api
    from core.web.pages.mounted import page_app

    loopback = is_loopback(host) and not settings.open_to_all
    return build_api(service, settings, (lambda: page_app(service, EXAMPLES)) if page else None, loopback=loopback, host=host)


def measure_speed(service: Service) -> None:
    """Finds out in the background how large the videos of the page are on this machine."""
    from core.service.examples import EXAMPLES

    threading.Thread(target=service.page_size.measure, args=(EXAMPLES[0],), name="measure", daemon=True).start()


def run(arguments: argparse.Namespace) -> None:
    settings = read_settings(ServerSettings)
    check_keys(arguments.host, settings)
    service = open_service(settings, arguments.ditto)
    sweeper = Sweeper(service.outputs)
    try:
        with listen(arguments.host, arguments.port) as sock:
            app = build_application(service, settings, arguments.host, page=not arguments.no_page)
            service.start()
            if settings.max_jobs:
                service.studio.load_ahead()
                if not arguments.no_page:
                    measure_speed(service)
            sweeper.start()
            line = f"Talking Head answers at {address(arguments.host, sock.getsockname()[1])} (Ctrl-C ends it)"
            make_server(app, settings, service, lambda: print(line, flush=True)).run([sock])  # noqa: T201
    finally:
        service.close(0.0)
        service.studio.close()
        sweeper.stop()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    log_to_stderr()
    switch_often()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each connection that sends nonsense
    return exit_code(lambda: run(arguments), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
