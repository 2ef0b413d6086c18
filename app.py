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
from core.settings import load_settings
from core.web.outputs import Sweeper, page_outputs
from core.web.server import launch, prepare_environment, shut_down, wait_for_signal, warm_up
from core.web.texts import ENGLISH

ASSETS = Path(__file__).resolve().parent / "assets"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="app.py", description="A page that turns one photo and one recording into a talking-head video.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the whole network (default: %(default)s)")
    parser.add_argument("--port", default=7860, type=int, help="port to listen on (default: %(default)s)")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    settings = load_settings()
    outputs = page_outputs(settings)
    outputs.prepare()
    prepare_environment(outputs)

    from core.studio import open_studio  # Gradio is imported only now, in the environment prepared for it
    from core.web.desk import Desk
    from core.web.page import Example, build_page

    speeches = (("speech_3s.wav", 3), ("speech_7s.wav", 7))
    examples = [
        Example(ASSETS / "portrait.png", ASSETS / name, ENGLISH.example.format(seconds=seconds)) for name, seconds in speeches
    ]
    studio = open_studio(settings)
    desk = Desk(studio, outputs, ENGLISH)
    sweeper = Sweeper(outputs)
    page = build_page(desk, settings, examples, ENGLISH)
    try:
        address = launch(page, arguments.host, arguments.port)
        sweeper.start()
        warm_up(studio, desk.visited)
        sys.stdout.write(f"Talking Head is ready: open {address} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        wait_for_signal()
    finally:
        desk.cancel_all()
        shut_down(page)
        studio.close()
        sweeper.stop()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return exit_code(lambda: run(arguments), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
