"""How long an answer took to its first word, sentence, sound and picture."""

from __future__ import annotations

import time
from typing import Literal

Stage = Literal["first_token", "first_sentence", "first_sound", "first_picture"]
STAGES: tuple[Stage, ...] = ("first_token", "first_sentence", "first_sound", "first_picture")


class Latency:
    """Counts from when it is made: when the message came."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._reached: dict[Stage, float] = {}

    def reached(self, stage: Stage, at_s: float | None = None) -> None:
        """The first time counts. at_s: by time.monotonic, where it was not now."""
        self._reached.setdefault(stage, (time.monotonic() if at_s is None else at_s) - self._began_s)

    def elapsed_s(self) -> float:
        """Until now."""
        return round(time.monotonic() - self._began_s, 3)

    def view(self) -> dict[str, float | None]:
        """Seconds; None for what was not reached."""
        return {f"{stage}_s": round(self._reached[stage], 3) if stage in self._reached else None for stage in STAGES}
