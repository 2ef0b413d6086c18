"""Draws the frames of a Ditto session from keypoints: warp, decode, put back."""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np
import torch

from core.atomic_components.decode_f3d import DecodeF3D, as_picture
from core.atomic_components.motion_stitch import StitchedFrame
from core.atomic_components.putback import Canvas, DeviceCanvas
from core.atomic_components.registration import DittoRegistration
from core.atomic_components.warp_f3d import WarpF3D
from core.aux_models.upright import with_crop_turned
from core.engines.render_server import FrameRequest, RenderServer
from core.optimization.gpu_optimization import Placement
from core.optimization.kept_arrays import KeptArrays
from core.optimization.parallel_processing import StageRunner
from core.optimization.resolution_optimization import Cut, framed
from core.request import RenderOptions
from core.stage_times import stage
from core.types import FPS, Frame

log = logging.getLogger(__name__)

CANVASES = 8
"""Canvases of a video source kept per session; a photo needs one."""
AHEAD = 4
"""Batches that a session lets the render server draw at once, the one it waits for among them."""
AHEAD_BYTES = 256 * 2**20
"""Fewer, where pictures are so large that they would take more memory than this; at least two."""
LATER_S = 1.0
"""A whole recording's frames may wait so long for those that somebody watches as they are made."""

Batch = Sequence[StitchedFrame]
Pictured = list[tuple[StitchedFrame, Frame]]


class DittoRenderer:
    """The pictures of one session. `draw` and `put_back` may run on a thread each; width, height: of the pictures."""

    def __init__(self, source: DittoRegistration, warp: WarpF3D, decode: DecodeF3D, placement: Placement, render: RenderOptions) -> None:
        self._source, self._warp, self._decode, self._placement = source, warp, decode, placement
        render = with_crop_turned(render, source.quarters)
        shown = framed(source.width, source.height, source.face_box, render)
        self.width, self.height, self.warnings = shown.width, shown.height, shown.warnings
        self._cut = None if shown.cut == Cut(0, 0, source.width, source.height) else shown.cut
        if render.size == "source":  # the pixels are counted before the source was bounded
            sx, sy = source.source_width / source.width, source.source_height / source.height
            x0, y0, x1, y1 = source.face_box
            whole = framed(source.source_width, source.source_height, (x0 * sx, y0 * sy, x1 * sx, y1 * sy), render)
            self.width, self.height = whole.width, whole.height
        self._canvases: dict[int, Canvas | DeviceCanvas] = {}
        self._at_once = placement.batch
        self._settled: FrameRequest | None = None  # source and canvas of one whose computation was waited for

    def draw(self, batch: Batch) -> tuple[Batch, torch.Tensor]:
        """At most `Placement.batch` frames, and their crops (n, 3, 512, 512) RGB 0..1 on the device."""
        # Filled up with its last frame: every batch has one size, so that a frame does not depend on those beside it.
        filled = [*batch, *[batch[-1]] * (self._placement.batch - len(batch))]
        return batch, self._drawn(filled)[: len(batch)]

    def _drawn(self, frames: Batch) -> torch.Tensor:
        """Their crops. Where the device has no room for so many at once, half as many, then and from now on."""
        while True:
            try:
                parts = [self._drawn_at_once(frames[i : i + self._at_once]) for i in range(0, len(frames), self._at_once)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except torch.OutOfMemoryError:
                if self._at_once == 1:
                    raise
                self._at_once //= 2
            # Out of the handler, which would keep what did not fit alive.
            torch.cuda.empty_cache()
            log.warning("ditto: the device has no room for more than %d frames at once", self._at_once)

    def _drawn_at_once(self, frames: Batch) -> torch.Tensor:
        with stage("warp", len(frames)):
            warped = self._warp(frames)
        with stage("decode", len(frames)):
            return self._decode(warped)

    def put_back(self, drawn: tuple[Batch, torch.Tensor]) -> Pictured:
        """Each frame with its picture, (height, width, 3) uint8 RGB."""
        batch, renders = drawn
        with stage("put back", len(batch)):
            return list(zip(batch, self._pictures(batch, renders), strict=True))

    def decides(self, frame: StitchedFrame) -> Hashable:
        """What decides a frame's picture, of one registration: its keypoints, the source frame, and how that is framed."""
        return self._cut, self.width, self.height, frame.source_index, frame.kp_driving.tobytes()

    def requests(self, batch: Batch) -> list[FrameRequest]:
        """The same frames as the render server takes them, on any device."""
        sources, out = self._warp.sources(batch), []
        for frame, source in zip(batch, sources, strict=True):
            canvas = self._canvas(frame.source_index)
            out.append(FrameRequest(source, frame.kp_driving, canvas if isinstance(canvas, DeviceCanvas) else canvas.on("cpu")))
        device, known = self._placement.device, self._settled
        if device.type == "cuda" and any(known is None or one.source is not known.source or one.canvas is not known.canvas for one in out):
            torch.cuda.current_stream(device).synchronize()  # the server draws on another stream than these were computed on
            self._settled = out[-1]
        return out

    def _pictures(self, batch: Batch, renders: torch.Tensor) -> list[Frame]:
        canvases = [self._canvas(frame.source_index) for frame in batch]
        first = canvases[0]
        if isinstance(first, DeviceCanvas) and all(canvas is first for canvas in canvases):
            return list(np.ascontiguousarray(first.put(renders).cpu().numpy()))
        return [
            canvas.put(render[None])[0].cpu().numpy() if isinstance(canvas, DeviceCanvas) else canvas.put(as_picture(render))
            for canvas, render in zip(canvases, renders, strict=True)
        ]

    def _canvas(self, index: int) -> Canvas | DeviceCanvas:
        if index not in self._canvases:
            while len(self._canvases) >= CANVASES:
                self._canvases.pop(next(iter(self._canvases)))
            source, strength = self._source, float(self._source.shown.weight[index])
            canvas = Canvas(source.picture(index), source.frames[index].m_c2o, self._cut, self.width, self.height, strength)
            device = self._placement.device
            self._canvases[index] = canvas if device.type == "cpu" else canvas.on(device)
        return self._canvases[index]


class Drawing(Protocol):
    """Draws a session's frames. Not thread-safe. takes_turns: whether the caller must hold a turn on the device."""

    takes_turns: bool

    def step(self, batches: Iterator[Batch]) -> Pictured:
        """The next frames with their pictures, in order; empty: there are no more batches."""

    def drop(self) -> None:
        """Drops what was sent and not yet handed out."""

    def close(self) -> None:
        """Ends threads of its own; the next step starts them again."""


class LocalDrawing:
    """On two threads of the session, which work only while somebody waits for a frame."""

    takes_turns = True

    def __init__(self, renderer: DittoRenderer, batches_at_once: int) -> None:
        self._runner = StageRunner([renderer.draw, renderer.put_back])
        self._at_once = batches_at_once

    def step(self, batches: Iterator[Batch]) -> Pictured:
        # So many batches overlap in the stages, and all are finished before one is handed out: the stages then rest.
        parts = self._runner.run(itertools.islice(batches, self._at_once))
        return [pictured for part in parts for pictured in part]

    def drop(self) -> None:
        pass  # every step finishes what it began

    def close(self) -> None:
        self._runner.close()


class SharedDrawing:
    """By the render server, with the frames of other sessions, some batches ahead of the reader."""

    takes_turns = False

    def __init__(self, renderer: DittoRenderer, server: RenderServer, watched: bool) -> None:
        """watched: somebody sees the frames as they are made, so each is due when it is to be shown."""
        self._renderer, self._server, self._watched = renderer, server, watched
        self._client = object()  # what the server tells sessions apart by, and remembers for a while
        self._under_way: deque[tuple[Batch, list[Future[Frame]]]] = deque()
        self._ahead = 1

    def step(self, batches: Iterator[Batch]) -> Pictured:
        # More is sent before the first is waited for, but not prepared while that is ready already. The very first batch is sent alone:
        # preparing another might take a window of motion, for which the first frame would wait.
        while len(self._under_way) < self._ahead and not (self._under_way and self._under_way[0][1][-1].done()):
            batch = next(batches, None)
            if batch is None:
                break
            self._under_way.append((batch, self._sent(batch)))
        if not self._under_way:
            self._ahead = 1
            return []
        batch, futures = self._under_way.popleft()
        batch_bytes = 3 * self._renderer.width * self._renderer.height * len(batch)
        self._ahead = max(2, min(AHEAD, AHEAD_BYTES // batch_bytes))
        try:
            return [(frame, future.result()) for frame, future in zip(batch, futures, strict=True)]
        except BaseException:
            self.drop()  # what follows a frame that failed has no place in the video
            raise

    def drop(self) -> None:
        for _, futures in self._under_way:
            for future in futures:
                future.cancel()
        self._under_way.clear()
        self._ahead = 1

    def close(self) -> None:
        self.drop()

    def _sent(self, batch: Batch) -> list[Future[Frame]]:
        requests, now = self._renderer.requests(batch), time.monotonic()
        due_s = [now + i / FPS if self._watched else now + LATER_S for i in range(len(batch))]
        return [self._server.submit(request, self._client, due) for request, due in zip(requests, due_s, strict=True)]


class KeptDrawing:
    """Draws what was not drawn before, and keeps it: for motion that comes back. Frames of other sessions of the person count, too."""

    def __init__(self, drawing: Drawing, renderer: DittoRenderer, kept: KeptArrays) -> None:
        self._drawing, self._renderer, self._kept = drawing, renderer, kept
        self.takes_turns = drawing.takes_turns
        self._known: Pictured = []  # a batch that needs no drawing, and waits for those before it

    def step(self, batches: Iterator[Batch]) -> Pictured:
        drawn = self._drawing.step(self._unknown(batches))
        for frame, picture in drawn:
            self._kept.put(self._renderer.decides(frame), picture.copy())  # who gets the frame may draw into it
        if drawn:
            return drawn
        known, self._known = self._known, []
        return known

    def drop(self) -> None:
        self._known = []
        self._drawing.drop()

    def close(self) -> None:
        self._known = []
        self._drawing.close()

    def _unknown(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches up to the first of which every picture is kept."""
        while not self._known and (batch := next(batches, None)) is not None:
            pictures = [self._kept.get(self._renderer.decides(frame)) for frame in batch]
            if any(picture is None for picture in pictures):
                yield batch
            else:
                self._known = [(frame, picture.copy()) for frame, picture in zip(batch, pictures, strict=True) if picture is not None]
