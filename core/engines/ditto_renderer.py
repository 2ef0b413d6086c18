"""Keypoints to pictures: warp, decode, put back; a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from core.atomic_components.decode_f3d import DecodeF3D, as_picture
from core.atomic_components.motion_stitch import StitchedFrame
from core.atomic_components.putback import Canvas, DeviceCanvas
from core.atomic_components.registration import DittoRegistration
from core.atomic_components.warp_f3d import WarpF3D
from core.optimization.gpu_optimization import Placement
from core.optimization.resolution_optimization import face_cut, output_size
from core.types import Frame, RenderOptions

CANVASES = 8
"""Canvases of a video source kept per session; a photo needs one."""

Batch = Sequence[StitchedFrame]


class DittoRenderer:
    """The pictures of one session. `draw` and `put_back` may run on a thread each; width, height: of the pictures."""

    def __init__(
        self, source: DittoRegistration, warp: WarpF3D, decode: DecodeF3D, placement: Placement, render: RenderOptions
    ) -> None:
        self._source, self._warp, self._decode, self._placement = source, warp, decode, placement
        if render.size == "source":
            self.width, self.height = output_size(source.source_width, source.source_height, render)
            self._cut = None
        else:
            self.width = self.height = render.size
            self._cut = face_cut(source.width, source.height, source.face_box)
        self._canvases: dict[int, Canvas | DeviceCanvas] = {}

    def draw(self, batch: Batch) -> tuple[Batch, torch.Tensor]:
        """At most `Placement.batch` frames, and their crops (n, 3, 512, 512) RGB 0..1 on the device."""
        # Filled up with its last frame: every batch has one size, so that a frame does not depend on those beside it.
        filled = [*batch, *[batch[-1]] * (self._placement.batch - len(batch))]
        return batch, self._decode(self._warp(filled))[: len(batch)]

    def put_back(self, drawn: tuple[Batch, torch.Tensor]) -> list[tuple[StitchedFrame, Frame]]:
        """Each frame with its picture, (height, width, 3) uint8 RGB."""
        batch, renders = drawn
        return list(zip(batch, self._pictures(batch, renders), strict=True))

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
            canvas = Canvas(self._source.picture(index), self._source.frames[index].m_c2o, self._cut, self.width, self.height)
            device = self._placement.device
            self._canvases[index] = canvas if device.type == "cpu" else canvas.on(device)
        return self._canvases[index]
