"""The warp stage: warps the source's appearance to a batch of driving keypoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from core.atomic_components.motion_stitch import StitchedFrame


class WarpF3D:
    """Warps of one session. Not thread-safe.

    network: `core.models.prepared.warp.PreparedWarpNetwork`, or anything with its `source` and `from_source`. feature: number of a source
    frame -> (1, 32, 16, 64, 64) on the device of the network. still: the source is a photo, so that what depends on it alone is computed
    once.
    """

    def __init__(self, network: Any, feature: Callable[[int], torch.Tensor], device: torch.device, still: bool) -> None:
        self._network, self._feature, self._device, self._still = network, feature, device, still
        self._source: Any = None

    def __call__(self, frames: Sequence[StitchedFrame]) -> torch.Tensor:
        """n frames -> (n, 256, 64, 64) on the device, in the precision of the network."""
        with torch.inference_mode():
            driving = self._on_device([frame.kp_driving for frame in frames])
            return self._network.from_source(self._prepared(frames), driving)  # type: ignore[no-any-return]

    def sources(self, frames: Sequence[StitchedFrame]) -> list[Any]:
        """What the network precomputes of each frame's source; always the same object for a photo. It may still be computing."""
        with torch.inference_mode():
            return [self._prepared(frames)] * len(frames) if self._still else [self._prepared([frame]) for frame in frames]

    def _prepared(self, frames: Sequence[StitchedFrame]) -> Any:
        if not self._still:
            features = torch.cat([self._feature(frame.source_index) for frame in frames])
            return self._network.source(features, self._on_device([frame.kp_source for frame in frames]))
        if self._source is None:
            self._source = self._network.source(self._feature(0), self._on_device([frames[0].kp_source]))
        return self._source

    def _on_device(self, points: Sequence[np.ndarray[Any, Any]]) -> torch.Tensor:
        """n of (1, 21, 3) -> (n, 21, 3) float32."""
        return torch.from_numpy(np.concatenate(points)).to(self._device)
