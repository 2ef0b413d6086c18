"""The network that turns speech into mouth movements while the speech streams in, in numpy alone.

Row i says what the mouth does at the middle of video frame i, t = (i + 0.5) x 40 ms. It is certain, and comes out, as soon as
LOOK_AHEAD_SAMPLES of sound after the frame's end are there (112.5 ms: 100 ms the network looks ahead, 12.5 ms half a window).
How it was trained, on what, and how well it does: core/lite/MOUTH_MODEL_CARD.md.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.lite.known_phones import KnownPhones
from core.lite.mouth_features import HOP, N_FEATURES, WINDOW, SpeechFeatures
from core.lite.weights_file import F32, read_safetensors
from core.lite.whole_mouth import WholeMouth
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Phone

APERTURE, SPREAD, TUCK, LOUDNESS = range(4)
"""Columns of a row.

APERTURE: 0 lips closed .. 1 open as for a stressed /a/ (about the 95th percentile of speech; up to 1.2).
SPREAD: -1 fully rounded (/u w/) .. 0 neutral .. +1 spread (/i s/). TUCK: 0..1, lower lip under the upper teeth (/f v/).
LOUDNESS: 0..1, effort of the voice against the speaker's running level, 0 in silence.
"""
STRIDE = 2
"""Features of 10 ms a step of the network: step m, at m x 20 ms, takes in features 2 m - 1 and 2 m."""
MODEL_AHEAD_STEPS = 5
LOOK_AHEAD_SAMPLES = MODEL_AHEAD_STEPS * STRIDE * HOP + WINDOW // 2
"""1800 samples (112.5 ms) after a frame's end and its row is certain."""


@dataclass(frozen=True)
class Block:
    """One residual block: x + mix(relu(conv(norm(x)))), the convolution three taps `dilation` steps apart, `ahead` of them to come."""

    dilation: int
    ahead: int
    norm_w: F32
    norm_b: F32
    conv_w: F32
    conv_b: F32
    mix_w: F32
    mix_b: F32


@dataclass(frozen=True)
class Weights:
    """The network: read-only arrays, shared by all trackers."""

    enter_w: F32
    enter_b: F32
    blocks: tuple[Block, ...]
    norm_w: F32
    norm_b: F32
    heads_w: F32
    heads_b: F32


WEIGHTS_PATH, JAW_WEIGHTS_PATH = (Path(__file__).with_name(name) for name in ("mouth.safetensors", "jaw.safetensors"))


@functools.cache
def load_weights(path: Path = WEIGHTS_PATH) -> Weights:
    """Loaded once a process and path."""
    t, metadata = read_safetensors(path)
    blocks = tuple(
        Block(dilation, ahead, *(t[f"{k}.{part}"] for part in ("norm.w", "norm.b", "conv.w", "conv.b", "mix.w", "mix.b")))
        for k, (dilation, ahead) in enumerate(json.loads(metadata["blocks"]))
    )
    return Weights(t["enter.w"], t["enter.b"], blocks, t["norm.w"], t["norm.b"], t["heads.w"], t["heads.b"])


def _norm(x: F32, w: F32, b: F32) -> F32:
    n = x.shape[1]  # np.mean does the same, in three times the time for one row
    centred = x - np.add.reduce(x, 1, keepdims=True) / n
    out: F32 = centred / np.sqrt(np.add.reduce(np.square(centred), 1, keepdims=True) / n + 1e-5) * w + b
    return out


@functools.cache
def load_jaw_weights() -> tuple[tuple[F32, F32], ...]:
    """(weights (networks, taps x in, out), biases (networks, out)) of each layer; loaded once a process."""
    t, _ = read_safetensors(JAW_WEIGHTS_PATH)
    return tuple((t[f"{k}.w"], t[f"{k}.b"]) for k in range(3))


class Jaw:
    """How far the mouth is open, from a few very small networks and their mean (scripts/train_jaw.py says why)."""

    AHEAD = 10
    """Features of look-ahead, and of past."""

    def __init__(self, layers: tuple[tuple[F32, F32], ...]) -> None:
        self._layers = layers
        # What each layer needs again: (rows, features) for the first, which all networks share, (networks, rows, width) for the others.
        inner = [np.zeros((w.shape[0], 0, w.shape[2]), np.float32) for w, _ in layers[:-1]]
        self._seen: list[F32] = [np.zeros((self.AHEAD, N_FEATURES), np.float32), *inner]

    def push(self, features: F32) -> F32:
        """features: (n, 42). Returns (k,) openings, AHEAD features behind the input."""
        x = features
        for k, (w, b) in enumerate(self._layers):
            seen = np.concatenate((self._seen[k], x), axis=-2)
            taps = w.shape[1] // seen.shape[-1]
            n = seen.shape[-2] - taps + 1
            self._seen[k] = seen[..., max(n, 0) :, :]
            if n <= 0:
                return np.zeros(0, np.float32)
            x = np.concatenate([seen[..., j : j + n, :] for j in range(taps)], axis=-1) @ w
            x += b[:, None]
            if k < len(self._layers) - 1:
                np.maximum(x, 0, out=x)
        opening: F32 = x[:, :, 0].mean(0)
        return opening


class _Network:
    """The network, a step each 20 ms, with the steps each block still needs."""

    def __init__(self, weights: Weights) -> None:
        self._w = weights
        self._odd: F32 = np.zeros((1, N_FEATURES), np.float32)  # the feature before the first
        width = weights.enter_w.shape[1]
        # What a block sees before the first step is zeros, as in training; its own outputs lag its inputs by `ahead` steps.
        self._past: list[F32] = [np.zeros((2 * b.dilation - b.ahead, width), np.float32) for b in weights.blocks]
        self._skip: list[F32] = [np.zeros((0, width), np.float32) for _ in weights.blocks]

    def push(self, features: F32) -> F32:
        """features: (n, 42). Returns (k, heads) logits: step m once feature 2 m + 10 is there."""
        features = np.concatenate((self._odd, features))
        steps = len(features) // STRIDE
        self._odd = features[STRIDE * steps :]
        if steps == 0:
            return np.zeros((0, self._w.heads_w.shape[1]), np.float32)
        x = features[: STRIDE * steps].reshape(steps, -1) @ self._w.enter_w + self._w.enter_b
        for k, block in enumerate(self._w.blocks):
            seen = np.concatenate((self._past[k], _norm(x, block.norm_w, block.norm_b)))
            skip = np.concatenate((self._skip[k], x))
            n, d = len(seen) - 2 * block.dilation, block.dilation
            if n <= 0:
                self._past[k], self._skip[k] = seen, skip
                return np.zeros((0, self._w.heads_w.shape[1]), np.float32)
            taps = np.concatenate((seen[:n], seen[d : d + n], seen[2 * d : 2 * d + n]), 1)
            h = np.maximum(taps @ block.conv_w + block.conv_b, 0)
            x = skip[:n] + (h @ block.mix_w + block.mix_b)
            self._past[k], self._skip[k] = seen[n:], skip[n:]
        return _norm(x, self._w.norm_w, self._w.norm_b) @ self._w.heads_w + self._w.heads_b


_READ = np.array([0.1, 0.5, 0.4], np.float32)
"""How the three 20 ms steps around a frame's middle make its row: a little early, for lips move before they are heard."""

_OPEN, _EXPAND, _WIDE = 1.8, 1.4, 1.25
"""A regression shrinks towards the mean: these give aperture (a factor, then a power) and spread their full range back."""
_PAUSE_STEPS = 9
"""Lips come to rest when it has been quiet for so many steps of 20 ms: in shorter pauses people keep them parted."""
_SAID = 0.15
"""Until the large network has opened the lips this far once, they open no farther than it says: noise before speech is not speech."""


_PHONES_AHEAD_S = (SAMPLES_PER_FRAME / 2 + LOOK_AHEAD_SAMPLES) / SAMPLE_RATE_HZ
"""Sound that is there after a frame's middle when its row is made, and with it the phones that begin in it."""
_BY_PHONES = 0.6
"""Where the phones are known, so much of the opening is theirs; the rest is the voice's, which is loud or soft."""
_AT_TEETH = 0.04
"""Opening where the lower lip is at the upper teeth."""
_JAW_READ = np.array([0.25, 0.5, 0.25], np.float32)
"""Weights of features 4 i + 2 .. 4 i + 4 in frame i: 10 ms after its middle."""
_WHOLE_OPENING, _WHOLE_TUCK, _WHOLE_TOUCH = 0.5, 0.5, 0.7
"""Where the whole recording is there, so much of opening, tuck and touch is by `WholeMouth`."""
_WHOLE_OPEN, _WHOLE_FIRM = 1.25, 1.3
"""Factors that give its opening and touch their full range back."""
_WHOLE_CLOSING = 0.15, 0.7
"""Touch from which on lips begin to close, and where they are closed."""
_EVEN = 0.2
"""The small networks open wide for loud sounds and little for soft ones, more than lips do: so much of that is taken back."""


def _rise(x: F32, low: float, high: float) -> F32:
    """0 below low, 1 above high, smooth between."""
    u = np.clip((x - low) / (high - low), 0, 1)
    out: F32 = u * u * (3 - 2 * u)
    return out


def _held(level: F32, before: float, fall: float) -> F32:
    """level: (n,), n > 0. It, but it falls by no more than `fall` a frame, from `before` on."""
    out = np.empty_like(level)
    for i, now in enumerate(level.tolist()):
        before = max(now, before - fall)
        out[i] = before
    return out


class MouthTracker:
    """The mouth of one utterance or stream. How its sound is cut into pushes changes rows by rounding only (below 1e-5).

    >>> tracker = MouthTracker()
    >>> rows = np.concatenate((tracker.push(samples), tracker.flush()))  # (ceil(n / 640), 4)
    """

    def __init__(self, weights: Weights | None = None) -> None:
        self._weights = weights or load_weights()
        self._jaw_weights = load_jaw_weights()
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next push starts a new utterance."""
        self._features = SpeechFeatures()
        self._network = _Network(self._weights)
        self._jaw = Jaw(self._jaw_weights)
        self._openings: F32 = np.zeros(0, np.float32)
        self._quiet: F32 = np.ones(_PAUSE_STEPS - 3, np.float32)
        self._begun = False
        self._logits: F32 = np.zeros((0, self._weights.heads_w.shape[1]), np.float32)
        self._levels: F32 = np.zeros((0, 2), np.float32)
        self._n_samples = 0
        self._n_rows = 0
        self._phones = KnownPhones(_PHONES_AHEAD_S)
        self._loudness = 0.0
        self._recent, self._loud = -2.5, -2.5
        self._whole: WholeMouth | None = None

    def push(self, samples: NDArray[np.float32]) -> F32:
        """samples: (n,) float32, mono, 16 kHz, -1..1. Returns (k, 4) float32, the rows that are certain now."""
        self._n_samples += len(samples)
        return self._advance(samples)

    def expect(self, phones: Sequence[Phone]) -> None:
        """As `core.engines.base.Session.expect`."""
        self._phones.add(phones)

    def foresee(self, samples: NDArray[np.float32]) -> None:
        """As `core.engines.base.Session.foresee`."""
        self._whole = WholeMouth(samples)

    def flush(self) -> F32:
        """Ends the utterance, as if silence followed: the rows up to ceil(n / 640), (k, 4) float32; then starts anew."""
        left = math.ceil(self._n_samples / SAMPLES_PER_FRAME) - self._n_rows
        rows = self._advance(np.zeros(LOOK_AHEAD_SAMPLES + SAMPLES_PER_FRAME, np.float32))[:left]
        self.reset()
        return rows

    def _advance(self, samples: NDArray[np.float32]) -> F32:
        features = self._features.push(samples)
        if len(features) == 0:
            return np.zeros((0, 4), np.float32)
        self._logits = np.concatenate((self._logits, self._network.push(features)))
        self._levels = np.concatenate((self._levels, features[:, N_FEATURES - 2 :]))
        self._openings = np.concatenate((self._openings, self._jaw.push(features)))
        # Frame i reads steps 2 i .. 2 i + 2 (the middle of the frame and 20 ms around it), and features 4 i .. 4 i + 4.
        k = max((len(self._logits) - 1) // 2, 0)
        rows, jaw = self._read(self._logits[: 2 * k + 1], self._levels[: 4 * k + 1], self._openings[: 4 * k + 1], k)
        self._say(rows, jaw)
        self._logits, self._levels, self._openings = self._logits[2 * k :], self._levels[4 * k :], self._openings[4 * k :]
        self._n_rows += k
        return rows

    def _say(self, rows: F32, jaw: F32) -> None:
        """Gives those of the next rows whose phones are known the mouth of their phones. jaw: (k,), the opening as if lips never met."""
        found = self._phones.rows(self._n_rows, len(rows))
        if found is None:
            return
        known, said = found.known, found.shapes
        aperture = (_BY_PHONES * said.aperture + (1 - _BY_PHONES) * jaw) * said.open
        aperture += (_AT_TEETH - aperture) * np.minimum(np.minimum(1.5 * said.tuck, 1), said.open)
        for column, values in ((APERTURE, np.clip(aperture, 0, 1.2)), (SPREAD, said.spread), (TUCK, said.tuck)):
            rows[known, column] = values[known]

    def _read(self, logits: F32, levels: F32, openings: F32, k: int) -> tuple[F32, F32]:
        """Rows of k frames from the logits of 2 k + 1 steps, and the levels and jaw openings of 4 k + 1 features; with them the opening of
        each as if lips never met.
        """
        rows = np.zeros((k, 4), np.float32)
        if k == 0:
            return rows, rows[:, APERTURE]
        steps = 2 * np.arange(k)[:, None] + np.arange(3)
        times = 4 * np.arange(k)[:, None] + np.arange(5)
        shape = np.tensordot(logits[:, :3][steps], _READ, (1, 0))
        touch, quiet = np.moveaxis(1 / (1 + np.exp(-logits[:, 3:5][steps])), 2, 0)
        heard = self._heard(levels[:, 1][times].max(1))
        speech = (1 - _rise(quiet @ _READ, 0.5, 0.9)) * heard
        touched = (touch.max(1) + touch.mean(1)) / 2
        level = levels[:, 0][times].mean(1)
        jaw = openings[times[:, 2:]] @ _JAW_READ * (1 - _EVEN * np.clip(level - 0.5, -1.5, 0.7))
        wide = np.minimum(np.maximum(jaw * _OPEN, 0) ** _EXPAND, 1.2)
        tuck, at_teeth = shape[:, 2], np.zeros(k, np.float32)
        if self._whole is None:
            lips_apart = 1 - _rise(touched, 0.07, 0.5)
        else:
            opening, tucked, touching = self._whole.rows(self._n_rows, k).T
            wide += _WHOLE_OPENING * (_WHOLE_OPEN * np.maximum(opening, 0) - wide)
            lips_apart = 1 - _rise(touched + _WHOLE_TOUCH * (np.clip(_WHOLE_FIRM * touching, 0, 1) - touched), *_WHOLE_CLOSING)
            at_teeth = np.clip(tucked, 0, 1)
            tuck += _WHOLE_TUCK * (tucked - tuck)
        awake = (1 - _rise(self._rest(logits[:, 4], k), 0.97, 0.999)) * heard * self._unpaused(level)
        said = np.clip(shape[:, 0], 0, 1.2) * lips_apart * speech
        wide *= awake
        aperture = wide * lips_apart
        aperture += (np.minimum(aperture, _AT_TEETH) - aperture) * at_teeth
        aperture = np.where(self._begun_by(said), aperture, np.minimum(aperture, said))
        rows[:, APERTURE] = aperture * _rise(aperture, 0.02, 0.15)  # nearly shut is shut
        rows[:, SPREAD] = np.clip(_WIDE * shape[:, 1], -1, 1) * speech
        rows[:, TUCK] = np.clip(tuck, 0, 1) * speech
        rows[:, LOUDNESS] = self._effort(level, (1 - quiet @ _READ) * speech)
        return rows, wide

    def _rest(self, silence: F32, k: int) -> F32:
        """The least of the last _PAUSE_STEPS probabilities of silence, per frame, from the logits of 2 k + 1 steps."""
        known: F32 = np.concatenate((self._quiet, 1 / (1 + np.exp(-silence)))).astype(np.float32)
        self._quiet = known[2 * k : 2 * k + len(self._quiet)]
        out: F32 = known[2 * np.arange(k)[:, None] + np.arange(_PAUSE_STEPS)].min(1)
        return out

    def _begun_by(self, said: F32) -> NDArray[np.bool_]:
        """True from the first frame on in which something was said (opened the lips by `_SAID` or more)."""
        begun = np.logical_or.accumulate(np.concatenate(([self._begun], said > _SAID)))[1:]
        self._begun = bool(begun[-1])
        return begun

    def _heard(self, level: F32) -> F32:
        """0 in digital zero and the faintest hiss, whatever the network thinks, else 1; a silence within speech (a stop) is bridged.
        level: over full scale.
        """
        held = _held(level, self._recent, 0.25)
        self._recent = float(held[-1])
        return _rise(held, -2.2, -2.0)

    def _unpaused(self, level: F32) -> F32:
        """0 in a pause that is quiet beside this speaker's voice, else 1; of about 120 ms a silence is a stop, and bridged.
        level: over the running peak.
        """
        held = _held(level, self._loud, 0.75)
        self._loud = float(held[-1])
        return _rise(held, -2.4, -1.8)

    def _effort(self, level: F32, speech: F32) -> F32:
        """Level of the voice against its running peak (1 at the peak, 0 some 17 dB below) as 0..1, smoothed over 80 ms."""
        out = np.empty(len(level), np.float32)
        for i, target in enumerate((np.clip((level + 0.2) / 1.2, 0, 1) * speech).tolist()):
            self._loudness += 0.4 * (target - self._loudness)
            out[i] = self._loudness if target > 0 or self._loudness > 0.01 else 0.0
        return out
