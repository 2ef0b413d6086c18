"""Threads whose work nobody waits for give way to those whose work is due, where the system can tell threads apart."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
PATIENT = 10
"""A thread that is this much nicer gets a tenth of the time of one that is not, where both want all of a core."""
PATIENT_SOON = 5
"""A quarter of the time: speech is synthesised ahead of what is drawn from it, but somebody waits for its first words; so it is with the
first seconds of a video.
"""

SWITCH_S = 0.0002
"""The usual 5 ms are an eighth of a frame's time."""


def be_patient(nicer: int = PATIENT) -> None:
    """Makes the calling thread, and those that it starts from now on, give way to the others of this process. It cannot be taken back.

    Not for threads that take turns on the device, or others would wait for a thread that waits for a core. Elsewhere than on Linux, where
    priorities are those of whole processes, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + nicer)
    except OSError as error:
        logger.info("a thread keeps its priority: %s", error)


def switch_often() -> None:
    """For programs that serve live faces: a thread that computes gives Python's lock to one whose frame is due within SWITCH_S."""
    sys.setswitchinterval(SWITCH_S)


def by_patient_thread(make: Callable[[], T], nicer: int = PATIENT) -> T:
    """What `make` returns, called on a thread that is patient: threads that a library starts in it, for good, are patient too.

    Raises what `make` raises.
    """

    def work() -> T:
        be_patient(nicer)
        return make()

    with ThreadPoolExecutor(1, "patient") as threads:
        return threads.submit(work).result()
