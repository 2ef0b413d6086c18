"""Command line that tells whether the lips of a video fit its sound.

    python -m core.sync VIDEO [--json] [--plot PNG]

Exit code 0: they fit, in time; 1: they do not, or nothing could be compared; 2: the video is not readable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core.command_line import FAILED, OK, OneLineParser, end_like_ctrl_c, exit_code
from core.media.formats import VIDEO_FORMATS
from core.media.video import check_writable
from core.provenance.reading import plain
from core.settings import load_settings
from core.sync.plot import save_plot
from core.sync.report import measure
from core.sync.words import summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="core.sync", description="Tells whether the lips of a video fit its sound, and which of them is late.")
    parser.add_argument("video", type=Path, help=f"{VIDEO_FORMATS}, made here or not")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, help="also draw it into this PNG file")
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> int:
    if chosen.plot is not None:
        check_writable(chosen.plot)
    name = plain(chosen.video.name)
    measured = measure(chosen.video, load_settings())
    report = measured.report
    if chosen.plot is not None:
        save_plot(measured, name, chosen.plot)
    text = json.dumps({"file": str(chosen.video), **report.to_dict()}) if chosen.json else "\n".join(summary(name, report))
    sys.stdout.write(text + "\n")
    return OK if report.in_time else FAILED


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
