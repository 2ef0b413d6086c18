"""ZeroGPU hosts of Hugging Face: a GPU is lent to a visitor for one call at a time. How long calls take, and whose they are.

The program itself has no GPU there. A call runs in a process forked from it, says beforehand how long it will take, and counts against
the visitor's quota of the day.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextvars import ContextVar

from core.errors import TalkingHeadError
from core.types import FPS

TOKEN_HEADER = "x-ip-token"  # noqa: S105 - a header's name
"""In which a Space's proxy says who a visitor is, for the quota."""
VISITORS = 10_000
"""Visitors whose latest token is kept."""
START_S = 6.0
"""Of each call: the process is forked, and gigabytes of weights go to the GPU."""
FRAME_S = 0.010
"""A frame at 320×320: warp, decoder and put back. Assumed until calls were timed; on the safe side."""
PIXEL_S = 0.02e-6
"""What a pixel of a larger picture takes more."""
STEP_S = 0.005
"""One denoising step of one window of motion; the same."""
MARGIN = 1.3
"""Asked for, where so much is expected: a call that takes longer is ended by force."""
USUAL_PIXELS = 320 * 320
current_visitor: ContextVar[str] = ContextVar("current_visitor", default="")
"""The owner whose request is being served on this thread."""


class QuotaExceeded(TalkingHeadError):
    """More seconds of the GPU would be needed than the visitor has, or than are lent at once."""


class DurationRefused(QuotaExceeded):
    """One call may not be so long; a shorter one may."""


def on_zero_gpu() -> bool:
    """Whether this program runs on such a host (SPACES_ZERO_GPU in the environment)."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


class VisitorTokens:
    """The latest token of each visitor, by owner; in memory only. Thread-safe."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, owner: str, token: str | None) -> None:
        """token: of a request of the owner; None where it had none, which changes nothing."""
        if not token:
            return
        with self._lock:
            self._tokens[owner] = token
            self._tokens.move_to_end(owner)
            while len(self._tokens) > VISITORS:
                self._tokens.popitem(last=False)

    def of(self, owner: str) -> str | None:
        with self._lock:
            return self._tokens.get(owner)


visitor_tokens = VisitorTokens()


class GpuSpeed:
    """How long calls take: assumed at first, then as they were timed. Thread-safe."""

    def __init__(self) -> None:
        self._factor = 1.0
        self._lock = threading.Lock()

    def seconds(self, frames: int, steps: int, pixels: int) -> float:
        """To ask for, for so many frames of motion and pictures. steps: denoising steps of all windows. pixels: of one picture."""
        return START_S + MARGIN * self._factor * self._expected(frames, steps, pixels)

    def frames_in(self, seconds: float, steps_per_frame: float, pixels: int) -> int:
        """Frames for which `seconds` are enough; 0 for none."""
        one = MARGIN * self._factor * (self._expected(1, 0, pixels) + steps_per_frame * STEP_S)
        return max(0, int((seconds - START_S) / one))

    def took(self, seconds: float, frames: int, steps: int, pixels: int) -> None:
        """A call is done: what its work took on the GPU. A slower one counts at once, faster ones little by little."""
        expected = self._expected(frames, steps, pixels)
        if expected <= 0 or frames < FPS:  # too little to be judged by
            return
        measured = seconds / expected
        with self._lock:
            share = 1.0 if measured > self._factor else 0.25
            self._factor = min(max(self._factor + share * (measured - self._factor), 0.1), 50.0)

    def _expected(self, frames: int, steps: int, pixels: int) -> float:
        return frames * (FRAME_S + PIXEL_S * max(0, pixels - USUAL_PIXELS)) + steps * STEP_S
