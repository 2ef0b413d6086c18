"""The render side of a live session: an engine's session and the encoders, here or in another process.

A live session decides what is shown and heard in each frame; a renderer draws the frames and encodes them. `engine_renderer.py` does it in
this process, `remote_renderer.py` has it done in another one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from core.media.segments import Segment
from core.request import Controls
from core.types import Frame, Phone, Samples

Shown = Any
"""A frame as its renderer knows it: its picture, or a name for it where that lies in another process."""


@dataclass(frozen=True, eq=False)
class RendererFacts:
    """What a renderer tells of itself.

    width, height, look_ahead_samples: as in `core.engines.base.Session`. warnings: of source, registration and what was asked for. engine:
    its name. metadata: what the stream says of itself, as in `core.provenance.disclosure`. mime_type, initialisation: of the stream of
    segments.
    """

    width: int
    height: int
    look_ahead_samples: int
    warnings: Sequence[str]
    engine: str
    metadata: Mapping[str, str]
    mime_type: str
    initialisation: Segment


class LiveRenderer(ABC):
    """Of one session; used by one thread at a time, but for `check_controls`."""

    facts: RendererFacts

    # ---- controls

    @abstractmethod
    def check_controls(self, controls: Controls) -> None:
        """From any thread. Raises OptionError for what the engine does not honour, or a value that it refuses."""

    @abstractmethod
    def set_controls(self, controls: Controls) -> bool:
        """Acts so from the next frame on. False: it cannot, `renew` can."""

    @abstractmethod
    def renew(self, controls: Controls) -> None:
        """Acts so, between utterances, `in_time` as frames are drawn."""

    # ---- drawing: as in `core.engines.base.Session`, with frames that are finished

    @abstractmethod
    def in_time(self, due_in_s: float) -> AbstractContextManager[None]:
        """Frames are drawn within it. due_in_s: until the frame is due."""

    @abstractmethod
    def expect(self, phones: Sequence[Phone]) -> None: ...

    @abstractmethod
    def push(self, samples: Samples) -> Iterator[Shown]: ...

    @abstractmethod
    def flush(self) -> Iterator[Shown]: ...

    @abstractmethod
    def idle(self, n_frames: int) -> Iterator[Shown]: ...

    @abstractmethod
    def interrupt(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    # ---- what becomes of frames, in the order in which they were drawn; some are left out

    @abstractmethod
    def picture(self, shown: Shown) -> Frame:
        """(height, width, 3) uint8 RGB."""

    @abstractmethod
    def jpeg(self, shown: Shown) -> bytes:
        """The same as a JPEG file."""

    @abstractmethod
    def segment(self, frames: Sequence[tuple[Shown, Samples]], key: bool, final: bool = False) -> Segment:
        """The next piece of the stream. frames: each with its sound, (sound_rate_hz / 25,) float32. key: it begins with a key frame. final:
        nothing follows. Raises EncodingError.
        """

    @abstractmethod
    def packet(self, shown: Shown, sound: Samples, key: bool) -> tuple[bytes, bytes]:
        """H.264 and Opus of a frame and its sound, as `core.media.live_packets`. Raises EncodingError."""
