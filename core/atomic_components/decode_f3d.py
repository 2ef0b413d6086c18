"""The decode stage: turns warped features into pictures of the 512x512 crop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray


class DecodeF3D:
    """Holds the network only; may be called from several threads.

    network: (n, 256, 64, 64) -> (n, 3, 512, 512) RGB 0..1 (`core.models.prepared.decoder.PreparedDecoder`).
    """

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._network = network

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """(n, 256, 64, 64) -> (n, 3, 512, 512) RGB 0..1, on the device, in the precision of the network."""
        with torch.inference_mode():
            return self._network(features)


def as_picture(render: torch.Tensor) -> NDArray[np.float32]:
    """(3, 512, 512) RGB 0..1 -> (512, 512, 3) float32 0..255 on the machine, not rounded: what `Canvas.put` takes."""
    picture: NDArray[np.float32] = (render.float().clamp(0, 1) * 255).permute(1, 2, 0).contiguous().cpu().numpy()
    return picture
