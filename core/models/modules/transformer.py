"""The transformer of the motion diffusion: pre-norm layers, rotary positions, feature-wise modulation.

RoFormer, arXiv 2104.09864; FiLM, arXiv 1709.07871. All take and give (n, tokens, width).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.shapes import unflatten

Masks = tuple[Tensor | None, Tensor | None]


class Rotary(nn.Module):
    """Turns channel pairs (2i, 2i+1) by position times freqs[i], over the whole width: before the heads are split."""

    freqs: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("freqs", 1.0 / 10000.0 ** (torch.arange(0, width, 2, dtype=torch.float32) / width))

    def tables(self, tokens: int) -> tuple[Tensor, Tensor]:
        """(cos, sin), each (tokens, width): positions count from 0."""
        freqs = self.freqs.float()
        angles = torch.arange(tokens, dtype=torch.float32, device=freqs.device)[:, None] * freqs
        angles = torch.stack([angles, angles], dim=-1).flatten(-2)
        return angles.cos(), angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        cos, sin = self.tables(x.shape[-2])
        return turn(x, cos.to(x.dtype), sin.to(x.dtype))


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs (a, b) -> (a cos - b sin, b cos + a sin). x: (..., tokens, width); cos, sin: (tokens, width)."""
    a, b = unflatten(x, -1, (-1, 2)).unbind(-1)
    return x * cos + torch.stack([-b, a], dim=-1).flatten(-2) * sin


class Attention(nn.Module):
    """Multi-head attention with the parameter names of torch's own; queries, keys and values are separate inputs."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: (queries, keys) bool, True where a query sees a key; None: everywhere."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (split_heads(F.linear(x, w, b), self.heads) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        out: Tensor = self.out_proj(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)))
        return out


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(n, tokens, width) -> (n, heads, tokens, width / heads)."""
    return unflatten(x, -1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(n, heads, tokens, width / heads) -> (n, tokens, width)."""
    return x.transpose(1, 2).flatten(2)


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network, each added to its input."""

    def __init__(self, width: int, heads: int, ff_width: int):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.linear1 = nn.Linear(width, ff_width)
        self.linear2 = nn.Linear(ff_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.rotary = Rotary(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.norm1(x)
        turned = self.rotary(y)
        x = x + self.self_attn(turned, turned, y, mask)
        out: Tensor = x + self.linear2(F.gelu(self.linear1(self.norm2(x))))
        return out


class FiLM(nn.Module):
    """(gain, offset) = Linear(Mish(t)); y -> (gain + 1) * y + offset."""

    def __init__(self, width: int):
        super().__init__()
        self.block = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        both: Tensor = self.block(t)
        gain, offset = both.unsqueeze(1).chunk(2, dim=-1)
        return (gain + 1) * y + offset


class DecoderLayer(nn.Module):
    """Self-attention, attention to the memory, feed-forward; each modulated by the time embedding, then added to its input."""

    def __init__(self, width: int, heads: int, ff_width: int):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.multihead_attn = Attention(width, heads)
        self.linear1 = nn.Linear(width, ff_width)
        self.linear2 = nn.Linear(ff_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.film1 = FiLM(width)
        self.film2 = FiLM(width)
        self.film3 = FiLM(width)
        self.rotary = Rotary(width)

    def forward(self, x: Tensor, memory: Tensor, t: Tensor, masks: Masks = (None, None)) -> Tensor:
        """x: (n, tokens, width); memory: (n, memory tokens, width); t: (n, width); masks: of attention to itself and to the memory."""
        y = self.norm1(x)
        turned = self.rotary(y)
        x = x + self.film1(self.self_attn(turned, turned, y, masks[0]), t)
        y = self.multihead_attn(self.rotary(self.norm2(x)), self.rotary(memory), memory, masks[1])
        x = x + self.film2(y, t)
        y = self.linear2(F.gelu(self.linear1(self.norm3(x))))
        out: Tensor = x + self.film3(y, t)
        return out


class DecoderStack(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, ff_width: int):
        super().__init__()
        self.stack = nn.ModuleList(DecoderLayer(width, heads, ff_width) for _ in range(layers))

    def forward(self, x: Tensor, memory: Tensor, t: Tensor, masks: Masks = (None, None)) -> Tensor:
        for layer in self.stack:
            x = layer(x, memory, t, masks)
        return x
