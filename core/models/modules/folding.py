"""Exact rewrites of layers for inference; sums run in float64 and are rounded once to the dtype of the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.modules.conv3d import Way, arranged, convolved
from core.models.modules.conv_block import ConvBlock, pool_hw, rectify
from core.models.modules.spade import SpectralConv2d


class Conv(nn.Module):
    """A convolution with frozen weights. `transposed`: its transpose, for what runs on repeated pixels.

    `channels_last`: the weight lies as the activations should (a layout, not a value).
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        transposed: bool = False,
        channels_last: bool = False,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        dtype = dtype or weight.dtype
        layout = torch.channels_last if weight.dim() == 4 else torch.channels_last_3d
        weight = weight.detach().to(dtype).contiguous(memory_format=layout if channels_last else torch.contiguous_format)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype).clone())
        self.stride, self.padding, self.transposed = stride, padding, transposed
        self.way: Way | None = None
        self.run: Callable[..., Tensor]
        if transposed:
            self.run = F.conv_transpose2d if weight.dim() == 4 else F.conv_transpose3d
        else:
            self.run = F.conv2d if weight.dim() == 4 else F.conv3d

    def use(self, way: Way) -> None:
        """Lets it run in another way, if it convolves volumes with a kernel deeper than one slice. At most once."""
        if self.weight.dim() == 5 and self.weight.shape[2] > 1:
            self.way, self.weight = way, arranged(self.weight, way, self.transposed)

    def forward(self, x: Tensor) -> Tensor:
        if self.way is not None:
            return convolved(
                x, self.weight, self.bias, self.way, stride=self.stride, padding=self.padding, transposed=self.transposed
            )  # fmt: skip
        return self.run(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class PlainBlock(nn.Module):
    """A ConvBlock without its batch norm. One that doubles its input is a transposed convolution of it: 4 taps a pixel, not 9."""

    def __init__(self, block: ConvBlock, *, channels_last: bool = False):
        super().__init__()
        self.slope, self.pool = block.slope, block.pool
        weight, bias = folded(block.conv, block.norm)
        dtype = block.conv.weight.dtype
        if block.upsample:
            depth = weight.dim() - 4
            weight = repeated_taps(weight, 2)
            self.conv = Conv(
                weight, bias, stride=(1,) * depth + (2, 2), padding=1, transposed=True, channels_last=channels_last, dtype=dtype
            )  # fmt: skip
        else:
            self.conv = Conv(weight, bias, padding=1, channels_last=channels_last, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = rectify(self.conv(x), self.slope)
        return pool_hw(x) if self.pool else x


def norm_affine(norm: nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """(gain, offset), each (c,) float64: what a batch norm does at inference."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("this batch norm keeps no statistics")
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return gain, norm.bias.detach().double() - gain * norm.running_mean.double()


def folded(conv: nn.Conv2d | nn.Conv3d, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """(weight, bias), float64, of the convolution and the batch norm after it."""
    gain, offset = norm_affine(norm)
    weight = conv.weight.detach().double() * gain.view(-1, *(1,) * (conv.weight.dim() - 1))
    bias = offset if conv.bias is None else offset + gain * conv.bias.detach().double()
    return weight, bias


def spectral_weight(conv: SpectralConv2d) -> Tensor:
    """(out, in, k, k) float64: the weight after spectral norm."""
    u, v, w = conv.weight_u.double(), conv.weight_v.double(), conv.weight_orig.detach().double()
    return w / torch.dot(u, torch.mv(w.flatten(1), v))


def repeated_taps(weight: Tensor, times: int) -> Tensor:
    """A 3x3 convolution of nearest-repeated pixels, as a transposed convolution of the small picture.

    weight: (out, in, [3,] 3, 3) -> (in, out, [3,] times+2, times+2), to be run with stride `times` and padding 1 in height and width.
    A small pixel reaches all the large ones it covers, each once per tap: its stamp is the flipped kernel smeared over `times` pixels.
    """
    return transposed_taps(smear(smear(weight.flip(-1, -2), -1, times), -2, times))


def distinct_taps(weight: Tensor, times: int) -> Tensor:
    """As `repeated_taps`, but every run of equal output pixels is computed once.

    Of `times` pixels in a row that cover one small pixel, only the first and the last see a neighbour: three values (two if times is 2).
    weight: (out, in, 3, 3) -> (in, out, p+2, p+2), p = min(times, 3), for stride p and padding 1.
    """
    return repeated_taps(weight, times) if times < 3 else transposed_taps(stamp(stamp(weight, -1), -2))


def smear(weight: Tensor, dim: int, times: int) -> Tensor:
    """Sum of `times` copies of the kernel, each shifted by one along dim: length 3 -> times + 2."""
    return sum_shifted([(weight, i) for i in range(times)], dim, times + 2)


def stamp(weight: Tensor, dim: int) -> Tensor:
    """Along dim, what a small pixel adds to the last value of its left neighbour, its own three values, and the first of its right one."""
    w0, w1, w2 = (weight.narrow(dim, i, 1) for i in range(3))
    return torch.cat([w2, w1 + w2, w0 + w1 + w2, w0 + w1, w0], dim=dim)


def transposed_taps(weight: Tensor) -> Tensor:
    """(out, in, ...) -> (in, out, ...), the order transposed convolutions want; depth, if any, is flipped as their definition needs."""
    weight = weight.transpose(0, 1)
    return weight.flip(2) if weight.dim() == 5 else weight


def sum_shifted(parts: list[tuple[Tensor, int]], dim: int, length: int) -> Tensor:
    """Sum of tensors laid at the given offsets along dim into zeros of the given length."""
    first = parts[0][0]
    shape = list(first.shape)
    shape[dim] = length
    total = first.new_zeros(shape)
    for part, offset in parts:
        total.narrow(dim, offset, part.shape[dim]).add_(part)
    return total
