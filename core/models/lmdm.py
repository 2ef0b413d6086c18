"""LMDM, the latent motion diffusion model: speech features to a window of head motion (arXiv 2411.19509, arXiv 2211.10658)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.modules import diffusion
from core.models.modules.shapes import unflatten
from core.models.modules.transformer import DecoderStack, EncoderLayer, Rotary

GUIDANCE = 2
"""x_start = unconditional + GUIDANCE * (conditional - unconditional) (classifier-free guidance, arXiv 2207.12598)."""
TIME_TOKENS = 2


class TimeEmbedding(nn.Module):
    """(n,) noise levels -> (n, width): sines, then cosines, of geometrically spaced frequencies."""

    frequencies: Tensor

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        exponents = np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / (half - 1))
        # A table, because another backend's exponential is a bit off in the last place, which noise level 999 makes a thousand bits.
        self.register_buffer("frequencies", torch.from_numpy(np.exp(exponents.astype(np.float64)).astype(np.float32)), persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        angles = time[:, None] * self.frequencies.float()
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class LMDM(nn.Module):
    """Defaults are the published sizes. State-dict keys are those of `model_state_dict` in `lmdm_v0.4_hubert.pth`.

    Motion rows (265): scale-1, pitch 66, yaw 66, roll 66, t 3, exp 63. Condition rows (1103): speech 1024, emotion 8, eye opening 2,
    eye direction 6, source keypoints 63. One window is 80 frames at 25 fps.

    causal_after: 0, as published: every frame of a window sees all of it. n > 0: the first n frames, which were heard before, see each
    other, each later one only those and what is not after it: so what it does is certain once it is heard.
    """

    noise_gain: Tensor
    start_divisor: Tensor
    self_mask: Tensor | None
    memory_mask: Tensor | None

    def __init__(
        self,
        *,
        motion_dim: int = 265,
        cond_dim: int = 1103,
        frames: int = 80,
        width: int = 512,
        ff_width: int = 1024,
        layers: int = 8,
        heads: int = 8,
        cond_layers: int = 2,
        causal_after: int = 0,
    ):
        super().__init__()
        self.causal_after = causal_after
        self.motion_dim, self.cond_dim, self.frames, self.width = motion_dim, cond_dim, frames, width
        self.null_cond_embed = nn.Parameter(torch.randn(1, frames, width))
        self.null_cond_hidden = nn.Parameter(torch.randn(1, width))
        self.rotary = Rotary(width)
        self.time_mlp = nn.Sequential(TimeEmbedding(width), nn.Linear(width, 4 * width), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(4 * width, width))
        self.to_time_tokens = nn.Sequential(nn.Linear(4 * width, TIME_TOKENS * width))
        self.norm_cond = nn.LayerNorm(width)
        self.input_projection = nn.Linear(2 * motion_dim, width)
        self.cond_encoder = nn.Sequential(*(EncoderLayer(width, heads, ff_width) for _ in range(cond_layers)))
        self.cond_projection = nn.Linear(cond_dim, width)
        self.non_attn_cond_projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.seqTransDecoder = DecoderStack(layers, width, heads, ff_width)
        self.final_layer = nn.Linear(width, motion_dim)
        # Not part of any checkpoint. from_numpy, here and above, so that they hold numbers even when the module is built without storage.
        gain, divisor = (torch.from_numpy(table.copy()) for table in diffusion.noise_gains())
        self.register_buffer("noise_gain", gain, persistent=False)
        self.register_buffer("start_divisor", divisor, persistent=False)
        for name, keys in (("self_mask", frames), ("memory_mask", frames + TIME_TOKENS)):
            mask = torch.from_numpy(causal_mask(frames, keys, causal_after)) if causal_after else None
            self.register_buffer(name, mask, persistent=False)

    def cond_tokens(self, cond: Tensor) -> Tensor:
        """(n, frames, 1103) -> (n, frames, width)."""
        tokens: Tensor = self.cond_projection(cond)
        for layer in self.cond_encoder:
            tokens = layer(tokens, self.self_mask)
        return tokens

    def cond_hidden(self, tokens: Tensor) -> Tensor:
        """(n, frames, width) -> (n, width): the condition as one vector, added to the time embedding."""
        known = tokens[..., : self.causal_after, :] if self.causal_after else tokens
        hidden: Tensor = self.non_attn_cond_projection(known.mean(dim=-2))
        return hidden

    def time_hidden(self, time_cond: Tensor) -> Tensor:
        """(n,) int64 noise levels -> (n, 4 * width)."""
        dtype = self.final_layer.weight.dtype
        embedded = self.time_mlp[0](time_cond).to(dtype)
        hidden: Tensor = self.time_mlp[2](self.time_mlp[1](embedded))
        return hidden

    def time_tokens(self, th: Tensor) -> Tensor:
        """(n, 4 * width) -> (n, 2, width)."""
        return unflatten(self.to_time_tokens(th), -1, (TIME_TOKENS, self.width))

    def guided_pass(self, x: Tensor, tokens: Tensor, hidden: Tensor, th: Tensor) -> Tensor:
        """One pass of the decoder: x_start, (n, frames, 265).

        x: (n, frames, width), projected; tokens: (n, frames, width); hidden: (n, width); th: (n, 4 * width).
        """
        t = self.to_time_cond(th) + hidden
        memory = self.norm_cond(torch.cat([tokens, self.time_tokens(th)], dim=1))
        out: Tensor = self.final_layer(self.seqTransDecoder(x, memory, t, (self.self_mask, self.memory_mask)))
        return out

    def both_passes(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time_cond: Tensor) -> tuple[Tensor, Tensor]:
        """(without the condition, with it), each x_start (n, frames, 265); arguments as in `denoise`."""
        n = x.shape[0]
        th = self.time_hidden(time_cond)
        frame = cond_frame[:, None].expand(-1, x.shape[1], -1)
        h = self.input_projection(torch.cat([x, frame], dim=-1).to(self.final_layer.weight.dtype))
        free = self.guided_pass(h, self.null_cond_embed.expand(n, -1, -1), self.null_cond_hidden.expand(n, -1), th)
        tokens = self.cond_tokens(cond.to(h.dtype))
        return free, self.guided_pass(h, tokens, self.cond_hidden(tokens), th)

    def denoise(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time_cond: Tensor) -> tuple[Tensor, Tensor]:
        """One evaluation of the network, guidance included.

        x: (n, 80, 265) noisy motion; cond_frame: (n, 265) the frame before the window; cond: (n, 80, 1103); time_cond: (n,) int64, 0..999.
        -> (pred_noise, x_start), both (n, 80, 265) float32.
        """
        free, bound = self.both_passes(x, cond_frame, cond, time_cond)
        x_start = (free + GUIDANCE * (bound - free)).float()
        return self.pred_noise(x, x_start, time_cond), x_start

    def pred_noise(self, x: Tensor, x_start: Tensor, time_cond: Tensor) -> Tensor:
        """The noise in x if its clean form is x_start, (n, 80, 265) float32."""
        return self.noise_gain[time_cond][:, None, None] * x - x_start / self.start_divisor[time_cond][:, None, None]

    def forward(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time_cond: Tensor) -> tuple[Tensor, Tensor]:
        """As `denoise`."""
        return self.denoise(x, cond_frame, cond, time_cond)

    @torch.no_grad()
    def sample(
        self,
        cond_frame: Tensor,
        cond: Tensor,
        steps: int,
        *,
        generator: torch.Generator | None = None,
        x_T: Tensor | None = None,
        noises: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Motion for one window, from noise.

        cond_frame: (n, 265); cond: (n, 80, 1103); steps: 1..1000 evaluations of the network (OptionError otherwise).
        x_T: (n, 80, 265), the noise it starts from; noises: steps - 1 of (n or 1, 80, 265), added between the steps (published: the same
        ones for every window). What is not given is drawn from `generator`, x_T first; without a generator, from one with a fixed seed.
        -> (n, 80, 265) float32.
        """
        run = diffusion.plan(steps)
        x, noises = draw_noise(x_T, noises, (cond.shape[0], cond.shape[1], self.motion_dim), steps, generator, cond.device)
        times = torch.tensor([step.time for step in run], device=cond.device)

        def denoise(x: Tensor, i: int) -> tuple[Tensor, Tensor]:
            return self.denoise(x, cond_frame, cond, times[i].expand(x.shape[0]))

        out: Tensor = diffusion.run_ddim(denoise, x, run, noises)
        return out


def causal_mask(frames: int, keys: int, known: int) -> NDArray[np.bool_]:
    """(frames, keys) bool: what each frame sees of `keys`: the first `known` ones, those up to itself, and keys beyond the frames."""
    frame, key = np.arange(frames)[:, None], np.arange(keys)[None]
    mask: NDArray[np.bool_] = (key <= np.maximum(frame, known - 1)) | (key >= frames)
    return mask


def draw_noise(
    x_T: Tensor | None,
    noises: Tensor | Sequence[Tensor] | None,
    shape: tuple[int, int, int],
    steps: int,
    generator: torch.Generator | None,
    device: torch.device,
) -> tuple[Tensor, Tensor | Sequence[Tensor]]:
    """(x_T, noises) of one window; what is None is drawn, on the generator's device, so that a seed means the same on every device."""
    if generator is None and (x_T is None or noises is None):
        generator = torch.Generator()

    def draw() -> Tensor:
        if generator is None:
            raise AssertionError("there is one where something is drawn")
        return torch.randn(shape, generator=generator, device=generator.device).to(device)

    x_T = draw() if x_T is None else x_T
    noises = [draw() for _ in range(steps - 1)] if noises is None else noises
    if len(noises) != steps - 1:
        raise ValueError(f"{steps} steps take {steps - 1} noises between them, not {len(noises)}")
    return x_T, noises
