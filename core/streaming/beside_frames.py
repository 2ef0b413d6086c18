"""What is told of mouth and words beside the frames of a live session."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from core.streaming.outputs import LiveEvent
from core.streaming.speech import Speech
from core.types import FPS
from core.visemes.frames import AT_REST


class BesideFrames:
    """Keeps the events of frames until these are handed out: what nobody gets was not spoken. Used with the session's lock held.

    Data of "visemes": frames, a list with one `core.visemes.frames.frame_of` for each frame from the event's time on. Of "word": id of the
    text that it is of, text, duration_s.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, LiveEvent]] = deque()
        self._frames: deque[tuple[int, int]] = deque()  # of speech, and their generations, whose mouths are not known yet
        self._mouths: deque[dict[str, Any]] = deque()  # of frames that are not made yet

    def made(self, frame: int, generation: int, speech: Speech | None, rate_hz: int) -> None:
        """The frame speaks, or (None) is the first that does not. rate_hz: of the session's sound."""
        if speech is None:
            self.rests(frame, generation)
            return
        self.spoken(frame, generation)
        self.heard(speech.mouths_told())
        taken, say = speech.utterance.taken, speech.utterance.say
        if say is None:
            return
        for start, end, text in say.words_begun(taken):
            about = {"id": say.id, "text": text, "duration_s": round((end - start) / rate_hz, 3)}
            self.word(frame, generation, (start - taken) / rate_hz + 1 / FPS, about)

    def spoken(self, frame: int, generation: int) -> None:
        """frame: the number of the next frame of speech."""
        self._frames.append((frame, generation))

    def heard(self, mouths: Iterable[dict[str, Any]]) -> None:
        """mouths: of the next frames of speech, as they become known. An engine may need less sound for a frame than it takes to tell its
        mouth, which is then told with one of the next frames.
        """
        self._mouths.extend(mouths)
        while self._frames and self._mouths:
            self._mouth(*self._frames.popleft(), self._mouths.popleft())

    def rests(self, frame: int, generation: int) -> None:
        """The frame after speech."""
        self._frames.clear()
        self._mouths.clear()
        self._mouth(frame, generation, AT_REST)

    def _mouth(self, frame: int, generation: int, mouth: dict[str, Any]) -> None:
        self._waiting.append((frame, LiveEvent("visemes", generation, frame / FPS, {"frames": [mouth]})))

    def word(self, frame: int, generation: int, offset_s: float, about: dict[str, Any]) -> None:
        """It begins `offset_s` after the beginning of the frame."""
        self._waiting.append((frame, LiveEvent("word", generation, round(frame / FPS + offset_s, 3), about)))

    def handed_out(self, n_frames: int) -> list[LiveEvent]:
        """Those of the frames up to the first `n_frames` of the session; the visemes of frames that follow one another are one event."""
        events: list[LiveEvent] = []
        mouths: list[dict[str, Any]] = []
        follows = -1
        while self._waiting and self._waiting[0][0] < n_frames:
            frame, event = self._waiting.popleft()
            if event.kind != "visemes":
                events.append(event)
                continue
            if frame == follows:
                mouths += event.data["frames"]
            else:
                mouths = event.data["frames"]
                events.append(event)
            follows = frame + 1
        return events

    def forget(self) -> None:
        """None of the frames that wait is handed out."""
        for each in (self._waiting, self._frames, self._mouths):
            each.clear()
