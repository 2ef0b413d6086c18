"""The stitch stage: turns a row of motion and the source into source and driving keypoints.

What the model made is laid over the source's own motion, under the user's controls, and the result is stitched so that shoulders and
neck stay attached (LivePortrait, arXiv:2407.03168, section 3.3). Order and constants are those of the published Ditto pipeline
(arXiv:2411.19509).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.atomic_components.audio2motion import mover_to, row_parts
from core.atomic_components.pose import ANGLES, N_KEYPOINTS, Array, SourceMotion, degrees, keypoints
from core.atomic_components.stitch_options import MAX_FRAMES, NO_CONTROLS, FrameControls, MotionStitchOptions, by_frame
from core.atomic_components.transition import Transition
from core.clip_options import Longer, clip_index

LIP = (6, 12, 14, 17, 19, 20)
EYE = (11, 13, 15, 16, 18)
"""Which of the 21 keypoints move lips and eyes."""
CHARACTER_KEYS = ("exp", "pitch", "yaw", "roll")
"""The parts of motion that are scaled when another character's motion drives the source."""
ENDLESS_BLINKS = 3000
"""Frames after which the blinks of a stream of unknown length repeat: two minutes."""
RANDOM_GAP = (60, 100)
"""Frames between random blinks, both inclusive."""

PageContents = dict[str, Array]


def blink_schedule(n_frames: int, blink_n: int, open_n: int | Sequence[int], rng: random.Random) -> NDArrayInt:
    """(n_frames,) int16: which of the `blink_n` rows of delta_eye_arr a frame shows; 0 is the resting eye. `open_n`: delta_eye_open_n."""
    rows = np.zeros(n_frames, np.int16)
    fixed = list(open_n) if isinstance(open_n, Sequence) else [open_n]
    if not isinstance(open_n, Sequence) and open_n < 0:
        return rows

    def gap(i: int) -> int:
        return fixed[i % len(fixed)] or rng.randint(*RANDOM_GAP)

    at, after_last = gap(0), gap(-1)
    turn = 1
    while at < n_frames - max(after_last, blink_n):
        rows[at : at + blink_n] = np.arange(blink_n)
        at += blink_n + gap(turn)
        turn += 1
    return rows


NDArrayInt = np.ndarray[tuple[int], np.dtype[np.int16]]

Stitch = Callable[[Array, Array], Array]
"""(1, 21, 3) source keypoints, (1, 21, 3) driven keypoints -> (1, 21, 3), all float32."""


def stitch_of(network: Any) -> Stitch:
    """`core.models.StitchNetwork` (a torch module, wherever it lies) as a function of arrays."""

    def stitch(kp_source: Array, kp_driving: Array) -> Array:
        import torch

        there = mover_to(network)
        with torch.inference_mode():
            stitched: Array = network(there(kp_source), there(kp_driving)).float().cpu().numpy()
        return stitched

    return stitch


def no_stitch(kp_source: Array, kp_driving: Array) -> Array:
    """Of a MotionStitch that is on its way to another process."""
    raise RuntimeError("these keypoints have no network: attach one")


@dataclass(frozen=True, eq=False)
class StitchedFrame:
    """frame: number since the session began. source_index: the source frame it is drawn from. kp_source, kp_driving: (1, 21, 3) float32.

    kp_free: (1, 21, 3) float32, kp_driving before it was stitched: what a later motion starts from.
    """

    frame: int
    source_index: int
    kp_source: Array
    kp_driving: Array
    kp_free: Array


class MotionStitch:
    """Keypoints of one session, frame by frame. Not thread-safe; writes neither into rows nor into the source.

    stitch: the stitching network (`stitch_of`). character: whose motion the rows are, where that is not the source ("ch_info"). seed: of
    random blinks. first_frame: number of the first frame, where a session goes on with other options.

    Where the published pipeline does what nobody can want, this does not, unless options.published is True:
    - alpha_pitch/yaw/roll scale the angle. Published, they scale the 66 logits unless a delta was given, which changes how sharp
      the bins are, not the angle.
    - a video's gaze is corrected against the source frame shown. Published, against the first, so that the source's own head motion counts.
    - relative_d False holds for streams as well. Published, their reference frame is subtracted all the same.
    Always different from it: factors of use_d_keys are never written back into source or rows (they would add up frame by frame),
    canonical keypoints are never scaled, fades between an angle in degrees and one in logits mix degrees.
    """

    def __init__(
        self,
        source: SourceMotion,
        stitch: Stitch,
        options: MotionStitchOptions | None = None,
        character: SourceMotion | None = None,
        seed: int = 0,
        first_frame: int = 0,
        longer: Longer = "bounce",
    ) -> None:
        self._longer = longer
        self._source, self._stitch = source, stitch
        self._options = options = options or MotionStitchOptions()
        self._by_frame, self._overall = by_frame(options.ctrl_info), FrameControls.of(options.overall_ctrl_info)
        keys: Any = options.use_d_keys
        if keys is None:
            keys = ("exp", *ANGLES, "t") if source.is_image else ("exp",)
        factors: dict[str, float] | None = dict(keys) if isinstance(keys, Mapping) else None
        ratio = character.scale / source.scale if character else 1.0
        if ratio != 1:
            factors = {k: (factors or {}).get(k, 1.0) * (ratio if k in CHARACTER_KEYS else 1.0) for k in keys}
        self._keys, self._factors = tuple(k for k in keys if k != "kp"), factors
        self._drive_eye = source.is_image if options.drive_eye is None else bool(options.drive_eye)
        self._from_motion, self._from_source, self._from_blink = self._shares()
        self._rng = random.Random(seed)  # noqa: S311 - blinks, not secrets; its own generator, so that nobody else's draws change them
        self._n_frames = options.N_d
        self._blinks = self._schedule()
        self._frame = first_frame
        self._gaze: tuple[Array, Array] | None = None  # yaw and pitch that the published pipeline keeps from the first frame
        self._kp_source: Array | None = None
        self._transition = Transition()
        self.reset()

    def detached(self) -> MotionStitch:
        """The same keypoints at the same point, without the network: they can be pickled, and go on where one is attached."""
        other = copy.copy(self)
        other._stitch = no_stitch
        return other

    def attach(self, stitch: Stitch) -> None:
        self._stitch = stitch

    def reset(self, shown: StitchedFrame | None = None, listening: bool = False) -> None:
        """The next frame starts a new utterance: motion is measured anew, ctrl_info counts from 0. Blinks and a source video run on.

        shown: the frame on the screen, which the new motion starts from; None: none yet. listening: what starts is a pause, which
        ctrl_info says nothing of.
        """
        self._transition.start(None if shown is None else shown.kp_free)
        self._said = -MAX_FRAMES - 1 if listening else 0
        self._d0: PageContents | None = None
        self._fade_to: PageContents | None = None

    @property
    def next_frame(self) -> int:
        """Number of the frame that `step` makes next, counted since the session began."""
        return self._frame

    @property
    def blinks(self) -> NDArrayInt:
        """(n,) int16: row of delta_eye_arr by frame, used round and round."""
        return self._blinks.copy()

    def step(self, row: Array, reference: Array | None = None) -> StitchedFrame:
        """The next frame from its motion row (265,) float32. reference: row that motion is measured from (`Audio2Motion.reference`)."""
        options = self._options
        index = clip_index(self._frame, len(self._source.motions), self._longer)
        controls = self._by_frame.get(self._said, NO_CONTROLS).over(self._overall)
        source = self._source.motions[index].parts()
        if self._kp_source is None or not self._source.is_image:
            self._kp_source = keypoints(source)[None]
        driven = self._mixed(row_parts(row), source, reference)
        driven["exp"] = self._expression(driven["exp"], source["exp"], controls)
        for name in ANGLES:
            driven[name] = self._turned(driven[name], name, controls)
        if controls.delta_exp is not None:
            driven["exp"] = driven["exp"] + np.asarray(controls.delta_exp, np.float32)
        self._fade(driven, source, controls)
        if self._drive_eye:
            self._hold_gaze(driven, source)
        kp_free = self._transition(keypoints(driven)[None])
        kp_driving = np.asarray(self._stitch(self._kp_source, kp_free), np.float32) if options.flag_stitching else kp_free
        frame = StitchedFrame(self._frame, index, self._kp_source.copy(), kp_driving, kp_free)
        self._frame += 1
        self._said += 1
        return frame

    def _shares(self) -> tuple[Array, Array, Array]:
        """(63,) each: how much of every expression value comes from the motion, the source, and the blink."""
        motion, blink = np.zeros((2, N_KEYPOINTS, 3), np.float32)
        blinks = self._drive_eye and self._options.delta_eye_arr is not None
        motion[list(LIP)] = 1
        if self._drive_eye and not blinks:
            motion[list(EYE)] = 1
        if blinks:
            blink[list(EYE)] = 1
        return motion.reshape(-1), 1 - motion.reshape(-1), blink.reshape(-1)

    def _schedule(self) -> NDArrayInt:
        blink: Any = self._options.delta_eye_arr
        gaps: Any = self._options.delta_eye_open_n if blink is not None else -1
        frames = ENDLESS_BLINKS if self._n_frames < 0 else self._n_frames
        return blink_schedule(frames, 1 if blink is None else len(blink), gaps, self._rng)

    def _mixed(self, driven: PageContents, source: PageContents, reference: Array | None) -> PageContents:
        """The source's parts, with the motion's laid over them where use_d_keys says so."""
        options = self._options
        if self._d0 is None and reference is not None and (options.relative_d or options.published):
            self._d0 = row_parts(reference)
        if self._d0 is None and options.relative_d:
            self._d0 = {name: part.copy() for name, part in driven.items()}
        mixed = dict(source)
        for key in self._keys:
            factor = self._factors[key] if self._factors else 1.0
            if self._d0 is not None:
                mixed[key] = source[key] + (driven[key] - self._d0[key]) * factor
            else:
                mixed[key] = driven[key] * factor
        return mixed

    def _expression(self, exp: Array, exp_source: Array, controls: FrameControls) -> Array:
        exp = exp * self._from_motion + exp_source * self._from_source
        blink: Any = self._options.delta_eye_arr
        if blink is not None:
            exp = exp + blink[self._blinks[self._frame % len(self._blinks)]] * self._from_blink
        voice = controls.vad_alpha
        if voice is not None and voice < 1:
            exp = exp * voice + exp_source * (1 - voice)
        return exp

    def _turned(self, angle: Array, name: str, controls: FrameControls) -> Array:
        delta, alpha = getattr(controls, f"delta_{name}"), getattr(controls, f"alpha_{name}")
        if delta is not None:
            angle = degrees(angle).reshape(1) + np.float32(delta)
        if alpha is not None:
            angle = (angle if self._options.published else degrees(angle).reshape(1)) * np.float32(alpha)
        return angle

    def _fade(self, driven: PageContents, source: PageContents, controls: FrameControls) -> None:
        options = self._options
        if not options.fade_type:
            return
        if options.fade_type == "d0" and self._fade_to is None:
            self._fade_to = dict(driven)  # parts are never changed in place, so their names suffice
        target = source if self._fade_to is None else self._fade_to
        if controls.fade_alpha is None:
            return
        a = controls.fade_alpha
        keys = controls.fade_out_keys if controls.fade_out_keys is not None else options.fade_out_keys
        for key in keys if keys is not None else driven:
            if key == "kp":
                continue
            here, there = driven[key], target[key]
            if key in ANGLES and here.size != there.size:
                here, there = degrees(here).reshape(1), degrees(there).reshape(1)
            driven[key] = here * a + there * (1 - a)

    def _hold_gaze(self, driven: PageContents, source: PageContents) -> None:
        """Eyes turn against the head, so that the person keeps looking where the source looks."""
        if self._gaze is None or not (self._options.published or self._source.is_image):
            self._gaze = degrees(source["yaw"]).reshape(1), degrees(source["pitch"]).reshape(1)
        yaw, pitch = self._gaze
        dx = np.float32(0.26) * (degrees(driven["yaw"]).reshape(1) - yaw)[0]
        dy = np.float32(0.28) * (degrees(driven["pitch"]).reshape(1) - pitch)[0]
        exp = driven["exp"].copy()
        exp[33] += dx * np.float32(0.0007 if dx > 0 else 0.001)  # 33, 34: x and y of keypoint 11; 45, 46: of keypoint 15
        exp[45] += dx * np.float32(0.001 if dx > 0 else 0.0007)
        exp[34] -= np.float32(0.001) * dy
        exp[46] -= np.float32(0.001) * dy
        driven["exp"] = exp
