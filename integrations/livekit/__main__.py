"""The worker: `LIVEKIT_URL=wss://... TALKING_HEAD_WORKER_KEY=... python -m integrations.livekit PHOTO`.

Exit code 0 after Ctrl-C or SIGTERM; 2 for bad arguments or settings, or a photo that cannot be used (one line on stderr).
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code, log_to_stderr
from core.errors import OptionError
from core.media.image import load_image
from core.options import Options, read_assignments, read_options, with_disclosure, with_seed
from core.settings import Settings, read_settings
from core.studio import ENGINE_NAMES, open_studio
from core.thread_priority import switch_often
from core.web.addresses import address, listen, port_number
from integrations.livekit.rooms import AvatarRooms
from integrations.livekit.server import server_of
from integrations.livekit.video_generator import live_options
from manager.ditto import MODES, offer_ditto

MIN_KEY_CHARS = 16
OWNER = "local"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m integrations.livekit", description="An avatar that joins the rooms of LiveKit agents.")
    parser.add_argument("photo", type=Path, help="of the person")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8100, type=port_number, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--engine", default="auto", choices=("auto", *ENGINE_NAMES), help="default: auto")
    parser.add_argument("--ditto", default="auto", choices=MODES, help="offer the ditto engine: auto (where a GPU is), on, off")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="one option by name (repeat)")
    return parser.parse_args(argv)


def options_of(arguments: argparse.Namespace, settings: Settings) -> Options:
    """With the label and the mark as of every server. Raises OptionError."""
    return with_disclosure(read_options(with_seed(read_assignments(arguments.assignments))), settings)


def run(arguments: argparse.Namespace) -> None:
    url, key = os.environ.get("LIVEKIT_URL", ""), os.environ.get("TALKING_HEAD_WORKER_KEY", "")
    if not url:
        raise OptionError("LIVEKIT_URL is not set.", "Set it to the address of your LiveKit server, such as wss://livekit.example.org.")
    if len(key) < MIN_KEY_CHARS:
        raise OptionError("TALKING_HEAD_WORKER_KEY is missing or short.", f"Make up {MIN_KEY_CHARS} characters or more; agents send them.")
    settings = read_settings(Settings)
    options = options_of(arguments, settings)
    photo = load_image(arguments.photo, settings)
    studio = open_studio(settings, offer_ditto(settings, arguments.ditto))
    open_live = partial(studio.live, photo, OWNER, arguments.engine, options.framing, options.controls, options.render, live_options())
    try:
        open_live().close()  # the engine is loaded, the person registered; or it is said what is wrong
        rooms = AvatarRooms(url, open_live, settings.max_live, settings.max_live_s)
        with listen(arguments.host, arguments.port) as sock:
            sys.stdout.write(f"The avatar waits for agents at {address(arguments.host, sock.getsockname()[1])} (Ctrl-C ends it)\n")
            sys.stdout.flush()
            server_of(rooms, key, settings).run([sock])
    finally:
        studio.close()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    log_to_stderr()
    end_like_ctrl_c()  # uvicorn stops, and then does what the signal did before
    switch_often()
    return exit_code(lambda: run(arguments), interrupted="")


if __name__ == "__main__":
    sys.exit(main())
