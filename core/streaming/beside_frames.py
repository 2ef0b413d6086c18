"""What is told of mouth and words beside the frames of a live session."""

from __future__ import annotations

from collections import deque
from typing import Any

from core.streaming.outputs import LiveEvent
from core.types import FPS


class BesideFrames:
    """Keeps the events of frames until these are handed out: what nobody gets was not spoken. Used with the session's lock held.

    Data of "visemes": frames, a list with one `core.visemes.frames.frame_of` for each frame from the event's time on. Of "word": id of the
    text that it is of, text, duration_s.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, LiveEvent]] = deque()

    def mouth(self, frame: int, generation: int, mouth: dict[str, Any]) -> None:
        """frame: its number. mouth: of `frame_of`."""
        about = {"frames": [mouth]}
        self._waiting.append((frame, LiveEvent("visemes", generation, frame / FPS, about)))

    def word(self, frame: int, generation: int, offset_s: float, about: dict[str, Any]) -> None:
        """It begins `offset_s` after the beginning of the frame."""
        self._waiting.append((frame, LiveEvent("word", generation, round(frame / FPS + offset_s, 3), about)))

    def handed_out(self, n_frames: int) -> list[LiveEvent]:
        """Those of the frames up to the first `n_frames` of the session; the visemes of frames that follow one another are one event."""
        events: list[LiveEvent] = []
        mouths: LiveEvent | None = None
        while self._waiting and self._waiting[0][0] < n_frames:
            _, event = self._waiting.popleft()
            if event.kind == "visemes" and mouths is not None:
                mouths.data["frames"] += event.data["frames"]
                continue
            if event.kind == "visemes":
                mouths = event
            events.append(event)
        return events

    def forget(self) -> None:
        """None of the frames that wait is handed out."""
        self._waiting.clear()
