"""Rows of motion as angles and keypoints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.atomic_components import motion_stitch
from core.atomic_components.pose import LAYOUT, Motion, SourceMotion, degrees, keypoints, rotation
from core.clip_options import clip_index
from core.errors import InputError
from tests.support import golden_io
from tests.support.golden_io import check


def test_source_motion_is_checked(photo: SourceMotion) -> None:
    with pytest.raises(InputError, match="eye_open has 4 values"):
        dataclasses.replace(photo, eye_open=np.zeros((2, 2)))
    with pytest.raises(InputError, match="0 frames"):
        dataclasses.replace(photo, motions=[])
    with pytest.raises(InputError, match="exp holds values that are not numbers"):
        Motion.of({**photo.motions[0].parts(), "exp": np.full((1, 63), np.nan)})


def test_parity_pose() -> None:
    golden = golden_io.load("pose")
    check(golden, "degree", degrees(golden["bins"]), 2e-5)
    check(golden, "rot", rotation(*golden["angles_pitch_yaw_roll"]), 1e-6)
    for i in range(3):
        parts = {name: golden[f"in{i}_{name}"][0] for name in ("kp", "exp", "t", "scale", "yaw", "roll")}
        parts["pitch"] = golden[f"in{i}_pitch"].reshape(-1)
        points = keypoints(parts)
        assert points.dtype == np.float32
        check(golden, f"out{i}", points[None], 1e-6)


def test_mirrored_frames() -> None:
    assert [clip_index(i, 4, "bounce") for i in range(11)] == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2]
    assert [clip_index(i, 1, "bounce") for i in range(4)] == [0, 0, 0, 0]


def test_layout_covers_a_row() -> None:
    assert sorted(i for where in LAYOUT.values() for i in range(265)[where]) == [*range(265)]
    assert motion_stitch.LIP == (6, 12, 14, 17, 19, 20)
