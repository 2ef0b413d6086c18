#!/usr/bin/env python3
"""The REST and WebSocket server, with the page at "/".

Exit code 0 after Ctrl-C or SIGTERM; 2 for bad arguments or settings (one line on stderr); 1 for anything else.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading

from core.command_line import OneLineParser, exit_code, log_to_stderr
from core.service.outputs import Sweeper, service_outputs
from core.settings import read_settings
from core.thread_priority import switch_often
from core.web.addresses import address, is_loopback, listen, port_number
from core.web.api.http import check_keys, make_server
from core.web.api.settings import ServerSettings
from core.web.gradio_environment import prepare_environment
from integrations.webrtc import offer_webrtc
from manager.ditto import MODES, offer_ditto
from manager.kokoro import offer_kokoro


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="api_server.py", description="REST and WebSocket server that turns photos and speech into videos.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the whole network (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=port_number, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--no-page", action="store_true", help='leave out the page at "/"')
    parser.add_argument(
        "--ditto", default="auto", choices=MODES, help="offer the ditto engine: auto where there is a GPU (default), on, off"
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    settings = read_settings(ServerSettings)
    check_keys(arguments.host, settings)
    outputs = service_outputs(settings)
    outputs.prepare()
    prepare_environment(str(outputs.root))

    from core.service.examples import EXAMPLES
    from core.service.service import Service
    from core.studio import open_studio
    from core.web.api.app import build_api
    from core.web.pages.mounted import page_app

    studio = open_studio(settings, offer_ditto(settings, arguments.ditto), serving=True)
    service = Service(studio, outputs, kokoro_file=offer_kokoro(fetch=settings.fetch_ditto), webrtc=offer_webrtc(settings))
    sweeper = Sweeper(outputs)

    try:
        with listen(arguments.host, arguments.port) as sock:
            page = None if arguments.no_page else lambda: page_app(service, EXAMPLES)
            loopback = is_loopback(arguments.host) and not settings.open_to_all
            app = build_api(service, settings, page, loopback=loopback, host=arguments.host)
            service.start()
            studio.load_ahead()
            if page is not None:
                threading.Thread(target=service.page_size.measure, args=(EXAMPLES[0],), name="measure", daemon=True).start()
            sweeper.start()
            line = f"Talking Head answers at {address(arguments.host, sock.getsockname()[1])} (Ctrl-C ends it)"
            make_server(app, settings, service, lambda: print(line, flush=True)).run([sock])  # noqa: T201
    finally:
        service.close(0.0)
        studio.close()
        sweeper.stop()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    log_to_stderr()
    switch_often()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each connection that sends nonsense
    return exit_code(lambda: run(arguments), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
