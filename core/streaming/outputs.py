"""The options of a live session, and the kinds of output it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from core.errors import OptionError
from core.media.codec_facts import OPUS_HZ, aac_rate_hz
from core.media.segments import Segment
from core.types import FPS, Frame, Samples

if TYPE_CHECKING:
    from core.media.decode import Block

EventKind = Literal["ready", "speaking", "idle", "interrupted", "stats", "saying", "said", "say_failed", "visemes", "word"]
OutputKind = Literal["segments", "frames", "pictures", "packets"]
MOST_SEGMENT_FRAMES = 2 * FPS


@dataclass(frozen=True)
class LiveOptions:
    """How a live session sounds and flows.

    output: "segments" (fragmented MP4), "frames" (pictures and sound as they are), "pictures" (JPEG, with the sound as it is) or "packets"
    (H.264 and Opus of each frame, at 48 kHz, for WebRTC). sound_rate_hz: of what is sent, whatever comes in; the
    lower it is, the longer AAC keeps it back (64 ms at 48 kHz, 128 at 24). segment_frames: frames of one segment, 1 to 50. lead_s: how much
    video is handed out at once at the start, for the player to have in hand, half a second at most. jitter_s: how late sound may be without
    a gap: speech begins when that much more is there than the engine needs. fill: where sound is late all the same silence is spoken, in
    texts always; else the utterance ends there, and what comes later is another one. gap_s: so long after the last sound the utterance is
    taken for ended. max_buffer_s: of sound that waits. stats_every_s: between "stats" events.
    """

    output: OutputKind = "segments"
    sound_rate_hz: int = 48_000
    segment_frames: int = 2
    lead_s: float = 0.2
    jitter_s: float = 0.08
    fill: bool = True
    gap_s: float = 0.2
    max_buffer_s: float = 60.0
    stats_every_s: float = 10.0

    def __post_init__(self) -> None:
        if self.output not in get_args(OutputKind):
            raise OptionError(f"output is {self.output!r}.", f"It must be one of {', '.join(get_args(OutputKind))}.")
        if self.output == "packets" and self.sound_rate_hz != OPUS_HZ:
            raise OptionError(f"sound_rate_hz is {self.sound_rate_hz}.", f"Opus has {OPUS_HZ}.")
        if self.sound_rate_hz < 8_000 or aac_rate_hz(self.sound_rate_hz) != self.sound_rate_hz:
            raise OptionError(f"sound_rate_hz is {self.sound_rate_hz}.", "AAC knows 16000, 24000, 44100 and 48000, among others.")
        if not 1 <= self.segment_frames <= MOST_SEGMENT_FRAMES:
            raise OptionError(f"segment_frames is {self.segment_frames}.", f"It must lie between 1 and {MOST_SEGMENT_FRAMES}.")
        for name, low, high in _BOUNDS:
            if not low <= getattr(self, name) <= high:  # also catches NaN
                raise OptionError(f"{name} is {getattr(self, name)}.", f"It must lie between {low:g} and {high:g}.")


_BOUNDS = (("lead_s", 0, 0.5), ("jitter_s", 0, 2), ("gap_s", 0.04, 10), ("max_buffer_s", 1, 600), ("stats_every_s", 0.1, 3600))


@dataclass(frozen=True)
class LiveEvent:
    """ready: the first thing of all. speaking: an utterance begins with the frame at `at_s`; idle: listening does. interrupted: nothing of
    an older generation follows. stats: every few seconds. saying: a piece of a text begins with the frame at `at_s`; said: the text is
    over, spoken to its end or not; say_failed: it was refused, or could not be synthesised to its end.

    Of a session that is made with visemes, after the frames that they belong to. visemes: what the mouth does in the frames from `at_s` on;
    word: one of a text begins at `at_s`.

    at_s: seconds of video made before it. data: of "ready" (width, height, fps, sound_rate_hz, the engine's look_ahead_s and, of segments,
    mime_type), "stats" (`LiveSession.stats`: late_s and lost_s among it), "saying" and "said" (`Say.begun`, `Say.report`), "visemes" and
    "word" (`BesideFrames`). Plain JSON types. number: which event of the session it is, from 0; -1 where nobody counts.
    """

    kind: EventKind
    generation: int
    at_s: float
    data: dict[str, Any] = field(default_factory=dict)
    number: int = -1


@dataclass(frozen=True)
class LiveSegment:
    """One piece of the stream, all of one generation. speaking: whether a frame of it speaks."""

    segment: Segment
    generation: int
    speaking: bool


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One picture, (H, W, 3) uint8 RGB, shown from at_s on, and the sound that goes with it, (1, sound_rate_hz / 25) float32.

    n_speech: so many samples of it are spoken, and silence follows. n_over: so many of the chunks that were fed in the session belong to
    utterances that were over before this frame: spoken to their end, or forgotten.
    """

    frame: Frame
    sound: Block
    generation: int
    at_s: float
    speaking: bool
    n_speech: int
    n_over: int


@dataclass(frozen=True)
class LivePacket:
    """One frame, H.264 in Annex B, and the sound that goes with it, one Opus packet of 40 ms. key: playing can start with it."""

    picture: bytes = field(repr=False)
    sound: bytes = field(repr=False)
    key: bool
    generation: int
    at_s: float
    speaking: bool


@dataclass(frozen=True, eq=False)
class LivePicture:
    """One frame as a JPEG file, and the sound that goes with it, (sound_rate_hz / 25,) float32."""

    data: bytes = field(repr=False)
    sound: Samples = field(repr=False)
    generation: int
    at_s: float
    speaking: bool


LiveOutput = LiveEvent | LiveSegment | LiveFrame | LivePicture | LivePacket
