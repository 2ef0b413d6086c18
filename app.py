#!/usr/bin/env python3
"""A page in the browser: one photo and one recording in, one talking-head video out.

Exit code 0 after Ctrl-C or SIGTERM; 2 for bad arguments or settings (one line on stderr); 1 for anything else.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from core.command_line import OneLineParser, exit_code
from core.service.outputs import Sweeper, page_outputs
from core.service.videos import History
from core.settings import load_settings
from core.web.pages.launch import launch, prepare_environment, shut_down, wait_for_signal, warm_up
from manager.ditto import MODES, offer_ditto

ASSETS = Path(__file__).resolve().parent / "assets"
SPEECHES = (("speech_3s.wav", 3), ("speech_7s.wav", 7))


def parse_arguments(argv: list[str] | None, name: str) -> argparse.Namespace:
    parser = OneLineParser(prog=name, description="A page that turns one photo and one recording into a talking-head video.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the whole network (default: %(default)s)")
    parser.add_argument("--port", default=7860, type=int, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--ditto", default="auto", choices=MODES, help="offer the ditto engine: auto where there is a GPU (default), on, off"
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, everything: bool) -> None:
    """Serves the page until a signal comes. everything: with avatars, past videos, status and the whole API."""
    settings = load_settings()
    outputs = page_outputs(settings)
    outputs.prepare()
    prepare_environment(outputs)

    from core.service.requests import Desk
    from core.studio import open_studio  # Gradio is imported only now, in the environment prepared for it
    from core.web.pages.page import build_page
    from core.web.pages.tabs.common import Example, PageContents

    studio = open_studio(settings, offer_ditto(settings, arguments.ditto), serving=True)
    desk = Desk(studio, outputs, History(outputs))
    sweeper = Sweeper(outputs)
    examples = [Example(ASSETS / "portrait.png", ASSETS / name, seconds) for name, seconds in SPEECHES]
    page = build_page(desk, PageContents(everything, examples))
    try:
        address = launch(page, arguments.host, arguments.port)
        sweeper.start()
        warm_up(studio, desk.visited)
        sys.stdout.write(f"Talking Head is ready: open {address} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        wait_for_signal()
    finally:
        desk.leave()
        shut_down(page)
        studio.close()
        sweeper.stop()


def main(argv: list[str] | None = None, *, everything: bool = False, name: str = "app.py") -> int:
    arguments = parse_arguments(argv, name)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return exit_code(lambda: run(arguments, everything), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
