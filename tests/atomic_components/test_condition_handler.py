"""What the motion network is told besides the speech: emotions, eyes and canonical keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.atomic_components.condition_handler import ConditionHandler, ConditionLayout, ConditionOptions, emotion_sequence
from core.atomic_components.pose import Motion, SourceMotion
from core.engines.ditto_options import character_motion
from core.errors import OptionError
from tests.support import golden_io
from tests.support.ditto_motion import MOTION_SHAPES
from tests.support.golden_io import SEED, check
from tests.support.synthetic import synthetic_input

EMOTION_CASES: dict[str, Any] = {"int4": 4, "list34": [3, 4], "listlist": [[4], [3, 4], [3], [3, 4, 5]]}


@pytest.mark.parametrize("emo", [*EMOTION_CASES, "array"])
@pytest.mark.parametrize("which", ["image", "video7", "video7_f0"])
def test_parity_conditions(which: str, emo: str, photo: SourceMotion, video: SourceMotion) -> None:
    golden = golden_io.load("condition_handler")
    value = golden["emo_arr"] if emo == "array" else EMOTION_CASES[emo]
    source = photo if which == "image" else video
    handler = ConditionHandler(source, ConditionOptions(emo=value, eye_f0_mode=which.endswith("f0")))
    for n, first in ((80, 0), (75, 0), (80, -10), (80, 70), (23, 160)):
        features = synthetic_input("features", (n, 1024), SEED)
        rows = handler(features, first)
        assert rows.shape == (n, handler.dim) == (n, 1103)
        assert rows.dtype == np.float32
        assert np.array_equal(rows[:, :1024], features)
        check(golden, f"{which}_{emo}_n{n}_i{first}", rows[:, 1024:1040], 1e-7)
        assert np.array_equal(rows[:, 1040:], np.repeat(golden["sc"][None], n, axis=0))


def test_parity_emotion_vectors() -> None:
    golden = golden_io.load("condition_handler")
    for label in range(8):
        check(golden, f"emo_vec_{label}", emotion_sequence(label)[0], 1e-7)
    check(golden, "emo_vec_34", emotion_sequence((3, 4))[0], 1e-7)


def test_numpy_integers_and_tuples_are_emotions_too() -> None:
    assert np.array_equal(emotion_sequence(np.int64(3)), emotion_sequence(3))
    assert np.array_equal(emotion_sequence(([3], [4, 5])), emotion_sequence([[3], [4, 5]]))


@pytest.mark.parametrize(
    "emo",
    [
        8,
        -1,
        1.5,
        True,
        "happy",
        None,
        [],
        [9],
        [[]],
        [[4], 5],
        list(range(8)),
        [[0.5]],
        np.zeros((0, 8)),
        np.zeros((3, 7)),
        np.full((1, 8), np.nan),
    ],
)
def test_what_is_no_emotion_is_refused(emo: Any) -> None:
    with pytest.raises(OptionError, match="emo"):
        ConditionOptions(emo=emo)


def test_blocks_that_a_checkpoint_lacks_are_left_out(video: SourceMotion) -> None:
    features = np.zeros((3, 1024), np.float32)
    for left_out, width in (("use_emo", 8), ("use_eye_open", 2), ("use_eye_ball", 6), ("use_sc", 63)):
        handler = ConditionHandler(video, layout=ConditionLayout(**{left_out: False}))
        assert handler(features, 0).shape[1] == handler.dim == 1103 - width


def test_a_characters_eyes_may_outnumber_its_frames() -> None:
    """As published: of its frames the first counts, its eyes are followed forth and back over as many as there are."""
    frame = {k: synthetic_input(f"src0_{k}", *([shape, SEED, lo, hi])) for k, (shape, lo, hi) in MOTION_SHAPES.items()}
    lids, gaze = synthetic_input("lids", (3, 2), SEED, 0.3, 0.9), synthetic_input("gaze", (3, 6), SEED, -0.2, 0.2)
    info = {"x_s_info_lst": [frame], "sc": frame["kp"], "eye_open_lst": [lids[:2], lids[2:]], "eye_ball_lst": gaze, "more": None}
    character = character_motion(info)
    assert np.array_equal(character.motions[0].row(), Motion.of(frame).row())
    rows = ConditionHandler(character)(np.zeros((7, 1024), np.float32), 0)
    at = [0, 1, 2, 2, 1, 0, 0]
    assert np.array_equal(rows[:, 1032:1034], lids[at])
    assert np.array_equal(rows[:, 1034:1040], gaze[at])
