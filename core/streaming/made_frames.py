"""The frames of a live session that wait to be handed out, and the pieces they become then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.streaming.live_renderer import LiveRenderer
from core.streaming.load import FrameMeter
from core.streaming.outputs import LiveFrame, LiveOptions, LiveOutput, LivePacket, LivePicture, LiveSegment
from core.types import FPS, Samples

KEYFRAME_FRAMES = 2 * FPS


@dataclass(frozen=True, eq=False)
class MadeFrame:
    """shown: as the renderer gave it. sound: (sound_rate_hz / 25,) float32. The rest: as in LiveFrame."""

    shown: Any
    sound: Samples
    generation: int
    at_s: float
    speaking: bool
    n_speech: int
    n_over: int


class MadeFrames:
    """Used with the session's lock held. Frames are encoded only when they are handed out: nothing has to be taken back from an encoder.

    meter: told what encoding costs. wants_key: the next piece begins with a key frame. last_sample: of the sound handed out.
    """

    def __init__(self, renderer: LiveRenderer, options: LiveOptions, meter: FrameMeter) -> None:
        self._renderer, self._meter = renderer, meter
        self._output = options.output
        self._needed = options.segment_frames if options.output == "segments" else 1
        self._waiting: list[MadeFrame] = []
        self._since_key = KEYFRAME_FRAMES
        self.wants_key = False
        self.last_sample = 0.0

    def add(self, made: MadeFrame) -> None:
        self._waiting.append(made)

    @property
    def n_speaking(self) -> int:
        return sum(made.speaking for made in self._waiting)

    def forget_older(self, generation: int) -> Sequence[MadeFrame]:
        """Those that wait and are of an older one: they are never shown."""
        if not self._waiting or self._waiting[0].generation == generation:
            return ()
        older, self._waiting = self._waiting, []
        return older

    def enough(self) -> bool:
        return len(self._waiting) >= self._needed

    def hand_out(self) -> LiveOutput:
        waiting, self._waiting = self._waiting, []
        self.last_sample = float(waiting[-1].sound[-1])
        if self._output == "segments":
            return self._segment(waiting, waiting[0].generation)
        made = waiting[0]
        if self._output == "packets":
            return self._packet(made)
        if self._output == "pictures":
            with self._meter.working():
                return LivePicture(self._renderer.jpeg(made.shown), made.sound, made.generation, made.at_s, made.speaking)
        return LiveFrame(
            self._renderer.picture(made.shown), made.sound[None], made.generation, made.at_s, made.speaking, made.n_speech, made.n_over
        )

    def finish(self, generation: int) -> LiveSegment:
        """The last piece of a stream of segments, which is of that generation."""
        waiting, self._waiting = self._waiting, []
        return self._segment(waiting, generation, final=True)

    def _segment(self, waiting: Sequence[MadeFrame], generation: int, final: bool = False) -> LiveSegment:
        with self._meter.working():  # counts with the frame after it: what counts is the mean
            key = self._begins_with_key()
            data = self._renderer.segment([(made.shown, made.sound) for made in waiting], key, final)
            self._since_key += len(waiting)
        return LiveSegment(data, generation, any(made.speaking for made in waiting))

    def _packet(self, made: MadeFrame) -> LivePacket:
        with self._meter.working():
            key = self._begins_with_key()
            picture, sound = self._renderer.packet(made.shown, made.sound, key)
            self._since_key += 1
        return LivePacket(picture, sound, key, made.generation, made.at_s, made.speaking)

    def _begins_with_key(self) -> bool:
        """Whether what is encoded now begins with a key frame; asked once for each."""
        key = self.wants_key or self._since_key >= KEYFRAME_FRAMES
        if key:
            self.wants_key, self._since_key = False, 0
        return key
