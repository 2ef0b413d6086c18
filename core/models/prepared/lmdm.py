"""The motion diffusion for inference.

What is saved, all of it exact: both guidance passes run as one batch; the condition is encoded once per window, not once per step, and so
are the keys and values that attention reads of it; those of the unconditional pass never change; what depends on the step alone is computed
once per step count; the modulation (FiLM) of a whole window is one matrix product; the first self-attention, which both passes share, runs
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.lmdm import GUIDANCE, LMDM, draw_noise
from core.models.modules import diffusion
from core.models.modules.shapes import affine, unflatten
from core.models.modules.transformer import DecoderLayer, Rotary, join_heads, split_heads, turn

FILM_STEPS = 64
"""Steps whose modulation is computed at once: 25 MB of numbers per window and direction at the published size."""


class KeyValue(NamedTuple):
    """Keys and values of one layer, each (n, heads, tokens, width / heads)."""

    key: Tensor
    value: Tensor


class Window(NamedTuple):
    """Values that depend on the window alone. memory: per layer, of both passes, (2n, ...). hidden: (2n, width). frame: (n, 1, width)."""

    memory: list[KeyValue]
    hidden: Tensor
    frame: Tensor


class Times(NamedTuple):
    """Values that depend on the noise levels alone. memory: per layer, (steps, ...) of two tokens. hidden: (steps, width)."""

    memory: list[KeyValue]
    hidden: Tensor


class PreparedDecoderLayer(nn.Module):
    """Shapes as DecoderLayer's; n counts the windows of both passes together."""

    def __init__(self, layer: DecoderLayer):
        super().__init__()
        self.heads = layer.self_attn.heads
        self.norm1, self.norm2, self.norm3 = layer.norm1, layer.norm2, layer.norm3
        self.linear1, self.linear2 = layer.linear1, layer.linear2
        self.self_attn, self.cross_attn = layer.self_attn, layer.multihead_attn

    def memory(self, tokens: Tensor, cos: Tensor, sin: Tensor) -> KeyValue:
        """Keys and values of normed memory tokens (n, tokens, width) at the positions of cos and sin."""
        _, wk, wv = self.cross_attn.in_proj_weight.chunk(3)
        _, bk, bv = self.cross_attn.in_proj_bias.chunk(3)
        turned = turn(tokens, cos, sin)
        return KeyValue(split_heads(F.linear(turned, wk, bk), self.heads), split_heads(F.linear(tokens, wv, bv), self.heads))

    def attend_self(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        width = x.shape[-1]
        weight, bias = self.self_attn.in_proj_weight, self.self_attn.in_proj_bias
        y = self.norm1(x)
        query, key = F.linear(turn(y, cos, sin), weight[: 2 * width], bias[: 2 * width]).chunk(2, dim=-1)
        value = F.linear(y, weight[2 * width :], bias[2 * width :])
        query, key, value = (split_heads(t, self.heads) for t in (query, key, value))
        out: Tensor = self.self_attn.out_proj(join_heads(F.scaled_dot_product_attention(query, key, value, attn_mask=mask)))
        return out

    def attend_memory(self, x: Tensor, memory: KeyValue, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        width = x.shape[-1]
        query = F.linear(turn(self.norm2(x), cos, sin), self.cross_attn.in_proj_weight[:width], self.cross_attn.in_proj_bias[:width])
        attended = F.scaled_dot_product_attention(split_heads(query, self.heads), *memory, attn_mask=mask)
        out: Tensor = self.cross_attn.out_proj(join_heads(attended))
        return out

    def feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear2(F.gelu(self.linear1(self.norm3(x))))
        return out


class PreparedLMDM(nn.Module):
    """`denoise` and `sample` as LMDM's."""

    film_weight: Tensor
    film_bias: Tensor
    turn_cos: Tensor
    turn_sin: Tensor

    def __init__(self, network: LMDM):
        super().__init__()
        # Held whole: the encoder, the embeddings and the noise gains are used as they are; nothing is copied.
        self.network = network
        layers: list[DecoderLayer] = list(network.seqTransDecoder.stack)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(PreparedDecoderLayer(layer) for layer in layers)
        films = [affine(film.block[1]) for layer in layers for film in (layer.film1, layer.film2, layer.film3)]
        # The 1 of (gain + 1) goes into the bias. One product for all layers: (layers * 3 * 2 * width, width).
        one = torch.cat([torch.ones(network.width), torch.zeros(network.width)]).to(network.final_layer.weight)
        self.register_buffer("film_weight", torch.cat([weight for weight, _ in films]))
        self.register_buffer("film_bias", torch.cat([bias + one for _, bias in films]))
        rotary: Rotary = network.rotary
        cos, sin = rotary.tables(network.frames + 2)
        self.register_buffer("turn_cos", cos.to(one.dtype))
        self.register_buffer("turn_sin", sin.to(one.dtype))
        free = network.norm_cond(network.null_cond_embed.detach())
        for i, (key, value) in enumerate(self.token_memory(free)):
            self.register_buffer(f"free_key_{i}", key.detach().clone())
            self.register_buffer(f"free_value_{i}", value.detach().clone())
        self.kept: LMDMSampler | None = None

    def token_memory(self, normed: Tensor) -> list[KeyValue]:
        """Per layer, of the condition's normed tokens (n, frames, width)."""
        n = normed.shape[1]
        return [layer.memory(normed, self.turn_cos[:n], self.turn_sin[:n]) for layer in self.layers]  # type: ignore[operator]

    def window(self, cond_frame: Tensor, cond: Tensor) -> Window:
        """cond_frame: (n, 265); cond: (n, 80, 1103)."""
        net, n = self.network, cond.shape[0]
        dtype = net.final_layer.weight.dtype
        tokens = net.cond_tokens(cond.to(dtype))
        bound = self.token_memory(net.norm_cond(tokens))
        free = [KeyValue(self.get_buffer(f"free_key_{i}"), self.get_buffer(f"free_value_{i}")) for i in range(len(self.layers))]
        pairs = zip(free, bound, strict=True)
        memory = [KeyValue(*(torch.cat([f.expand(n, -1, -1, -1), b]) for f, b in zip(*pair, strict=True))) for pair in pairs]
        hidden = torch.cat([net.null_cond_hidden.expand(n, -1), net.cond_hidden(tokens)])
        weight = net.input_projection.weight[:, net.motion_dim :]
        frame = F.linear(cond_frame.to(dtype), weight, net.input_projection.bias)
        return Window(memory, hidden, frame[:, None])

    def times(self, time: Tensor) -> Times:
        """time: (steps,) int64."""
        th = self.network.time_hidden(time)
        tokens = self.network.norm_cond(self.network.time_tokens(th))
        frames = self.network.frames
        memory = [layer.memory(tokens, self.turn_cos[frames:], self.turn_sin[frames:]) for layer in self.layers]  # type: ignore[operator]
        return Times(memory, self.network.to_time_cond(th))

    def films(self, times: Tensor, hidden: Tensor) -> Tensor:
        """times, hidden: broadcast to (..., width) -> (..., layers, 3, 2, 1, width): gain (1 included) and offset of every modulation."""
        t = F.mish(times + hidden)
        return unflatten(F.linear(t, self.film_weight, self.film_bias), -1, (len(self.layers), 3, 2, 1, -1))

    def x_start(self, x: Tensor, window: Window, memory: Sequence[KeyValue], film: Tensor) -> Tensor:
        """One guided evaluation. memory: of the time tokens, per layer (2n, ...); film: (2n, layers, 3, 2, 1, width)."""
        net, frames = self.network, x.shape[1]
        cos, sin = self.turn_cos[:frames], self.turn_sin[:frames]
        h = F.linear(x.to(self.film_weight.dtype), net.input_projection.weight[:, : net.motion_dim]) + window.frame
        for i, layer in enumerate(self.layers):
            (gain1, offset1), (gain2, offset2), (gain3, offset3) = (f.unbind(1) for f in film[:, i].unbind(1))
            y = layer.attend_self(h, cos, sin, net.self_mask)  # type: ignore[operator]
            if i == 0:
                # Up to here both passes are the same.
                h, y = h.repeat(2, 1, 1), y.repeat(2, 1, 1)
            h = h + torch.addcmul(offset1, gain1, y)
            both = KeyValue(*(torch.cat([a, b], dim=2) for a, b in zip(window.memory[i], memory[i], strict=True)))
            h = h + torch.addcmul(offset2, gain2, layer.attend_memory(h, both, cos, sin, net.memory_mask))  # type: ignore[operator]
            h = h + torch.addcmul(offset3, gain3, layer.feed_forward(h))  # type: ignore[operator]
        n = x.shape[0]
        free, bound = h[:n], h[n:]
        # The last layer is linear: guidance before it costs half of it.
        out: Tensor = net.final_layer(free + GUIDANCE * (bound - free))
        return out.float()

    def denoise(self, x: Tensor, cond_frame: Tensor, cond: Tensor, time_cond: Tensor) -> tuple[Tensor, Tensor]:
        """As LMDM.denoise."""
        window, times = self.window(cond_frame, cond), self.times(time_cond)
        film = self.films(times.hidden.repeat(2, 1), window.hidden)
        memory = [KeyValue(*(t.repeat(2, 1, 1, 1) for t in kv)) for kv in times.memory]
        x_start = self.x_start(x, window, memory, film)
        return self.network.pred_noise(x, x_start, time_cond), x_start

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
        """As LMDM.sample."""
        x, noises = draw_noise(x_T, noises, (cond.shape[0], cond.shape[1], self.network.motion_dim), steps, generator, cond.device)
        out: Tensor = self.sampler(steps)(cond_frame, cond, x, noises)
        return out

    def sampler(self, steps: int) -> LMDMSampler:
        """The sampling loop of so many steps; that of the last step count asked for is kept (3 MB for 50 steps at the published size)."""
        sampler = self.kept
        if sampler is None or sampler.steps != steps or sampler.levels.device != self.film_weight.device:
            sampler = LMDMSampler(self, steps)
            # Replaced, not changed: another thread may be using the old one. Not a child of this module: it has this one.
            object.__setattr__(self, "kept", sampler)
        return sampler


class LMDMSampler(nn.Module):
    """The sampling loop of a fixed number of steps, from tensors to a tensor: nothing in it waits for the device.

    Raises OptionError for a number of steps out of 1..1000.
    """

    levels: Tensor

    def __init__(self, lmdm: PreparedLMDM, steps: int):
        super().__init__()
        self.lmdm, self.steps, self.plan = lmdm, steps, diffusion.plan(steps)
        self.register_buffer("levels", torch.tensor([step.time for step in self.plan], device=lmdm.film_weight.device))
        with torch.no_grad():
            self.times = lmdm.times(self.levels)

    def forward(self, cond_frame: Tensor, cond: Tensor, x_T: Tensor, noises: Tensor | Sequence[Tensor]) -> Tensor:
        """As LMDM.sample's arguments, all of them given; noises may differ per window: steps - 1 of (1 or n, 80, 265)."""
        lmdm, times, n = self.lmdm, self.times, cond.shape[0]
        window = lmdm.window(cond_frame, cond)
        film = torch.empty(0)

        def denoise(x: Tensor, i: int) -> tuple[Tensor, Tensor]:
            nonlocal film
            if i % FILM_STEPS == 0:
                film = lmdm.films(times.hidden[i : i + FILM_STEPS, None], window.hidden)
            memory = [KeyValue(*(t[i].expand(2 * n, -1, -1, -1) for t in kv)) for kv in times.memory]
            x_start = lmdm.x_start(x, window, memory, film[i % FILM_STEPS])
            return lmdm.network.pred_noise(x, x_start, self.levels[i : i + 1]), x_start

        out: Tensor = diffusion.run_ddim(denoise, x_T, self.plan, noises)
        return out
