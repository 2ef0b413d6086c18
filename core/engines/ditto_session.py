"""A session of the Ditto engine, which computes frames from samples when they are requested."""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol

import numpy as np

from core.atomic_components.audio2motion import Audio2Motion
from core.atomic_components.decode_f3d import DecodeF3D
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.motion_stitch import MotionStitch, StitchedFrame
from core.atomic_components.pose import Array
from core.atomic_components.registration import DittoRegistration
from core.atomic_components.warp_f3d import WarpF3D
from core.atomic_components.wav2feat import CURRENT, Wav2Feat, samples_needed
from core.clip_options import clip_index
from core.engines.base import Session
from core.engines.ditto_options import SessionOptions, session_options
from core.engines.ditto_renderer import DittoRenderer, Drawing, KeptDrawing
from core.models.config import SetupDefaults
from core.optimization.gpu_optimization import Placement
from core.request import Controls, RenderOptions
from core.stage_times import stage
from core.types import SAMPLES_PER_FRAME, Frame, Samples

FIRST_BATCH = 2
"""Frames drawn at once where speech or a pause begins, if batches may have any size: somebody waits for the first."""
IDLE_FRAMES = 75
"""Frames of listening that are made once, and played forth and back."""


def look_ahead(motion: Audio2MotionOptions) -> int:
    """Samples after the end of a frame before it is certain, the most of all frames. Windows of motion come every `valid` frames and
    features five at a time, so it repeats after as many frames as both divide.
    """
    return max(
        samples_needed(motion.features_before(row), motion.online_mode) - (row + 1) * SAMPLES_PER_FRAME
        for row in range(motion.seq_frames + math.lcm(motion.valid, CURRENT))
    )


class SessionStages(Protocol):
    """The parts of a session, which an engine provides (`core.engines.ditto.DittoEngine`)."""

    placement: Placement
    decode: DecodeF3D

    @property
    def defaults(self) -> SetupDefaults: ...

    def features(self, online_mode: bool) -> Wav2Feat: ...

    def motion(self, source: DittoRegistration, options: SessionOptions, silence: Callable[[int], Array], seed: int) -> Audio2Motion: ...

    def stitch(self, source: DittoRegistration, options: SessionOptions, seed: int, first_frame: int = 0) -> MotionStitch: ...

    def warp(self, source: DittoRegistration) -> WarpF3D: ...

    def drawing(self, renderer: DittoRenderer, watched: bool) -> Drawing: ...


class DittoSession(Session):
    """A frame is drawn once its window of motion is certain (`Audio2MotionOptions.features_before`), so a push may yield none, or many.

    Motion is made on the caller's thread, pictures on two of the session's own; nothing is computed while nobody waits for a frame. What
    a reader leaves unread comes with the next push. Where speech begins, or a pause, the head moves there from the frame shown last.
    """

    def __init__(self, engine: SessionStages, source: DittoRegistration, options: SessionOptions, render: RenderOptions) -> None:
        self._engine, self._source, self._options, self._render = engine, source, options, render
        self._seed = render.seed
        self._new_options: SessionOptions | None = None
        self._batch = engine.placement.batch
        self.step_frames = self._batch * engine.placement.batches_at_once
        self.look_ahead_samples = look_ahead(options.motion)
        self._features = engine.features(options.motion.online_mode)
        self._motion = engine.motion(source, options, self._features.silence, render.seed)
        self._stitch = engine.stitch(source, options, render.seed)
        renderer = self._renderer = DittoRenderer(source, engine.warp(source), engine.decode, engine.placement, render)
        self.width, self.height, self.warnings = renderer.width, renderer.height, renderer.warnings
        self.clip_frames = 0 if source.is_image else len(source)
        self._drawing = engine.drawing(renderer, watched=options.motion.online_mode)
        # What a photo's listening looks like is kept; a video's comes round too late to be worth it.
        self._idle_drawing = KeptDrawing(self._drawing, renderer, source.listening) if source.is_image else self._drawing
        self.takes_turns = self._drawing.takes_turns
        self._first_batch = self._begin_with = self._batch if self.takes_turns else min(self._batch, FIRST_BATCH)
        self._finished: deque[tuple[StitchedFrame, Frame]] = deque()  # drawn, not yet with the reader
        self._shown: StitchedFrame | None = None
        self._reader: Generator[Frame, None, None] | None = None
        self._speaking = self._listening = False
        self._idle: Array | None = None
        self._idle_at = 0

    def push(self, samples: Samples) -> Iterator[Frame]:
        self._begin()
        return self._read(self._spoken(self._features.push(samples)), self._drawing)

    def push_features(self, features: Array) -> Iterator[Frame]:
        """As `push`, from (n, 1024) speech features, for callers that have made them themselves. Not to be mixed with `push`."""
        self._begin()
        return self._read(self._spoken([np.asarray(features, np.float32)]), self._drawing)

    def flush(self) -> Iterator[Frame]:
        self._close_reader()
        self._reader = self._flushed()
        return self._reader

    def idle(self, n_frames: int) -> Iterator[Frame]:
        if self._speaking:
            raise RuntimeError("idle frames come between utterances: flush or interrupt first")
        self._close_reader()
        if not self._listening:
            self._listening = True
            self._idle_at = 0
            self._drop()
            self._stitch.reset(self._shown, listening=True)
        return self._read(self._quiet(n_frames), self._idle_drawing)

    def interrupt(self) -> None:
        self._close_reader()
        self._forget()
        self._idle_drawing.close()

    def set_controls(self, controls: Controls) -> bool:
        if self._speaking:
            return False
        self._new_options = session_options(controls, self._render, self._engine.defaults)
        return True

    def _renew(self) -> None:
        """New controls are new stages, which go on from the frame shown last."""
        if self._new_options is None:
            return
        self._options, self._new_options = self._new_options, None
        next_frame = self._stitch.next_frame
        self._motion = self._engine.motion(self._source, self._options, self._features.silence, self._seed)
        self._stitch = self._engine.stitch(self._source, self._options, self._seed, next_frame)
        self._stitch.reset(self._shown, listening=self._listening)
        self._idle, self._idle_at = None, 0

    def _drop(self) -> None:
        """Frames that were drawn, or are being drawn, and that nobody will take."""
        self._finished.clear()
        self._idle_drawing.drop()
        self._first_batch = self._begin_with

    def _forget(self) -> None:
        self._drop()
        self._features.reset()
        self._speaking = self._listening = False

    def _begin(self) -> None:
        self._close_reader()
        if not self._speaking:
            self._speaking, self._listening = True, False
            self._drop()
            self._renew()
            self._stitch.reset(self._shown)
            self._motion.reset(self._stitch.next_frame)

    def _flushed(self) -> Generator[Frame, None, None]:
        try:
            if self._speaking:
                yield from self._rendered(self._spoken(self._features.flush(), ended=True), self._drawing)
        finally:
            self._forget()  # at its end, or left in the middle: what remains could no longer be had in order

    def _spoken(self, blocks: Iterable[Array], ended: bool = False) -> Iterator[StitchedFrame]:
        motion, stitch = self._motion, self._stitch
        for block in blocks:
            for row in motion.push(block):
                yield stitch.step(row, motion.reference)
        for row in motion.push(np.zeros((0, 1024), np.float32)):  # what an earlier reader left
            yield stitch.step(row, motion.reference)
        if ended:
            for row in motion.flush():
                yield stitch.step(row, motion.reference)

    def _quiet(self, n_frames: int) -> Iterator[StitchedFrame]:
        """One stretch of motion for silence, forth and back, so that it never jumps, however few frames are asked for at a time."""
        for _ in range(n_frames):
            self._renew()
            idle = self._idle_rows()
            row = idle[clip_index(self._idle_at, len(idle), "bounce")]
            self._idle_at += 1
            yield self._stitch.step(row, idle[0])

    def _idle_rows(self) -> Array:
        """(n, 265) float32. Made once for all sessions of this person with the same options and seed."""
        if self._idle is None:
            options, kept = self._options, self._source.listening
            decides = pickle.dumps((options.condition, options.motion, options.character, options.longer, self._seed))
            key = "motion", hashlib.sha256(decides).digest()
            self._idle = kept.get(key)
            if self._idle is None:
                self._idle = self._made_idle_rows()
                kept.put(key, self._idle)
        return self._idle

    def _made_idle_rows(self) -> Array:
        quiet = self._engine.features(self._options.motion.online_mode)
        # Noise of its own: how long somebody listens must not change what is said afterwards.
        motion = self._engine.motion(self._source, self._options, quiet.silence, self._seed + 1)
        rows = [row for block in quiet.push(np.zeros(IDLE_FRAMES * SAMPLES_PER_FRAME, np.float32)) for row in motion.push(block)]
        rows += [row for block in quiet.flush() for row in motion.push(block)]
        return np.stack(rows + list(motion.flush()))

    # ---- rendering

    def _read(self, frames: Iterator[StitchedFrame], drawing: Drawing) -> Generator[Frame, None, None]:
        self._reader = self._rendered(frames, drawing)
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _rendered(self, frames: Iterator[StitchedFrame], drawing: Drawing) -> Generator[Frame, None, None]:
        batches = self._batches(frames)
        while True:
            while self._finished:
                self._shown, picture = self._finished.popleft()
                self.skipped = self._source.shown.why[self._shown.source_index]
                yield picture
            with stage("frames of a step, motion included", 0):
                self._finished.extend(drawing.step(batches))
            if not self._finished:
                return

    def _batches(self, frames: Iterator[StitchedFrame]) -> Iterator[list[StitchedFrame]]:
        while batch := list(itertools.islice(frames, self._first_batch)):
            self._first_batch = self._batch
            yield batch
