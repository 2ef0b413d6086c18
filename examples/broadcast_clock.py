#!/usr/bin/env python3
"""Says the time to an RTMP server, once a minute, by the lines that `python -m integrations.broadcast` reads.

    python examples/broadcast_clock.py rtmp://HOST/APPLICATION/KEY photo.jpg [--every 60]

Any program that writes lines can take its place: a chat's reader, a news ticker, a language model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", help="rtmp://HOST/APPLICATION/KEY")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--every", type=float, default=60.0, help="seconds (default: %(default)s)")
    asked, more = parser.parse_known_args()
    command = [sys.executable, "-m", "integrations.broadcast", "--to", asked.to, "--source", str(asked.photo.resolve()), "--lines", *more]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdin is not None  # noqa: S101 - asked for
    try:
        while process.poll() is None:
            process.stdin.write(time.strftime("It is %H:%M.\n"))
            process.stdin.flush()
            time.sleep(asked.every)
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # Ctrl-C reaches the process as well, which ends politely
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
