"""The contract between the studio and an engine.

An engine holds weights and serves many sessions; a session holds all state of one utterance or stream. Streaming is the
primitive: a whole file is `push` then `flush`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from core.types import Controls, Frame, Framing, Photo, RenderOptions, Samples


class Registration(ABC):
    """What an engine keeps of one source and framing. Opaque to everyone but the engine that made it."""

    warnings: tuple[str, ...]

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory it holds, bytes."""


class Session(ABC):
    """One utterance or stream. Not thread-safe; the caller owns the clock."""

    width: int
    height: int

    @abstractmethod
    def push(self, samples: Samples) -> Iterator[Frame]:
        """Hears `samples` ((n,) float32, 16 kHz) and yields the frames that are certain now.

        How the audio is cut into pushes never changes a frame. A yielded frame belongs to the caller.
        """

    @abstractmethod
    def flush(self) -> Iterator[Frame]:
        """Ends the utterance and yields what is left: ceil(samples / 640) frames in all since the start or the last flush."""

    @abstractmethod
    def idle(self, n_frames: int) -> Iterator[Frame]:
        """`n_frames` of the person listening: lips closed, alive. Only between utterances."""

    @abstractmethod
    def interrupt(self) -> None:
        """Forgets audio that was pushed and not yet shown; the next push starts a new utterance."""


class Engine(ABC):
    """Weights, and the sessions made from them. All methods may be called from several threads."""

    name: str
    capabilities: frozenset[str]

    @property
    @abstractmethod
    def revision(self) -> str:
        """Changes whenever the output for the same input could change."""

    @abstractmethod
    def warmup(self) -> None:
        """Loads what is loaded lazily and runs once, so that the first request is not the slow one."""

    @abstractmethod
    def register(self, photo: Photo, framing: Framing) -> Registration:
        """Finds the face and precomputes everything a frame needs. Raises FaceError."""

    @abstractmethod
    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> Session:
        """A new, independent session. Raises OptionError for what this engine does not honour."""
