"""The motion of the face apart from the lips: blinks, gaze, head sway, nods and brows.

Everything is drawn from one seeded generator, frame by frame, so that the same seed gives the same video however the audio was
cut. Sway is a sum of slow noises without a common period; nods and brows follow the effort and the pitch of speech loosely, the head a gaze
that went ahead, and a breath is taken where the voice pauses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.lite.head_warp import HeadPose
from core.request import Controls
from core.types import FPS

# Spontaneous blinks come every 2 to 8 s, more often in conversation than at rest (Bentivoglio et al., Movement Disorders 12, 1997),
# and last 100 to 200 ms. Lid positions at 25 frames a second, closing faster than opening:
BLINKS = ((0.55, 1.0, 0.6, 0.15), (0.75, 1.0, 0.45), (0.4, 1.0, 0.9, 0.45, 0.12))
BLINK_GAP_S = (1.4, 5.2)
DOUBLE_BLINK = 0.12
"""Share of blinks that are followed at once by another."""
GAZE_HOLD_S = (0.5, 2.6)
GAZE_SPREAD_X, GAZE_SPREAD_Y = 0.30, 0.16
SWAY = {
    # amplitude (degrees, or parts of the face's height) and time constants (s) of each head motion
    "yaw": (1.7, (1.1, 3.7)),
    "pitch": (1.0, (0.9, 3.1)),
    "roll": (0.75, (1.3, 4.3)),
    "shift_x": (0.006, (1.7, 5.3)),
    "shift_y": (0.004, (1.5, 4.7)),
}
SMOOTH, STAGE = 4, 0.4
"""A noise is filtered so often, each time with this part of its time constant: filtered twice only, its speed jumps from frame to frame by
half a pixel, and the head trembles."""
NOD_DEG, BROW_RAISE = 3.0, 0.035
"""Of a full accent: how far the head goes down, and the brows up in parts of the face's height."""
NOD_BY_PITCH, BROW_BY_EFFORT, BROW_BY_PITCH = 0.35, 0.6, 0.5
"""What a voice that rises counts for a nod beside its effort, and what both count for the brows, which rise with the pitch
(Cavé et al., About the relationship between eyebrow movements and F0 variations, ICSLP 1996)."""
VOICED, MOST_RAISED = 0.3, 0.55
"""Effort from which on a rise of the pitch counts in full, and the accent beyond which brows go no higher."""
ACCENT, AFTER = 0.25, 0.3
"""Shares of the way to an accent that are gone in a frame, one after the other: head and brows come a little later than it is heard."""
BREATH_HZ, BREATH_RISE = 0.23, 0.0035
PAUSE_S, QUIET = 0.2, 0.05
"""So long below this effort after speech, and a breath is taken."""
INHALE, EXHALE = 0.16, 0.012
"""Share of the way to full and to empty lungs that is gone in a frame: in in half a second, out with the words."""
GAZE_TURN_DEG = np.array((4.0, 2.5))
"""How far the head follows a gaze of 1, sideways and down."""
FOLLOW = 0.12
"""Share of the way that the head is behind the eyes by and gets on in a frame, twice: it begins when they have arrived, and takes 0.7 s."""


@dataclass(frozen=True)
class Life:
    """One frame: blink 0..1, gaze -1..1, head pose."""

    blink: float
    gaze_x: float
    gaze_y: float
    pose: HeadPose


class LifeMotion:
    """An endless supply of frames; `step` once a frame. controls: may be replaced between two frames."""

    def __init__(self, controls: Controls, seed: int) -> None:
        self.controls = controls
        self._rng = np.random.default_rng(seed)
        self._frame = 0
        self._blinking: list[float] = []
        self._next_blink = self._rng.uniform(0.8, 2.8)
        self._gaze = np.zeros(2)
        self._gaze_goal = np.zeros(2)
        self._next_gaze = self._rng.uniform(*GAZE_HOLD_S)
        self._noise = np.zeros((SMOOTH, len(SWAY), 2))  # two slow noises per motion
        for _ in range(20 * FPS):  # start in the middle of a movement, not at a standstill
            self._sway()
        self._start = self._sway()
        self._effort = 0.0
        self._accents = np.zeros((2, 2))  # of the head and of the brows, filtered once and twice
        self._breath = self._rng.uniform(0, 2 * np.pi)
        self._lungs = np.zeros(2)  # how full, and the same filtered once more: a chest has mass
        self._quiet_frames = 0
        self._following = np.zeros((2, 2))  # the head's way after the gaze, filtered twice

    def step(self, loudness: float, rise: float = 0.0) -> Life:
        """The next frame. loudness: 0..1, the effort of speech in it. rise: 0..1, how far the voice is above its usual pitch."""
        time_s = self._frame / FPS
        self._frame += 1
        controls = self.controls
        blink = self._blink(time_s) if controls.blink > 0 else 0.0
        gaze_x, gaze_y = self._look(time_s)

        self._effort += 0.06 * (loudness - self._effort)
        nod, raised = self._accentuate(max(loudness - self._effort, 0.0), rise * min(loudness / VOICED, 1.0))
        ease = min(1.0, self._frame / FPS)  # the first second grows out of the photo's own pose
        sway = (self._sway() - self._start * max(0.0, 1 - self._frame / (3 * FPS))) * ease
        sway = sway * controls.head_motion * (0.75 + 0.5 * min(self._effort, 1.0))
        yaw, pitch, roll, shift_x, shift_y = sway.tolist()
        turn, dip = (self._follow() * controls.head_motion).tolist()
        yaw, pitch = yaw + turn, pitch + dip
        pose = HeadPose(
            yaw=yaw,
            pitch=pitch + NOD_DEG * controls.head_motion * nod,
            roll=roll,
            shift_x=shift_x,
            shift_y=shift_y - BREATH_RISE * self._breathe(loudness) * controls.head_motion,
            brow=BROW_RAISE * min(raised, MOST_RAISED),
        )
        # the eyes hold their target while the head moves under them
        return Life(blink, min(max(gaze_x - yaw / 30, -1.0), 1.0), min(max(gaze_y - pitch / 30, -1.0), 1.0), pose)

    def _accentuate(self, effort: float, rise: float) -> tuple[float, float]:
        """How far the head nods and the brows are up. effort: above its running mean; rise: of a voice that is heard."""
        goals = np.array([effort + NOD_BY_PITCH * rise, BROW_BY_EFFORT * effort + BROW_BY_PITCH * rise])
        first, second = self._accents
        first = first + ACCENT * (goals - first)
        second = second + AFTER * (first - second)
        self._accents = np.array((first, second))
        return float(second[0]), float(second[1])

    def _follow(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Degrees sideways and down by which the head follows the glances, not the gaze that was asked for."""
        first, second = self._following
        first = first + FOLLOW * (self._gaze.clip(-0.6, 0.6) * GAZE_TURN_DEG - first)
        second = second + FOLLOW * (first - second)
        self._following = np.array((first, second))
        return np.asarray(second, np.float64)

    def _breathe(self, loudness: float) -> float:
        """How full the lungs are, about -1..1: at rest they go up and down, in speech they empty, and in its pauses they fill."""
        self._breath += 2 * np.pi * BREATH_HZ / FPS
        self._quiet_frames = self._quiet_frames + 1 if loudness < QUIET else 0
        if not self._quiet_frames:
            goal, share = -1.0, EXHALE
        elif self._quiet_frames <= PAUSE_S * FPS:
            goal, share = self._lungs[0], 0.0
        elif self._effort > QUIET:
            goal, share = 1.0, INHALE
        else:
            goal, share = float(np.sin(self._breath)), INHALE
        full = self._lungs[0] + share * (goal - self._lungs[0])
        self._lungs = np.array([full, self._lungs[1] + 0.3 * (full - self._lungs[1])])
        return float(self._lungs[1])

    def _blink(self, time_s: float) -> float:
        if not self._blinking and time_s >= self._next_blink:
            self._blinking = list(BLINKS[self._rng.integers(len(BLINKS))])
            gap = 0.32 if self._rng.random() < DOUBLE_BLINK else self._rng.uniform(*BLINK_GAP_S) * self._rng.uniform(0.7, 1.3)
            self._next_blink = time_s + len(self._blinking) / FPS + gap / self.controls.blink
        return self._blinking.pop(0) if self._blinking else 0.0

    def _look(self, time_s: float) -> tuple[float, float]:
        if time_s >= self._next_gaze:
            home = self._rng.random() < 0.55  # most glances return to the viewer
            self._gaze_goal = np.zeros(2) if home else self._rng.normal(0, (GAZE_SPREAD_X, GAZE_SPREAD_Y))
            self._next_gaze = time_s + self._rng.uniform(*GAZE_HOLD_S)
        self._gaze += 0.72 * (self._gaze_goal - self._gaze)  # a saccade takes one to two frames
        x, y = self._gaze.clip(-0.6, 0.6).tolist()
        return x + self.controls.gaze_x, y + self.controls.gaze_y

    def _sway(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The next value of each motion in SWAY, in its own unit."""
        value = self._rng.standard_normal((len(SWAY), 2))
        for stage in self._noise:
            stage += _NEW * (value - stage)
            value = stage
        values: np.ndarray[tuple[int], np.dtype[np.float64]] = (_GAIN * value).sum(axis=1)
        return values


def _spread(new: float) -> float:
    """Standard deviation of white noise after SMOOTH low passes, each of which goes `new` of the way in a frame."""
    response = np.eye(1, int(20 / new))[0]
    for _ in range(SMOOTH):
        level, out = 0.0, []
        for value in response:
            level += new * (value - level)
            out.append(level)
        response = np.array(out)
    return float(np.sqrt((response**2).sum()))


_NEW = np.array([[1 - np.exp(-1 / (STAGE * constant_s * FPS)) for constant_s in constants] for _, constants in SWAY.values()])
_GAIN = np.array([[0.62 * amplitude / _spread(new) for new in row] for (amplitude, _), row in zip(SWAY.values(), _NEW, strict=True)])
