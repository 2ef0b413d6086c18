"""The values that sessions hand to outputs: a picture and its 40 ms of sound, 25 times a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.types import FPS, Frame, Samples

RATE_HZ = 48_000
"""Of the sound that is sent."""
SAMPLES = RATE_HZ // FPS
"""Of the sound of one moment."""


@dataclass(frozen=True, eq=False)
class Moment:
    """picture: (H, W, 3) uint8 RGB, the same size in all of a session. sound: (1920,) float32, -1..1, 48 kHz. speaking: whether the person
    speaks in it.
    """

    picture: Frame
    sound: Samples
    speaking: bool


class PersonSession(Protocol):
    """A person who can be heard and seen. `next` from one thread, the others from another."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What a stream of it says of itself, as in `core.provenance.disclosure`."""

    def next(self, timeout_s: float) -> Moment | None:
        """The moment that is due, in real time; waits up to `timeout_s` for it. Raises TalkingHeadError where none will come any more."""

    def feed(self, pcm: bytes) -> bool:
        """More of what is said: 16-bit little-endian mono samples, of the rate that the session was made for, cut anywhere.

        Waits up to half a second for room; False: there was none, and nothing was taken.
        """

    def end(self) -> None:
        """The utterance is over."""

    def say(self, text: str) -> None:
        """A text is spoken, after all that came before it. What is wrong with it is logged."""

    def close(self) -> None: ...


class Output(Protocol):
    """Somewhere moments go. Never waits."""

    def put(self, moment: Moment) -> None: ...

    @property
    def state(self) -> str:
        """For the progress line."""

    def close(self) -> None: ...
