"""Builds the condition of the motion model: speech, emotion, the source's eyes and its keypoints.

A condition row is 1103 float32: 1024 of speech, 8 of emotion, 2 of lid opening, 6 of gaze, 63 canonical keypoints (Ditto, arXiv:2411.19509;
sizes of the published checkpoint `lmdm_v0.4_hubert`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.atomic_components.pose import Array, SourceMotion
from core.atomic_components.wav2feat import FEATURE_DIM
from core.clip_options import Longer, clip_index
from core.errors import OptionError

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "contempt")
CHOSEN_LOGIT = 8
"""Logit of a chosen emotion before the softmax; the others have 0."""


def emotion_vector(labels: Sequence[int]) -> Array:
    """(8,) float32 that sum to 1: one emotion 0.9977, two 0.4995 each, and so on."""
    weights = np.zeros(len(EMOTIONS), np.float32)
    weights[list(labels)] = CHOSEN_LOGIT
    weights = np.exp(weights - weights.max())
    vector: Array = weights / weights.sum()
    return vector


def emotion_sequence(emo: Any) -> Array:
    """The `emo` option as (m, 8) float32, one row per frame, m = 1 for an emotion that stays.

    An int 0..7; a list of 1 to 7 ints that are mixed; a list of such lists, one per frame; or an array (m, 8) that is used as it is.
    """
    remedy = f"emo is a number from 0 to 7 ({', '.join(EMOTIONS)}), a list of 1 to 7 of them, a list of such lists, or an array (m, 8)."
    if isinstance(emo, np.ndarray) and emo.ndim > 0:
        if emo.ndim != 2 or emo.shape[1] != len(EMOTIONS) or not len(emo) or emo.dtype.kind not in "fiu" or not np.isfinite(emo).all():
            raise OptionError(f"emo is an array {emo.shape} of {emo.dtype}.", remedy)
        return emo.astype(np.float32)  # a copy: what the caller does to the array afterwards is nothing to us
    if _is_label(emo):
        return emotion_vector([int(emo)])[None]
    if isinstance(emo, list | tuple) and emo:
        if all(_is_label(label) for label in emo) and len(emo) < len(EMOTIONS):
            return emotion_vector([int(label) for label in emo])[None]
        if all(isinstance(mix, list | tuple) for mix in emo):
            return np.stack([_mix(mix, remedy) for mix in emo])
    raise OptionError(f"emo is {str(emo)[:80]}.", remedy)


def _mix(labels: Sequence[Any], remedy: str) -> Array:
    if not 0 < len(labels) < len(EMOTIONS) or not all(_is_label(label) for label in labels):
        raise OptionError(f"emo holds {str(labels)[:80]}.", remedy)
    return emotion_vector([int(label) for label in labels])


def _is_label(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        value = value[()]
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= int(value) < len(EMOTIONS)


@dataclass(frozen=True, eq=False)
class ConditionOptions:
    """emo: see `emotion_sequence`. eye_f0_mode: hold the eyes of the first source frame instead of following a video's."""

    emo: Any = 4
    eye_f0_mode: bool = False

    def __post_init__(self) -> None:
        emotion_sequence(self.emo)


@dataclass(frozen=True)
class ConditionLayout:
    """Which blocks a checkpoint was trained with, in this order after the speech. The published one has all of them."""

    use_emo: bool = True
    use_eye_open: bool = True
    use_eye_ball: bool = True
    use_sc: bool = True


class ConditionHandler:
    """Rows of conditions for any stretch of frames. Holds no state: calls may come in any order and from any thread.

    source: of the person rendered, or of the character that stands in for the motion model ("ch_info"). longer: how its frames are played.
    """

    def __init__(
        self,
        source: SourceMotion,
        options: ConditionOptions | None = None,
        layout: ConditionLayout | None = None,
        longer: Longer = "bounce",
    ) -> None:
        self._longer = longer
        options, layout = options or ConditionOptions(), layout or ConditionLayout()
        n_eyes = 1 if options.eye_f0_mode else len(source.motions)
        self._blocks: list[tuple[Array, bool]] = []  # rows of a block; whether they are played as the source's frames, else round and round
        if layout.use_emo:
            self._blocks.append((emotion_sequence(options.emo), False))
        if layout.use_eye_open:
            self._blocks.append((source.eye_open[:n_eyes], True))
        if layout.use_eye_ball:
            self._blocks.append((source.eye_ball[:n_eyes], True))
        if layout.use_sc:
            self._blocks.append((source.sc[None], False))
        self.dim = FEATURE_DIM + sum(rows.shape[1] for rows, _ in self._blocks)

    def __call__(self, features: Array, first_frame: int) -> Array:
        """Speech features (n, 1024) float32 of frames first_frame .. first_frame + n - 1 -> (n, dim) float32.

        Frames before 0 (the silence that leads into a stream) have the conditions of frame 0.
        """
        frames = np.maximum(np.arange(first_frame, first_frame + len(features)), 0)
        columns = [features]
        for rows, of_source in self._blocks:
            m = len(rows)
            longer: Longer = self._longer if of_source else "loop"
            columns.append(rows[[clip_index(int(i), m, longer) for i in frames]])
        return np.concatenate(columns, axis=1, dtype=np.float32)
