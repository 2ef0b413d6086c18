"""Features of speech that hardly depend on who speaks: the first layers of Whisper tiny.en's encoder, in numpy alone.

They see sound on both sides, so a piece of a recording has to be there as a whole. Where they come from, and what they are good for:
core/lite/MOUTH_MODEL_CARD.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.lite.weights_file import F32, read_safetensors

ENCODER_PATH = Path(__file__).with_name("speech_encoder.safetensors")
STEP = 320
"""Samples a row: 20 ms. Row i is about [i, i + 1) x 20 ms."""
WIDTH, HEADS, LAYERS = 384, 6, 2
MOST_SAMPLES = 30 * 16_000
"""Whisper heard 30 s at a time."""
_HOP, _WINDOW, _BANDS, _DEPTH = 160, 400, 80, 8.0
_ROWS_AT_ONCE = 64
"""Of a large array, so that what is done to them, step by step, stays in the processor's cache."""


@dataclass(frozen=True)
class Layer:
    """One transformer layer, normalised before attention and before the feed-forward part. Matrices are (in, out)."""

    norm1_w: F32
    norm1_b: F32
    qkv_w: F32
    qkv_b: F32
    mix_w: F32
    mix_b: F32
    norm2_w: F32
    norm2_b: F32
    up_w: F32
    up_b: F32
    down_w: F32
    down_b: F32


PARTS = ("norm1.w", "norm1.b", "qkv.w", "qkv.b", "mix.w", "mix.b", "norm2.w", "norm2.b", "up.w", "up.b", "down.w", "down.b")
"""Of a layer, in order, as the file names them."""


@dataclass(frozen=True)
class EncoderWeights:
    """conv*_w: (taps x in, out), oldest tap first. Read-only."""

    conv1_w: F32
    conv1_b: F32
    conv2_w: F32
    conv2_b: F32
    layers: tuple[Layer, ...]


@functools.cache
def load_encoder(path: Path = ENCODER_PATH) -> EncoderWeights:
    """Loaded once a process and path. Matrices are kept as int8, with the scale of each column."""
    t, _ = read_safetensors(path)

    def tensor(name: str) -> F32:
        return t[name] * t[name + ".scale"] if name + ".scale" in t else t[name]

    layers = tuple(Layer(*(tensor(f"{k}.{part}") for part in PARTS)) for k in range(LAYERS))
    return EncoderWeights(tensor("conv1.w"), tensor("conv1.b"), tensor("conv2.w"), tensor("conv2.b"), layers)


@functools.cache
def mel_filters() -> F32:
    """(201, 80) triangular filters of equal area, 0 to 8 kHz, on Slaney's mel scale: linear to 1 kHz, logarithmic above."""
    bins = np.arange(_WINDOW // 2 + 1) * 16_000 / _WINDOW
    mel = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), _BANDS + 2)
    edge = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    rise = (bins[:, None] - edge[:-2]) / (edge[1:-1] - edge[:-2])
    fall = (edge[2:] - bins[:, None]) / (edge[2:] - edge[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rise, fall)) * 2 / (edge[2:] - edge[:-2]), np.float32)


def log_mel(samples: NDArray[np.float32]) -> F32:
    """(n,) samples, n a multiple of 320, of 16 kHz. (n / 160, 80): frame j is about j x 10 ms; in a range of 2 below the loudest."""
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: len(samples) : _HOP]
    spectrum = np.fft.rfft(frames * np.hanning(_WINDOW + 1)[:-1].astype(np.float32))
    bands = np.log10(np.maximum((spectrum.real**2 + spectrum.imag**2) @ mel_filters(), 1e-10))
    return np.asarray((np.maximum(bands, bands.max() - _DEPTH) + 4) / 4, np.float32)


def encode(samples: NDArray[np.float32], weights: EncoderWeights | None = None) -> F32:
    """(n,) float32, mono, 16 kHz, -1..1, 0 < n <= MOST_SAMPLES. Returns (ceil(n / 320), 384)."""
    w = weights or load_encoder()
    samples = np.pad(samples, (0, -len(samples) % STEP))
    x = _gelu(_taps(log_mel(samples), 1) @ w.conv1_w + w.conv1_b)
    x = _gelu(_taps(x, 2) @ w.conv2_w + w.conv2_b) + _positions(len(samples) // STEP)
    for layer in w.layers:
        x = x + _attended(_norm(x, layer.norm1_w, layer.norm1_b) @ layer.qkv_w + layer.qkv_b) @ layer.mix_w + layer.mix_b
        x = x + _gelu(_norm(x, layer.norm2_w, layer.norm2_b) @ layer.up_w + layer.up_b) @ layer.down_w + layer.down_b
    return x


def _taps(x: F32, stride: int) -> F32:
    """Each row with its neighbours, zeros beyond the ends: (ceil(n / stride), 3 in)."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    return np.concatenate([padded[k : k + len(x) : stride] for k in range(3)], 1)


def _positions(n: int) -> F32:
    """(n, 384): sines, then cosines, of wave lengths from 2 pi to 20,000 pi rows."""
    half = WIDTH // 2
    angle = np.arange(n)[:, None] * np.exp(-np.log(10_000) / (half - 1) * np.arange(half))
    return np.concatenate((np.sin(angle), np.cos(angle)), 1).astype(np.float32)


def _attended(qkv: F32) -> F32:
    """(n, 3 x 384) queries, keys and values. Each row's mean of all values, by how its query fits their keys, in each head."""
    q, k, v = qkv.reshape(len(qkv), 3, HEADS, -1).transpose(1, 2, 0, 3)
    out = np.empty((len(qkv), HEADS, q.shape[-1]), np.float32)
    for head in range(HEADS):  # one after the other, and in place: what each is made of stays in the processor's cache
        fit = (q[head] * np.float32(q.shape[-1] ** -0.5)) @ k[head].T
        fit -= fit.max(1, keepdims=True)
        np.exp(fit, out=fit)
        np.divide(fit @ v[head], fit.sum(1, keepdims=True), out=out[:, head])
    return out.reshape(len(qkv), WIDTH)


def _norm(x: F32, w: F32, b: F32) -> F32:
    centred = x - x.mean(1, keepdims=True)
    out: F32 = centred / np.sqrt(np.square(centred).mean(1, keepdims=True) + 1e-5) * w + b
    return out


def _gelu(x: F32) -> F32:
    """In place: x times the normal distribution function, by the hyperbolic tangent (Hendrycks, Gimpel: "Gaussian error linear units",
    2016), to 5e-4, which is less than weights of eight bits leave of a value.
    """
    scale = np.float32((2 / np.pi) ** 0.5)
    for start in range(0, len(x), _ROWS_AT_ONCE):
        part = x[start : start + _ROWS_AT_ONCE]
        share = part * part
        share *= np.float32(0.044715) * scale
        share += scale
        share *= part
        np.tanh(share, out=share)
        share += np.float32(1)
        share *= np.float32(0.5)
        part *= share
    return x
