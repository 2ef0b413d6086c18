#!/usr/bin/env python3
"""The page in the browser that makes a talking-head video from one photo and one recording.

Exit code 0 after Ctrl-C or SIGTERM; 2 for bad arguments or settings (one line on stderr); 1 for anything else.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from functools import partial

from core.command_line import OneLineParser, exit_code, log_to_stderr
from core.optimization.cold_start_optimization import EngineSource
from core.service.outputs import Sweeper, service_outputs
from core.settings import Settings, load_settings
from core.thread_priority import switch_often
from core.web.addresses import free_port, port_number
from core.web.gradio_environment import prepare_environment, server_name, server_port
from core.web.pages.launch import launch, shut_down, wait_for_signal, warm_up
from core.zero_gpu import on_zero_gpu
from integrations.webrtc import offer_webrtc
from manager.ditto import MODES, Mode, make_ditto, missing_bytes, offer_ditto
from manager.kokoro import offer_kokoro
from manager.store import Store

GRACE_S = 2.0
"""Jobs that run when the page is ended have so long to finish; then they are left to the next start."""


def parse_arguments(argv: list[str] | None, name: str) -> argparse.Namespace:
    parser = OneLineParser(prog=name, description="A page that turns one photo and one recording into a talking-head video.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for the whole network (default: GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", type=port_number, help="port to listen on, 0 for a free one (default: GRADIO_SERVER_PORT, else 7860)")
    parser.add_argument(
        "--ditto", default="auto", choices=MODES, help="offer the ditto engine: auto where there is a GPU (default), on, off"
    )
    return parser.parse_args(argv)


def offer_lent(settings: Settings, mode: Mode) -> EngineSource | None:
    """Ditto on a host that lends its GPU: fetched and loaded now, since what is loaded later does not get there."""
    from core.web.zero_gpu import offer_lent_ditto

    store = Store()
    wanted = mode != "off" and (settings.fetch_ditto or not missing_bytes(store))
    near = partial(make_ditto, settings, None, threading.Event(), device="cpu", backend="torch", store=store)
    return offer_lent_ditto(settings, near if wanted else None)


def run(arguments: argparse.Namespace, everything: bool) -> None:
    """Serves the page until a signal comes. everything: with avatars, past videos, status and the whole API."""
    settings = load_settings()
    host, port = server_name(arguments.host), server_port(arguments.port)
    free_port(host, port)  # told before anything is loaded
    outputs = service_outputs(settings)
    outputs.prepare()
    prepare_environment(str(outputs.root))

    ditto = offer_lent(settings, arguments.ditto) if on_zero_gpu() else offer_ditto(settings, arguments.ditto)

    from core.service.examples import EXAMPLES, make_examples
    from core.service.service import Service
    from core.studio import open_studio
    from core.web.pages.page import build_page  # Gradio is imported only now, in the environment prepared for it
    from core.web.pages.tabs.common import PageContents

    studio = open_studio(settings, ditto, serving=True)
    service = Service(studio, outputs, kokoro_file=offer_kokoro(fetch=settings.fetch_ditto), webrtc=offer_webrtc(settings))
    sweeper = Sweeper(outputs)
    page = build_page(service, PageContents(everything, EXAMPLES))
    try:
        address = launch(page, host, port)
        service.start()
        sweeper.start()
        # On a Space somebody tries them soon. A GPU that is lent is lent to a visitor: there the first who tries one makes it for all.
        soon = bool(os.environ.get("SPACE_ID")) and not on_zero_gpu()

        def prepare() -> None:
            if not on_zero_gpu():
                service.page_size.measure(EXAMPLES[0])
            make_examples(studio, settings, EXAMPLES if soon else (), service.page_size.px)

        warm_up(studio, page.visited, prepare)
        sys.stdout.write(f"Talking Head is ready: open {address} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        wait_for_signal()
    finally:
        service.stop(GRACE_S)
        shut_down(page)
        service.close(0.0)
        studio.close()
        sweeper.stop()


def main(argv: list[str] | None = None, *, everything: bool = False, name: str = "app.py") -> int:
    arguments = parse_arguments(argv, name)
    log_to_stderr()
    if everything:  # there are live faces
        switch_often()
    return exit_code(lambda: run(arguments, everything), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
