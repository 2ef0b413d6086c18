"""Puts the rendered 512x512 crop back into the frame it was cut from, with faded edges.

Two ways, one formula. At the size of the frame it is the published one, to the last bit that OpenCV allows. At another size (320 by
default) frame and crop go straight into the small picture: nothing is put back at full size first, and the crop that the networks saw was
taken from the source's own pixels.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.optimization.resolution_optimization import Cut, cut_pixels
from core.types import Frame

Array = NDArray[np.float32]

CROP_PX = 512
INSIDE = 0.9
"""Part of the crop's side that is shown in full; the rest of it is the edge where crop and frame mix."""
SOURCE_EDGE_PX = 8
"""Where the picture reaches over the source's edge, the render is faded out over so many pixels before it."""


def blend_mask(size_px: int = CROP_PX, inside: float = INSIDE) -> Array:
    """(size, size) float32: 1 inside, falling linearly to 0 over the edge, with round corners. The published mask, hash for hash."""
    edge = (size_px - int(size_px * inside)) // 2
    inner = size_px - 2 * edge
    ramp = np.linspace(0, 1, edge)
    row = np.concatenate([ramp, np.ones(inner), ramp[::-1]]).astype(np.float32)
    mask = np.minimum(row[:, None], row[None, :])
    outward = 1 - ramp  # 1 at the outside, 0 where the edge begins; float64 up to the last step, as published
    distance = np.minimum(np.sqrt(outward[:, None] ** 2 + outward[None, :] ** 2), 1)
    corner = np.float32(1) - distance.astype(np.float32)
    mask[:edge, :edge] = corner
    mask[:edge, -edge:] = corner[:, ::-1]
    mask[-edge:, :edge] = corner[::-1]
    mask[-edge:, -edge:] = corner[::-1, ::-1]
    return mask


class Canvas:
    """One frame of the source, ready to receive rendered crops: a photo needs one for a whole session, a video one per frame.

    frame: (H, W, 3) uint8 RGB. m_c2o: (3, 3) float32, pixels of the 512 crop to pixels of the frame. cut, width, height: which rectangle
    of the frame the picture shows and how large; by default the whole frame as it is. strength: 0..1, how much of the crops is
    seen; at 0 the picture is the frame's. `put` may be called from several threads.
    """

    def __init__(
        self, frame: Frame, m_c2o: Array, cut: Cut | None = None, width: int = 0, height: int = 0, strength: float = 1.0
    ) -> None:
        frame_h, frame_w = frame.shape[:2]
        cut = cut or Cut(0, 0, frame_w, frame_h)
        self.width, self.height = width or frame_w, height or frame_h
        as_it_is = (cut, self.width, self.height) == (Cut(0, 0, frame_w, frame_h), frame_w, frame_h)
        self._background = frame if as_it_is else cut_pixels(frame, cut, self.width, self.height)
        self._matrix = m_c2o[:2] if as_it_is else (_into(cut, self.width, self.height) @ m_c2o)[:2]
        self._shrunk_px, self._from_shrunk = CROP_PX, self._matrix
        if not as_it_is:
            # Where the crop shrinks much, an affine warp alone would skip pixels; it is averaged to nearly its final size first.
            shrink = min(1.0, 1.5 * math.sqrt(abs(float(np.linalg.det(self._matrix[:, :2])))))
            self._shrunk_px = max(1, round(CROP_PX * shrink))
            factor = CROP_PX / self._shrunk_px
            # pixel i of the small crop has its centre at (i + 0.5) * factor - 0.5 of the large one
            to_large = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5], [0, 0, 1]])
            self._from_shrunk = self._matrix if factor == 1 else (self._matrix @ to_large)[:2]
        self._x0, self._y0, self._x1, self._y1 = self._reach()
        weight = cv2.warpAffine(blend_mask(), self._matrix, (self.width, self.height), flags=cv2.INTER_LINEAR, borderValue=0)
        weight = np.clip(weight, 0, 1) * _on_source(cut, frame_w, frame_h, self.width, self.height) * np.float32(strength)
        part = self._inside(weight)[..., None]
        self._weight: Array = np.ascontiguousarray(np.broadcast_to(part, (*part.shape[:2], 3)))
        self._kept: Array = (np.float32(1) - self._weight) * self._inside(self._background).astype(np.float32)

    def put(self, render: Array) -> Frame:
        """render: (512, 512, 3) float32 RGB 0..255 -> (height, width, 3) uint8 RGB, a new array; not rounded but cut off, as published."""
        picture = self._background.copy()
        if self._weight.size:
            warped = self._inside(self._warped(render))
            mixed = cv2.multiply(warped, self._weight)
            cv2.add(mixed, self._kept, dst=mixed)
            self._inside(picture)[:] = np.clip(mixed, 0, 255, out=mixed)
        return picture

    def _warped(self, render: Array) -> Array:
        if self._shrunk_px < CROP_PX:
            render = cv2.resize(render, (self._shrunk_px, self._shrunk_px), interpolation=cv2.INTER_AREA)
        warped: Array = cv2.warpAffine(render, self._from_shrunk, (self.width, self.height), flags=cv2.INTER_LINEAR, borderValue=0)
        return warped

    def on(self, device: torch.device | str) -> DeviceCanvas:
        """The same on a device, for renders that are there already."""
        rows, columns = np.mgrid[self._y0 : self._y1, self._x0 : self._x1]
        back = np.linalg.inv(np.vstack([self._from_shrunk, (0, 0, 1)]).astype(np.float64))
        at = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back[:2].T
        grid = (2 * at + 1) / self._shrunk_px - 1
        return DeviceCanvas(
            torch.from_numpy(self._background.copy()).to(device),
            torch.from_numpy(self._weight[..., 0].copy()).to(device),
            torch.from_numpy(self._kept.transpose(2, 0, 1).copy()).to(device),
            torch.from_numpy(grid.astype(np.float32)).to(device),
            torch.from_numpy(_averaging(self._shrunk_px)).to(device) if self._shrunk_px < CROP_PX else None,
            (self._y0, self._x0),
        )

    def _inside(self, picture: NDArray[np.generic]) -> NDArray[np.generic]:
        return picture[self._y0 : self._y1, self._x0 : self._x1]

    def _reach(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the part of the picture that the crop covers; nothing outside it is touched."""
        corners = np.array([[0, 0, 1], [CROP_PX, 0, 1], [CROP_PX, CROP_PX, 1], [0, CROP_PX, 1]]) @ self._matrix.T
        low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 2
        x0, x1 = (int(np.clip(value, 0, self.width)) for value in (low[0], high[0]))
        y0, y1 = (int(np.clip(value, 0, self.height)) for value in (low[1], high[1]))
        return x0, y0, x1, y1


class DeviceCanvas:
    """A Canvas whose renders never leave their device; only the finished pictures come down. Within 2 of 255 of what Canvas gives."""

    def __init__(
        self,
        background: torch.Tensor,
        weight: torch.Tensor,
        kept: torch.Tensor,
        grid: torch.Tensor,
        averaging: torch.Tensor | None,
        corner: tuple[int, int],
    ) -> None:
        self._background, self._weight, self._kept, self._grid = background, weight, kept, grid
        self._averaging, self._corner = averaging, corner

    def put(self, renders: torch.Tensor) -> torch.Tensor:
        """renders: (n, 3, 512, 512) RGB 0..1, any float type, as the decoder returns them -> (n, height, width, 3) uint8."""
        with torch.inference_mode():
            pictures = self._background.repeat(len(renders), 1, 1, 1)
            if not self._weight.numel():
                return pictures
            renders = renders.float().clamp(0, 1) * 255
            if self._averaging is not None:
                renders = self._averaging @ renders @ self._averaging.T
            grid = self._grid.expand(len(renders), -1, -1, -1)
            warped = torch.nn.functional.grid_sample(renders, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            mixed = (warped * self._weight + self._kept).clamp(0, 255).to(torch.uint8)
            y, x = self._corner
            pictures[:, y : y + mixed.shape[2], x : x + mixed.shape[3]] = mixed.permute(0, 2, 3, 1)
            return pictures


def _on_source(cut: Cut, frame_w: int, frame_h: int, width: int, height: int) -> Array:
    """(height, width) float32: 1 on the source, 0 where `cut` reaches over its edges; all 1 for a cut within the source.

    Beyond the edges the crop is black, and so is its render, while the frame is continued (`cut_pixels`).
    """

    def along(start: float, length: float, limit: int, size: int) -> Array:
        here = start + (np.arange(size) + 0.5) * length / size
        inside = np.full(size, np.inf)
        if start < 0:
            inside = np.minimum(inside, here)
        if start + length > limit:
            inside = np.minimum(inside, limit - here)
        return np.clip(inside * size / length / SOURCE_EDGE_PX, 0, 1).astype(np.float32)

    on_source: Array = along(cut.y, cut.height, frame_h, height)[:, None] * along(cut.x, cut.width, frame_w, width)[None, :]
    return on_source


def _averaging(size: int) -> Array:
    """(size, 512) float32: each row is the mean over its part of 512 pixels, as OpenCV's INTER_AREA takes it."""
    step = CROP_PX / size
    start = np.arange(size)[:, None] * step
    pixel = np.arange(CROP_PX)[None, :]
    covered = np.clip(np.minimum(pixel + 1, start + step) - np.maximum(pixel, start), 0, 1)
    weights: Array = (covered / step).astype(np.float32)
    return weights


def _into(cut: Cut, width: int, height: int) -> NDArray[np.float64]:
    """(3, 3): pixels of a frame to pixels of `cut` at width x height; whole numbers are pixel centres."""
    sx, sy = width / cut.width, height / cut.height
    return np.array([[sx, 0, (0.5 - cut.x) * sx - 0.5], [0, sy, (0.5 - cut.y) * sy - 0.5], [0, 0, 1]])
