"""The interface that every engine implements: engine, registration and session.

An engine holds weights and serves many sessions; a session holds all state of one utterance or stream. Streaming is the
primitive: a whole file is `push` then `flush`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from core.errors import OptionError
from core.generation import SkipReason
from core.option_checks import check_hand_landmarks, check_moving_controls, check_photo_options
from core.request import Avatar, Controls, Framing, RenderOptions, check_honoured, is_video
from core.types import FPS, Frame, Phone, Samples, Source


@dataclass
class FrameCost:
    """CPU seconds of one frame, in all with its encoding, and of it within a turn on the device."""

    total_s: float
    turn_s: float


Saved = tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]
"""A registration as it can be kept: arrays by name, and plain JSON values by name."""
RegisterCallback = Callable[[int, int], None]
"""Called after each step of a registration with the number of source frames that are done, and their total (0: not known).

Between its calls the device is in use, during them it is not: a caller may pass its turn on there. What it raises ends the registration.
"""


def ignore_progress(done: int, total: int) -> None:
    """The RegisterCallback that does nothing."""


def unhurried() -> None:
    """Nobody waits for a turn."""


def nothing_more(framing: Framing, controls: Controls, options: RenderOptions) -> None:
    """The `check_options` of an engine whose options are all checked by name and range."""


@dataclass(frozen=True)
class EngineProfile:
    """An engine as it is known before it is loaded, on machines without its libraries too.

    capabilities, photo_only: as in `Engine`. check_options: raises OptionError for values that the engine's own stages refuse.
    """

    name: str
    capabilities: frozenset[str]
    check_options: Callable[[Framing, Controls, RenderOptions], None] = nothing_more
    photo_only: frozenset[str] = frozenset()

    def check(self, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
        """Raises InputError for what the engine does not honour, whatever its configuration, and for what no engine takes."""
        if is_video(source) and "video" not in self.capabilities:
            text = f"The {self.name} engine animates photos only."
            raise OptionError(text, "Give a photo, or choose another engine.", code="photos_only", parameters={"engine": self.name})
        framing.verify()
        check_hand_landmarks(source, framing, "landmarks" in self.capabilities, self.name)
        controls.verify(self.capabilities, self.name)
        options.verify()
        for values in (framing, options):
            check_honoured(values, self.capabilities, self.name)
        if not is_video(source):
            check_photo_options(options)
        check_moving_controls(source, controls, self.photo_only, self.name)
        self.check_options(framing, controls, options)


class Registration(ABC):
    """The data an engine computes once for one source and framing. Only the engine that made it can read it."""

    warnings: tuple[str, ...]
    quarters: int = 0
    """Turns counterclockwise by 90 degrees by which the source was put upright, where it lies on the side."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory it holds now, bytes; it may grow as sessions are made."""

    @property
    @abstractmethod
    def face_box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the face, in parts of the upright source's width and height."""


class Session(ABC):
    """One utterance or stream. Not thread-safe; the caller owns the clock."""

    width: int
    height: int
    fps: float = FPS
    """Frames per second that it gives."""
    clip_frames: int = 0
    """Of a video source: its frames at that rate, from its first to its last; 0 of a photo."""
    warnings: tuple[str, ...] = ()
    """Of what was asked for: what was changed so that it could be shown."""
    look_ahead_samples: int = 0
    """Sound after the end of a frame that must be there before the frame is certain, the most of all frames of an utterance."""
    step_frames: int = 5
    """Frames to ask for in one turn on the device: few enough to cancel and to interleave, enough to be computed together."""
    push_frames: int = 5
    """Of a recording that was foreseen, so many frames' worth to push at a time: few enough for the first frame to come soon."""
    pause: Callable[[], None] = staticmethod(unhurried)
    """Called between the parts of a frame that takes long, while nothing is computed: the caller may pass its turn on there."""
    face_box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 of the face in the frame that was given last, pixels, as far as it is known; it need not be exact."""
    skipped: SkipReason | None = None
    """Why the frame that was given last shows a moving source as it is; None: it does not."""
    takes_turns: bool = True
    """Whether it must have the device to itself while frames are made; False: its engine shares the device among sessions itself."""

    @abstractmethod
    def push(self, samples: Samples) -> Iterator[Frame]:
        """Hears `samples` ((n,) float32, 16 kHz) and yields the frames that are certain now.

        How the audio is cut into pushes never changes a frame. A yielded frame belongs to the caller. Called without a turn on the device;
        taking a frame needs one.
        """

    def expect(self, phones: Sequence[Phone]) -> None:  # noqa: B027 - engines without "phones" among their capabilities hear for themselves
        """The next phones of the utterance, in order, seconds from its start: each before the push of the sound in which it begins.

        Where they are not known nothing is told, for a part of an utterance, too; then the sound alone decides.
        """

    def foresee(self, samples: Samples) -> None:  # noqa: B027 - engines that hear no farther than their look-ahead have no use for it
        """The whole sound of the utterance, before its first push, where all of it is there: engines may look as far ahead as helps.

        All of it is pushed then, or the session interrupted; and no phones are told.
        """

    @abstractmethod
    def flush(self) -> Iterator[Frame]:
        """Ends the utterance and yields what is left: ceil(samples * fps / 16000) frames in all since the start or the last flush."""

    @abstractmethod
    def idle(self, n_frames: int) -> Iterator[Frame]:
        """`n_frames` of the person listening: lips closed, alive. Only between utterances."""

    @abstractmethod
    def interrupt(self) -> None:
        """Forgets audio that was pushed and not yet shown; the next push starts a new utterance."""

    def close(self) -> None:  # noqa: B027 - most hold nothing that waits to be let go of
        """Lets go of what it holds, after the last frame; nothing is asked of it afterwards."""

    def set_controls(self, controls: Controls) -> bool:
        """Acts so from the next frame on, without a jump. controls: verified. False: this session cannot, a new one can."""
        return False


class Engine(ABC):
    """Weights, and the sessions made from them. All methods may be called from several threads.

    capabilities: fields of Controls, RenderOptions and Framing that it honours, beyond those that every engine does; "video" where it
    takes moving sources, "phones" where its sessions make use of `Session.expect`. photo_only: the controls among them that it does not
    honour for moving sources.
    """

    name: str
    capabilities: frozenset[str]
    photo_only: frozenset[str] = frozenset()
    limitation: str = ""
    """What of it does not run as it should on this machine, in plain words; "" where all does."""

    @property
    @abstractmethod
    def revision(self) -> str:
        """Changes whenever the output for the same input could change."""

    @abstractmethod
    def warmup(self) -> None:
        """Loads what is loaded lazily and runs once, so that the first request is not the slow one."""

    def close(self) -> None:  # noqa: B027 - most engines have nothing to end
        """Ends what the engine does on threads of its own; whoever waits for it meets Cancelled. The engine serves nothing afterwards."""

    def verify(self, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
        """Raises InputError for what is known to fail before any work: what this engine does not honour, or a value out of range."""
        EngineProfile(self.name, self.capabilities, photo_only=self.photo_only).check(source, framing, controls, options)

    def verify_controls(self, controls: Controls, options: RenderOptions) -> None:
        """The same for controls that come later, for a session that was made with `options`."""
        controls.verify(self.capabilities, self.name)

    @abstractmethod
    def register(self, photo: Any, framing: Framing, on_frame: RegisterCallback = ignore_progress) -> Registration:
        """Finds the face of a Photo (or of a Video, where it takes them) and precomputes everything a frame needs. Raises FaceError."""

    @abstractmethod
    def save(self, registration: Registration) -> Saved:
        """What `restore` needs so that it looks for no face again. The arrays may be the registration's own."""

    @abstractmethod
    def restore(self, saved: Saved, source: Callable[[], Source]) -> Registration:
        """The registration again, of an engine of the same revision: every frame is as it would have been.

        source: reads the source it was made of, for what is not worth keeping twice. Raises KeyError or ValueError for what does not fit.
        """

    def still(self, registration: Registration, controls: Controls, options: RenderOptions, shown: str) -> Frame | None:
        """One frame in which the control named `shown` is seen; None of an engine that cannot draw one alone."""
        return None

    def frame_cost(self, registration: Registration, options: RenderOptions) -> FrameCost | None:
        """What a frame of a session is likely to cost here, found out by trying; None where only running it can tell."""
        return None

    @abstractmethod
    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> Session:
        """A new, independent session. Raises OptionError for what this engine does not honour."""
