"""The stitch network: shifts the driving keypoints so that the shoulders stay in place (LivePortrait, arXiv 2407.03168, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.models.modules.shapes import unflatten


class StitchNetwork(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `retarget_shoulder` in `stitch_network.pth`."""

    def __init__(self, *, num_kp: int = 21, hidden_sizes: Sequence[int] = (128, 128, 64)):
        super().__init__()
        self.num_kp = num_kp
        widths = [6 * num_kp, *hidden_sizes]
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], 3 * num_kp + 2))

    def forward(self, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """kp_source, kp_driving: (n, 21, 3) -> (n, 21, 3): kp_driving with an offset per keypoint and one common shift in x and y."""
        dtype = next(self.mlp.parameters()).dtype
        both = torch.cat([kp_source.flatten(1), kp_driving.flatten(1)], dim=1).to(dtype)
        delta: Tensor = self.mlp(both)
        offset = unflatten(delta[:, : 3 * self.num_kp], 1, (self.num_kp, 3))
        shift = delta[:, None, 3 * self.num_kp :]
        moved = kp_driving + offset
        return torch.cat([moved[..., :2] + shift, moved[..., 2:]], dim=-1)
