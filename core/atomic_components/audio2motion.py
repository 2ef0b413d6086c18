"""Turns speech features into motion: windows of the diffusion model, joined and smoothed into one row per frame.

The model (Ditto, arXiv:2411.19509) makes 80 frames at a time. Windows overlap; each starts from the frame before it, and is faded into
the one before where they overlap. Two policies share all of this:

offline  windows start at frame 0; the joined motion is smoothed a second time. A frame is ready once the window that ends the fade over
         it is done, and a few frames more for the smoothing: the first after 80 frames of speech. Rows equal those of the published
         offline pipeline, which smooths the whole sequence at its end; since a row's average reaches only `smo_k_d // 2` frames ahead,
         nothing needs to wait for that end, and memory does not grow with the recording.
online   windows start with `overlap_v2` frames of silence before the speech, so that few new frames complete a window: with valid = 80 -
         overlap_v2 the first frame is ready after 2 * valid frames of speech (overlap 70: 20, 75: 10), for overlaps below 40 after
         80 - overlap_v2. The first window is not shown where it lies before the speech; its first frame is what relative motion is
         measured from.

A shorter delay or less context, online only: `emit_tail` hands out a window's rows without waiting for the next one to be faded in; what
the next starts off by is taken back over its own rows. `context_frames` gives windows so many frames before the new ones instead of all
that overlap; the rest of the 80 is what the model makes of sound that has not come (the last of it, repeated), and is dropped: with overlap
75 and a context of 10, 5 new frames and 65 that are only generated.

Both give exactly one row per feature, in order, none missing and none too many, whatever the overlap and however short the speech.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import MAX_SMOOTHING, WINDOW_FRAMES, Audio2MotionOptions
from core.atomic_components.pose import LAYOUT, MOTION_DIM, POSE_DIM, Array, SourceMotion
from core.atomic_components.wav2feat import FEATURE_DIM
from core.errors import TalkingHeadError
from core.stage_times import stage

KEPT_ROWS = MAX_SMOOTHING
"""Beside those of a window: rows that later windows or the second smoothing may still read are less than a window (fade, or lag of the
output) and half of the widest smoothing.
"""


class MotionSampler(Protocol):
    """The diffusion model and its sampling loop: `sampler_of(lmdm, ...)`, or any backend with these arguments."""

    def __call__(self, cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
        """cond_frame (1, 265), cond (1, 80, 1103), starting noise (1, 80, 265), step noises (steps - 1, 1, 80, 265) -> (1, 80, 265)."""


def sampler_of(lmdm: Any, steps: int) -> MotionSampler:
    """`core.models.LMDM` (a torch module, wherever it lies) as a MotionSampler. `steps` as in Audio2MotionOptions.sampling_timesteps."""

    def sample(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
        there = mover_to(lmdm)
        motion: Array = lmdm.sample(there(cond_frame), there(cond), steps, x_T=there(x_t), noises=there(noises)).float().cpu().numpy()
        return motion

    return sample


def mover_to(network: Any) -> Callable[[Array], Any]:
    """A function that brings arrays to where a torch module lies, as float32 tensors (the networks bring them to their own precision)."""
    import torch

    device = next(itertools.chain(network.parameters(), network.buffers())).device
    return lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(device)


def seeded_noise(seed: int, frames: int = WINDOW_FRAMES) -> Callable[[], Array]:
    """An endless supply of standard normal (1, frames, 265) float32. Drawn on the CPU, so that every device starts from the same noise."""
    return _SeededNoise(seed, frames)


class _SeededNoise:
    """A class, since a function within a function cannot be pickled."""

    def __init__(self, seed: int, frames: int) -> None:
        self._generator, self._frames = np.random.default_rng(seed), frames

    def __call__(self) -> Array:
        return self._generator.standard_normal((1, self._frames, MOTION_DIM), dtype=np.float32)


def no_sampler(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
    """Of an Audio2Motion that is on its way to another process."""
    raise RuntimeError("this motion has no model: attach one")


def smoothed(rows: Array, start: int, end: int, k: int) -> Array:
    """Rows start..end-1 with scale, angles and translation averaged over `k` frames around each, cut off at the ends of `rows`.

    (m, 265) float32 -> (end - start, 265), new. The expression is never averaged: that would slur the lips.
    """
    out = rows[start:end].copy()
    if k > 1:
        for i in range(start, start + len(out)):
            out[i - start, :POSE_DIM] = rows[max(0, i - k // 2) : i + k // 2 + 1, :POSE_DIM].mean(axis=0)
    return out


class Audio2Motion:
    """Motion of one session. Not thread-safe.

    source: of the person, or of the character that stands in for it ("ch_info"): where the first window starts.
    silence: n -> (n, 1024) features of silence (`Wav2Feat.silence`), asked for once, by the online policy only.
    noise: (1, 80, 265) of standard normal noise per call (`seeded_noise`). As published, the noises of the denoising steps are drawn once
    here and used by every window, which is what makes windows agree where they overlap; each window starts from a fresh one.

    push -> rows (265,) float32 as LAYOUT says, one per frame, clipped; a row belongs to the caller.
    """

    reference: Array | None
    """(265,) float32: the frame that relative motion is measured from, where the policy says so (online); None: the first row made."""

    def __init__(
        self,
        sample: MotionSampler,
        condition: ConditionHandler,
        source: SourceMotion,
        silence: Callable[[int], Array],
        noise: Callable[[], Array],
        options: Audio2MotionOptions | None = None,
    ) -> None:
        self._sample, self._condition, self._noise = sample, condition, noise
        self._options = options = options or Audio2MotionOptions()
        self._source_row = source.motions[0].row()[None]
        noises = [noise() for _ in range(options.sampling_timesteps - 1)]
        self._step_noises = np.stack(noises) if noises else np.zeros((0, 1, options.seq_frames, MOTION_DIM), np.float32)
        self._quiet = silence(options.lead_in) if options.lead_in else np.zeros((0, FEATURE_DIM), np.float32)
        weights = np.arange(options.fuse, dtype=np.float32) / np.float32(max(options.fuse, 1))
        self._fade = weights[:, None]
        self._twice = not options.online_mode and options.whole and options.smo_k_d > 1
        self.reset()

    def detached(self) -> Audio2Motion:
        """The same motion at the same point, without the model: it can be pickled, and goes on where one is attached."""
        other = copy.copy(self)
        other._sample, other._pieces = no_sampler, list(self._pieces)
        return other

    def attach(self, sample: MotionSampler) -> None:
        """sample: of the same number of steps."""
        self._sample = sample

    @property
    def step_noises(self) -> Array:
        """(steps - 1, 1, 80, 265) float32."""
        return self._step_noises

    def reset(self, first_frame: int = 0) -> None:
        """Forgets the utterance; the next push starts a new one, from the source's own pose.

        first_frame: number of its first frame in the session; says which eyes of a source video and which emotion of a sequence it gets.
        """
        self._first_frame = first_frame
        self._pieces: list[Array] = [self._quiet]  # features from window start `_start` on, in row numbers (lead-in included)
        self._waiting = len(self._quiet)
        self._start = 0
        self._heard = 0
        self._rows = np.zeros((0, MOTION_DIM), np.float32)  # joined motion from row `_base` on
        self._base = 0
        self._next = self._options.lead_in  # number of the row to hand out next
        self._windows = 0
        self._cond_frame = self._source_row
        self.reference = None

    def push(self, features: Array) -> Iterator[Array]:
        """Hears (n, 1024) float32, n >= 0, and yields the rows that are certain now.

        The features are taken at the call, the model runs as the iterator is read; what was not read comes with the next push.
        """
        if len(features):
            self._pieces.append(np.array(features, dtype=np.float32))
            self._waiting += len(features)
            self._heard += len(features)
        return self._ready()

    def flush(self) -> Iterator[Array]:
        """Yields what is left, and starts a new utterance. To be read to its end."""
        yield from self._ready()
        options, left = self._options, self._waiting
        end = options.lead_in + self._heard
        if self._heard and left and not (options.emit_tail and self._next == end):
            unshown = not self._windows
            self._window()
            while self._waiting and not options.online_mode and options.whole:
                self._window()  # as published: a whole file gets a window wherever one may start, though it may make no new frame
            if options.published_count and options.online_mode:
                end = self._next if unshown else min(self._next + left, self._base + len(self._rows))
        yield from self._hand_out(end, ended=True)
        self.reset(self._first_frame + self._heard)

    def _ready(self) -> Iterator[Array]:
        options = self._options
        while True:  # rows first: a consumer that left an earlier iterator half-read is owed the rest of it
            if self._windows:
                # What the next window fades into, and what smoothing there touches, is not certain yet.
                yield from self._hand_out(self._base + len(self._rows) - options.lag, ended=False)
            if self._waiting < options.window:
                return
            self._window()
            if options.published_count and options.online_mode and self._windows == 1:
                self._next = options.seq_frames - options.fuse

    def _window(self) -> None:
        """Runs the model on the features of the next window, or as many as there are, joins its frames to the rows, and moves on."""
        options = self._options
        features = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        rest = features[options.valid :]
        self._pieces = [rest.copy() if len(rest) < options.window else rest]
        self._waiting = len(rest)
        frame = self._first_frame + self._start - options.lead_in
        cond = self._conditions(features[: options.window], frame)
        noise = self._noise()
        with stage("motion window"):
            made = np.asarray(self._sample(self._cond_frame, cond[None], noise, self._step_noises), np.float32)
        if made.shape != (1, options.seq_frames, MOTION_DIM) or not np.isfinite(made).all():
            raise TalkingHeadError(
                f"The motion model returned an array {made.shape}, or values that are not numbers.", "Check its checkpoint and precision."
            )
        self._join(made[0, : options.window])
        self._start += options.valid
        self._windows += 1
        last = self._rows[None, len(self._rows) - options.shared - 1]
        self._cond_frame = last.copy()
        if options.fix_kp_cond and self._windows % options.fix_kp_cond == 0:
            self._cond_frame = self._source_row.copy()
            if options.fix_kp_cond_dim is not None:
                kept = slice(*options.fix_kp_cond_dim)
                self._cond_frame[:, kept] = last[:, kept]

    def _conditions(self, features: Array, frame: int) -> Array:
        missing = self._options.seq_frames - len(features)
        if missing and (self._options.online_mode or not self._options.whole):
            # Streams repeat the last sound while eyes and emotions run on, whole files repeat the last row: both as published.
            return self._condition(np.concatenate([features, np.repeat(features[-1:], missing, axis=0)]), frame)
        cond = self._condition(features, frame)
        return np.concatenate([cond, np.repeat(cond[-1:], missing, axis=0)]) if missing else cond

    def _join(self, made: Array) -> None:
        options, k = self._options, self._options.smo_k_d
        if not self._windows:
            self._rows = smoothed(made, 0, len(made), k)
            if options.online_mode:
                self.reference = self._clipped(self._rows[0])
            return
        rows, overlap, fuse = self._rows, options.shared, options.fuse
        if options.emit_tail:
            self._follow(made, k)
            return
        joint = len(rows) - fuse
        faded = rows[joint:] * (1 - self._fade) + made[overlap - fuse : overlap] * self._fade
        rows = np.concatenate([rows[:joint], faded, made[overlap:]])
        end = len(rows) - options.valid + 1
        rows[joint:end] = smoothed(rows, joint, end, k)
        self._keep(rows)

    def _follow(self, made: Array, k: int) -> None:
        """Joins new frames to rows that were handed out: the difference at the last of those is taken back over the new ones."""
        rows, overlap, fuse = self._rows, self._options.shared, self._options.fuse
        new = made[overlap:].copy()
        if overlap:
            left = 1 - np.arange(1, fuse + 1, dtype=np.float32) / np.float32(fuse + 1)
            new[:fuse] += left[:, None] * (rows[-1] - made[overlap - 1])
        joined = np.concatenate([rows, new])
        joined[len(rows) :] = smoothed(joined, len(rows), len(joined), k)
        self._keep(joined)

    def _keep(self, rows: Array) -> None:
        surplus = max(0, len(rows) - self._options.seq_frames - KEPT_ROWS - self._options.valid)
        self._rows, self._base = rows[surplus:], self._base + surplus

    def _hand_out(self, end: int, ended: bool) -> Iterator[Array]:
        """Rows `_next` .. end - 1, smoothed once more where the policy says so."""
        k = self._options.smo_k_d
        ahead = 0 if ended or not self._twice else k // 2
        while self._next < end - ahead:
            i = self._next - self._base
            # Cut off at the number of rows that the utterance has: the padding of the last window must not leak into its last rows.
            row = smoothed(self._rows[: end - self._base], i, i + 1, k)[0] if self._twice else self._rows[i]
            self._next += 1
            yield self._clipped(row)

    def _clipped(self, row: Array) -> Array:
        """A new row, within v_min_max_for_clip."""
        bounds: Any = self._options.v_min_max_for_clip
        return row.copy() if bounds is None else np.clip(row, bounds[0], bounds[1])


def row_parts(row: Array) -> dict[str, Array]:
    """A row (265,) as new arrays by name, with its scale restored (a row holds scale - 1)."""
    parts = {name: row[where].copy() for name, where in LAYOUT.items()}
    parts["scale"] += np.float32(1)
    return parts
