"""Command line that sends a live session to an RTMP server, to a virtual camera, or to both, until it is stopped.

Exit code 0 after Ctrl-C; 2 for bad input (one line on stderr says what and what to do); 1 for anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.command_line import OneLineParser, exit_code
from core.errors import OptionError
from core.options import read_assignments, read_options, with_seed
from core.settings import Settings, load_settings
from integrations.broadcast import speech
from integrations.broadcast.moments import Output, PersonSession
from integrations.broadcast.rtmp import RtmpStream
from integrations.broadcast.sending import Job

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
NEXT_S = 0.5
PROGRESS_S = 0.5
_BITS = re.compile(r"(\d+(?:\.\d+)?)([kM]?)")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m integrations.broadcast", description="A live session as a stream or a camera.")
    parser.add_argument(
        "--to", action="append", required=True, type=_place, metavar="WHERE",
        help="rtmp://HOST/APPLICATION/KEY, rtmps://…, /dev/videoN, or @FILE with one of them (repeat)",
    )
    person = parser.add_argument_group("person", "one of --source and --server").add_mutually_exclusive_group(required=True)
    person.add_argument("--source", type=Path, metavar="FILE", help="photo or video; the session runs here")
    person.add_argument("--server", metavar="URL", help="the session runs on this server (api_server.py); with --avatar")
    parser.add_argument("--avatar", default="", metavar="TOKEN", help="of a person registered on the server")
    parser.add_argument("--key", default=os.environ.get("TALKING_HEAD_KEY", ""), help="of the server (or TALKING_HEAD_KEY)")
    said = parser.add_argument_group("speech", "at most one; without one the person listens").add_mutually_exclusive_group()
    said.add_argument("--audio", type=Path, metavar="FILE", help="a recording")
    said.add_argument("--pcm", action="store_true", help="sound from stdin: 16-bit little-endian, mono, of --rate")
    said.add_argument("--lines", action="store_true", help="texts from stdin, a line each")
    said.add_argument("--text", help="a text")
    parser.add_argument("--loop", action="store_true", help="the recording again and again")
    parser.add_argument("--pause", type=float, default=2.0, metavar="S", help="with --loop, seconds between (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=16_000, metavar="HZ", help="of --pcm, 8000 to 96000 (default: %(default)s)")
    parser.add_argument("--voice", default="", help="of texts; the default is the first")
    parser.add_argument("--speed", type=float, default=1.0, help="of texts, 0.5 to 2 (default: %(default)s)")
    parser.add_argument("--engine", default="auto", choices=("auto", "lite", "ditto"))
    parser.add_argument("--size", default="720", help='shorter side of the picture, or "source" (default: %(default)s)')
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="one option by name (repeat)")
    stream = parser.add_argument_group("stream", "of RTMP")
    stream.add_argument("--video_bitrate", type=bits, default=bits("2500k"), metavar="BITS", help="a second (default: 2500k)")
    stream.add_argument("--audio_bitrate", type=bits, default=bits("128k"), metavar="BITS", help="a second (default: 128k)")
    stream.add_argument("--preset", choices=PRESETS, default="veryfast", help="of x264: slower is finer (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if bool(arguments.server) != bool(arguments.avatar):
        parser.error("--server and --avatar go together")
    if arguments.loop and arguments.audio is None:
        parser.error("--loop is for --audio")
    if not 0 <= arguments.pause <= 3600:
        parser.error(f"--pause is {arguments.pause:g}; it must be 0 to 3600")
    if not 8_000 <= arguments.rate <= 96_000:
        parser.error(f"--rate is {arguments.rate}; it must be 8000 to 96000")
    if not 100_000 <= arguments.video_bitrate <= 50_000_000:
        parser.error("--video_bitrate must be 100k to 50M")
    if not 32_000 <= arguments.audio_bitrate <= 320_000:
        parser.error("--audio_bitrate must be 32k to 320k")
    return arguments


def _place(text: str) -> str:
    """What stands in a file is seen by nobody who lists the processes of the machine."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read ({getattr(error, 'strerror', None) or 'no text'})") from None


def bits(text: str) -> int:
    """ "2500k" → 2500000."""
    found = _BITS.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bits such as 2500k or 4M")
    return round(float(found[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[found[2]])


def log(line: str) -> None:
    """One line for people, above the progress line."""
    sys.stderr.write(f"\r\x1b[K{time.strftime('%H:%M:%S')} {line}\n" if sys.stderr.isatty() else f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def speaking(arguments: argparse.Namespace, settings: Settings) -> tuple[speech.Speaking, int]:
    """What is said, and the rate of its sound. Raises TalkingHeadError."""
    if arguments.audio is not None:
        return speech.recording(arguments.audio, settings, arguments.loop, arguments.pause), 16_000
    if arguments.pcm:
        return speech.raw_sound(sys.stdin.fileno(), arguments.rate), arguments.rate
    if arguments.lines:
        return speech.lines(sys.stdin.fileno()), 16_000
    return (speech.silence() if arguments.text is None else speech.text(arguments.text)), 16_000


@contextlib.contextmanager
def opened_session(arguments: argparse.Namespace, settings: Settings, rate_hz: int) -> Iterator[PersonSession]:
    size = arguments.size
    if size != "source" and not size.isdecimal():
        raise OptionError(f"--size is {size!r}.", 'It must be a number of pixels, or "source".')
    values = {"size": size if size == "source" else int(size), **read_assignments(arguments.assignments)}
    if arguments.server:
        from integrations.broadcast.server_session import ServerSession

        about = arguments.server, arguments.avatar, arguments.key, arguments.engine, values
        with contextlib.closing(ServerSession(*about, rate_hz, arguments.voice, arguments.speed, log)) as session:
            yield session
        return
    from integrations.broadcast.local_session import local_session

    options = read_options(with_seed({"mark": True, **values}))
    with local_session(arguments.source, arguments.engine, options, settings, rate_hz, arguments.voice, arguments.speed, log) as session:
        yield session


def opener(where: str, arguments: argparse.Namespace) -> Callable[[int, int, PersonSession], Output]:
    """What opens the output once the size of the pictures is known. Raises OptionError."""
    if where.startswith(("rtmp://", "rtmps://")):
        from integrations.broadcast.rtmp import place_of

        place_of(where)
        video_bps, audio_bps, preset = arguments.video_bitrate, arguments.audio_bitrate, arguments.preset
        return lambda width, height, session: RtmpStream(
            Job(where, width, height, video_bps, audio_bps, preset, dict(session.metadata)), log
        )  # fmt: skip
    if sys.platform != "linux":
        raise OptionError(f"{where}: virtual cameras need Linux.", "Give rtmp://HOST/APPLICATION/KEY.")
    from integrations.broadcast.virtual_camera import VirtualCamera, camera_path

    path = camera_path(where)
    return lambda width, height, session: VirtualCamera(path, width, height)


class ProgressLine:
    """One line on stderr, rewritten twice a second; silent where that is no terminal."""

    def __init__(self, outputs: list[Output]) -> None:
        self._outputs = outputs
        self._began_s = self._shown_s = time.monotonic()
        self._n = 0
        self._active = sys.stderr.isatty()

    def count(self, speaking: bool) -> None:
        self._n += 1
        now_s = time.monotonic()
        if not self._active or now_s - self._shown_s < PROGRESS_S:
            return
        self._shown_s = now_s
        ran_s = now_s - self._began_s
        what = "speaks " if speaking else "listens"
        where = " | ".join(output.state for output in self._outputs)
        sys.stderr.write(f"\r\x1b[K{int(ran_s) // 60:02d}:{int(ran_s) % 60:02d} {what} {self._n / ran_s:4.1f} frames/s | {where}")
        sys.stderr.flush()

    def end(self) -> None:
        if self._active:
            sys.stderr.write("\r\x1b[K")


def broadcast(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C. Raises TalkingHeadError."""
    settings = load_settings()
    openers = [opener(where, arguments) for where in arguments.to]
    speak, rate_hz = speaking(arguments, settings)
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(opened_session(arguments, settings, rate_hz))
        stack.callback(over.set)
        outputs: list[Output] = []
        progress = ProgressLine(outputs)
        stack.callback(progress.end)
        threading.Thread(target=speak, args=(session, over), name="speech", daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                moment = session.next(NEXT_S)
                if moment is None:
                    continue
                if not outputs:
                    height, width = moment.picture.shape[:2]
                    for open_output in openers:
                        outputs.append(output := open_output(width, height, session))
                        stack.callback(output.close)
                for output in outputs:
                    output.put(moment)
                progress.count(moment.speaking)
        progress.end()
        log("ending")
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    return exit_code(lambda: broadcast(arguments), "stopped")
