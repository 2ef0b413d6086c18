"""What the command lines share: argument errors and other errors as one line with an exit code, and logging."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from core import log_repeats
from core.errors import InputError, TalkingHeadError

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class OneLineParser(argparse.ArgumentParser):
    """Bad arguments are bad input: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}. See --help.\n")


def log_to_stderr() -> None:
    """How programs that serve log: warnings and worse; a line that repeats stands once, with its count."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    log_repeats.install(logging.getLogger())


def end_like_ctrl_c() -> None:
    """From now on `kill`, `timeout` and a closed terminal end this process as Ctrl-C does, so that nothing half made stays behind.

    A signal that is ignored (nohup) stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def exit_code(run: Callable[[], int | None], interrupted: str = "stopped") -> int:
    """What `run` returns (None is 0); for an error of ours one line on stderr, and 2 for bad input, 1 for the rest; 130 after Ctrl-C.

    interrupted: what to say after Ctrl-C; "" says nothing and counts as a good end, as for a server, which only ends so. An error
    that is not of ours is a defect and keeps its traceback.
    """
    try:
        return run() or OK
    except TalkingHeadError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    except KeyboardInterrupt:
        if not interrupted:
            return OK
        sys.stderr.write(f"{interrupted}\n")
        return INTERRUPTED
