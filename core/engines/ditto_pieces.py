"""Pieces of a recording, each animated by one call on a GPU that is lent: what is sent there, what is done there, what comes back.

A piece carries the motion and the keypoints as they are where it begins, and brings them back as they are where it ends: the next goes on
from there. Frames do not depend on those that are drawn beside them, so neither do they on where the recording was cut.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from core.atomic_components import saved_registration
from core.atomic_components.audio2motion import Audio2Motion
from core.atomic_components.decode_f3d import DecodeF3D
from core.atomic_components.motion_stitch import MotionStitch, StitchedFrame
from core.atomic_components.pose import MOTION_DIM, Array
from core.atomic_components.registration import MAX_STORE_BYTES, DittoRegistration
from core.atomic_components.warp_f3d import WarpF3D
from core.engines.base import Saved
from core.engines.ditto_networks import Networks
from core.engines.ditto_renderer import DittoRenderer
from core.errors import TalkingHeadError
from core.models.ahead_of_time import CompilableCall, Layout, apart, layout_of, said
from core.optimization.gpu_optimization import Placement
from core.request import RenderOptions
from core.types import Frame

COMPILED_ERROR = 1e-2
"""Most by which compiled code may differ from the network, as a part of its result: the pictures are the same to 50 dB."""
SOURCES = 8
"""Registered photos that a process keeps on the GPU, for its next calls."""


@dataclass(frozen=True, eq=False)
class Piece:
    """source: the registered photo as the engine saves it; key: its digest. motion, stitch: detached. features: (n, 1024) float32, n >= 0.

    ended: the utterance ends with them. frames, steps, pixels: how much work it is: frames made, denoising steps of all windows of motion,
    pixels of a picture.
    """

    key: str
    source: Saved
    render: RenderOptions
    motion: Audio2Motion
    stitch: MotionStitch
    features: Array
    ended: bool
    frames: int
    steps: int
    pixels: int


@dataclass(frozen=True, eq=False)
class PieceEnd:
    """What comes after the last frame. motion, stitch: for the next piece, detached. shown: the last frame. seconds: that the work took."""

    motion: Audio2Motion
    stitch: MotionStitch
    shown: StitchedFrame | None
    seconds: float


class CompiledCall(NamedTuple):
    """What became of a call that was to be compiled. code: for `spaces.aoti_apply`; None: nothing, and obstacle says why."""

    code: Any
    layout: Layout
    obstacle: str


Part = list[Frame] | PieceEnd | TalkingHeadError
"""What a call yields: pictures, and at last the end; or an error of ours, which would lose its words as an exception."""


class LentDevice:
    """The networks as they lie on the device, and what is done with them there. One per process, made before any call.

    The processes of the calls are forked from the one that made this. They have none of its threads, so that nothing here may wait for a
    pool that was in use there: OpenCV and PyTorch's CPU part run on one thread.
    """

    def __init__(self, networks: Networks, placement: Placement) -> None:
        self._networks, self._placement = networks, placement
        self._decode = DecodeF3D(networks.decode)
        self._sources: OrderedDict[str, DittoRegistration] = OrderedDict()

    def animate(self, piece: Piece) -> Iterator[Part]:
        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        began = time.perf_counter()
        try:
            shown: StitchedFrame | None = None
            source, motion, stitch = self._source(piece), piece.motion, piece.stitch
            motion.attach(self._networks.sampler(len(motion.step_noises) + 1))
            stitch.attach(self._networks.stitch)
            warp = WarpF3D(self._networks.warp, source.feature, self._placement.device, source.is_image)
            renderer = DittoRenderer(source, warp, self._decode, self._placement, piece.render)
            frames = _moved(piece, motion, stitch)
            while batch := list(itertools.islice(frames, self._placement.batch)):
                yield [np.ascontiguousarray(picture) for _, picture in renderer.put_back(renderer.draw(batch))]
                shown = batch[-1]
            yield PieceEnd(motion.detached(), stitch.detached(), shown, time.perf_counter() - began)
        except TalkingHeadError as error:
            yield error

    @property
    def compilable(self) -> tuple[CompilableCall, ...]:
        return self._networks.compilable

    def rehearse(self) -> None:
        """A window of motion and a batch of pictures of nobody, in the shapes in which calls compute."""
        torch.set_num_threads(1)
        noise, device = np.random.default_rng(0), self._placement.device

        def normal(*shape: int) -> Array:
            return noise.standard_normal(shape, dtype=np.float32)

        n, window = self._networks.sizes, (1, self._networks.sizes.frames, MOTION_DIM)
        self._networks.sampler(2)(normal(1, MOTION_DIM), normal(1, n.frames, n.condition), normal(*window), normal(1, *window))
        feature = torch.from_numpy(normal(1, *n.volume)).to(device)
        points = torch.from_numpy(normal(self._placement.batch, 21, 3) * 0.3).to(device)
        with torch.inference_mode():
            self._decode(self._networks.warp.from_source(self._networks.warp.source(feature, points[:1]), points))

    def compile(
        self, number: int, capture: Callable[[CompilableCall, str], AbstractContextManager[Any]], compiler: Callable[[Any], Any]
    ) -> CompiledCall:
        """One of `compilable`, as a call on the GPU does it. capture, compiler: `spaces.aoti_capture` and `spaces.aoti_compile`.

        What fails is told in the result: as an exception its words would be lost.
        """
        call = self.compilable[number]
        try:
            with capture(call, "eager") as captured:
                self.rehearse()
            code = compiler(call.program(captured.args))
            if (error := apart(call, code, captured.args)) > COMPILED_ERROR:
                return CompiledCall(None, (), f"its results are {error:.1e} off")
            return CompiledCall(code, layout_of(captured.args), "")
        except Exception as error:
            return CompiledCall(None, (), said(error))

    def _source(self, piece: Piece) -> DittoRegistration:
        if piece.key not in self._sources:
            arrays, values = piece.source
            self._sources[piece.key] = saved_registration.restored(arrays, values, _kept, self._placement.device, tuple, MAX_STORE_BYTES)
            while len(self._sources) > SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(piece.key)
        return self._sources[piece.key]


def _moved(piece: Piece, motion: Audio2Motion, stitch: MotionStitch) -> Iterator[StitchedFrame]:
    for row in motion.push(piece.features):
        yield stitch.step(row, motion.reference)
    if piece.ended:
        for row in motion.flush():
            yield stitch.step(row, motion.reference)


def _kept(crop: Frame) -> torch.Tensor:
    raise RuntimeError("a photo's features are kept with it")
