"""Driven keypoints from rows of motion: fades, controls, blinks, options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from core.atomic_components.motion_stitch import MotionStitch
from core.atomic_components.pose import Motion, SourceMotion, degrees, keypoints
from core.atomic_components.stitch_options import FrameControls, MotionStitchOptions, fades, with_fades
from core.clip_options import clip_index
from core.engines.ditto_options import session_options
from core.errors import OptionError
from core.models.config import SetupDefaults
from core.request import Controls, RenderOptions
from tests.support.ditto_motion import ALL_KEYS, BLINK, make_source, no_stitch
from tests.support.golden_io import SEED


def test_fades_follow_the_fade_type_of_the_configuration() -> None:
    fading = session_options(Controls(fade_in=4), RenderOptions(N_d=50), SetupDefaults(fade_type="d0"))
    assert {i: c.fade_alpha for i, c in fading.stitch.ctrl_info.items()} == {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75}
    with pytest.raises(OptionError, match="fade_in is given without fade_type"):
        session_options(Controls(fade_in=4, fade_type=""), RenderOptions(N_d=50), SetupDefaults(fade_type="d0"))


def test_a_fade_longer_than_the_video() -> None:
    """It starts before the video does: the first frame is already on its way, the last is 0."""
    alphas = fades(10, -1, 18)
    assert sorted(alphas) == [*range(10)]
    assert alphas[0] == pytest.approx(9 / 18)
    assert alphas[9] == 0
    assert fades(1, -1, 5) == {0: 0.0}
    assert fades(-1, 2) == {0: 0.0, 1: 0.5}
    with pytest.raises(OptionError, match="N_d is -1"):
        fades(-1, 2, 2)


def test_fades_leave_the_callers_controls_alone() -> None:
    mine = {3: {"delta_yaw": 2.0}}
    merged = with_fades(mine, 20, 5, 5)
    assert mine == {3: {"delta_yaw": 2.0}}
    assert (merged[3].delta_yaw, merged[3].fade_alpha) == (2.0, 3 / 5)
    assert merged[19].fade_alpha == 0


def driven(source: SourceMotion, rows: Iterable[np.ndarray], reference: np.ndarray | None = None, **options: Any) -> np.ndarray:
    stage = MotionStitch(source, no_stitch, MotionStitchOptions(**options))
    return np.concatenate([stage.step(row, reference).kp_driving for row in rows])


def parts_of(motion: Motion, **changes: np.ndarray) -> dict[str, np.ndarray]:
    return {**motion.parts(), **changes}


def test_fade_to_the_source_follows_a_video(video: SourceMotion, photo: SourceMotion, rows: np.ndarray) -> None:
    """Faded out wholly, a frame is the source frame shown: a video's current one, a photo's only one."""
    gone = dict(fade_type="s", fade_out_keys=None, drive_eye=False, ctrl_info=[{"fade_alpha": 0.0}] * 20)
    x_d = driven(video, rows[:20], **gone)
    for i in range(20):
        assert np.abs(x_d[i] - keypoints(video.motions[clip_index(i, 7, "bounce")].parts())).max() < 1e-6
    assert np.abs(driven(photo, rows[:5], **gone) - keypoints(photo.motions[0].parts())).max() < 1e-6


def test_fade_to_the_first_frame(video: SourceMotion, photo: SourceMotion, rows: np.ndarray) -> None:
    """Faded out wholly, a frame is the first one driven, but for the canonical keypoints, which are the current source frame's."""
    gone = dict(fade_type="d0", fade_out_keys=None, drive_eye=False, use_d_keys=ALL_KEYS, ctrl_info=[{}, {"fade_alpha": 0.0}])
    first, second = driven(photo, rows[:2], **gone, relative_d=False)
    assert np.array_equal(first, second)
    assert np.abs(first - driven(photo, rows[1:2], drive_eye=False, relative_d=False)[0]).max() > 1e-3
    second = driven(video, rows[:2], **gone)[1]
    mixed = parts_of(video.motions[0], kp=video.motions[1].kp)
    assert np.abs(second - keypoints(mixed)).max() < 1e-6


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_frame_may_fade_all_keys(everywhere: bool, photo: SourceMotion, rows: np.ndarray) -> None:
    """None in a frame's own controls is all keys, as in the session's; left out, the session's keys fade."""
    faded = {"fade_alpha": 0.25, "fade_out_keys": None}
    given = dict(overall_ctrl_info=faded) if everywhere else dict(ctrl_info=[faded] * 9)
    options = dict(fade_type="s", drive_eye=False)
    want = driven(photo, rows[:9], **options, fade_out_keys=None, overall_ctrl_info={"fade_alpha": 0.25})
    assert np.array_equal(driven(photo, rows[:9], **options, **given), want)
    assert np.abs(driven(photo, rows[:9], **options, overall_ctrl_info={"fade_alpha": 0.25}) - want).max() > 1e-3


def test_factors_are_not_written_back(photo: SourceMotion, rows: np.ndarray) -> None:
    """The published pipeline multiplied source and rows in place, frame by frame."""
    before = {name: part.copy() for name, part in photo.motions[0].parts().items()}
    row = rows[7].copy()
    options = dict(relative_d=False, use_d_keys=dict(exp=1.2, pitch=0.5, kp=2.0), drive_eye=False)
    x_d = driven(photo, [row] * 4, **options)
    assert np.array_equal(row, rows[7])
    assert all(np.array_equal(x_d[0], frame) for frame in x_d)
    assert all(np.array_equal(part, before[name]) for name, part in photo.motions[0].parts().items())
    # and a factor on the canonical keypoints does nothing, since those are the person's
    assert np.array_equal(x_d, driven(photo, [row] * 4, **{**options, "use_d_keys": dict(exp=1.2, pitch=0.5)}))


def test_relative_d_off_holds_for_streams(photo: SourceMotion, rows: np.ndarray) -> None:
    options = dict(relative_d=False, drive_eye=False)
    absolute = driven(photo, rows[:3], **options)
    assert np.array_equal(driven(photo, rows[:3], reference=rows[9], **options), absolute)
    published = driven(photo, rows[:3], reference=rows[9], **options, published=True)
    assert np.array_equal(published, driven(photo, rows[:3], reference=rows[9], drive_eye=False, published=True))
    assert not np.array_equal(published, absolute)


def test_alpha_scales_the_angle(photo: SourceMotion, rows: np.ndarray) -> None:
    source = photo.motions[0]
    keys = dict(use_d_keys=("t",), drive_eye=False)  # so the pose is the source's
    for name in ("pitch", "yaw", "roll"):
        angle = degrees(getattr(source, name)).reshape(1)
        x_d = driven(photo, rows[:1], **keys, overall_ctrl_info={f"alpha_{name}": 0.5})
        assert np.abs(x_d[0] - keypoints(parts_of(source, **{name: angle * np.float32(0.5)}))).max() < 1e-6
        x_d = driven(photo, rows[:1], **keys, overall_ctrl_info={f"alpha_{name}": 0.5, f"delta_{name}": 4.0})
        assert np.abs(x_d[0] - keypoints(parts_of(source, **{name: (angle + 4) * np.float32(0.5)}))).max() < 1e-6
        published = driven(photo, rows[:1], **keys, overall_ctrl_info={f"alpha_{name}": 0.5}, published=True)
        assert np.abs(published[0] - keypoints(parts_of(source, **{name: getattr(source, name) * np.float32(0.5)}))).max() < 1e-6


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("fade_type", ["s", "d0"])
def test_fading_a_turned_head_mixes_degrees(fade_type: str, published: bool, photo: SourceMotion, rows: np.ndarray) -> None:
    """The published pipeline spread the one angle over 66 bins, and the head jumped."""
    source = photo.motions[0]
    angle = degrees(source.yaw).reshape(1)
    controls = [{}] + [{"delta_yaw": 10.0, "fade_alpha": a} for a in (1.0, 0.5, 0.0)]
    options = dict(use_d_keys=("t",), drive_eye=False, fade_type=fade_type, fade_out_keys=("yaw",), ctrl_info=controls, published=published)
    x_d = driven(photo, [rows[0]] * 4, **options)
    for frame, turn in zip(x_d[1:], (10, 5, 0), strict=True):
        assert np.abs(frame - keypoints(parts_of(source, yaw=angle + np.float32(turn)))).max() < 1e-6


def test_gaze_of_a_video_is_held_against_the_frame_shown(video: SourceMotion, rows: np.ndarray) -> None:
    """The same row again and again is no motion: every frame must be the source's own, eyes included."""
    x_d = driven(video, [rows[3]] * 7, drive_eye=True, use_d_keys=ALL_KEYS)
    for i in range(7):
        assert np.abs(x_d[i] - keypoints(video.motions[i].parts())).max() < 1e-6
    published = driven(video, [rows[3]] * 7, drive_eye=True, use_d_keys=ALL_KEYS, published=True)
    assert np.abs(published[1] - x_d[1]).max() > 1e-4


def test_blinks_are_seeded_and_repeat_in_endless_streams(photo: SourceMotion, rows: np.ndarray) -> None:
    options = MotionStitchOptions(delta_eye_arr=BLINK)

    def blinks(seed: int) -> np.ndarray:
        return MotionStitch(photo, no_stitch, options, seed=seed).blinks

    assert np.array_equal(blinks(1), blinks(1))
    assert not np.array_equal(blinks(1), blinks(2))
    assert len(blinks(1)) == 3000
    stage = MotionStitch(photo, no_stitch, MotionStitchOptions(delta_eye_arr=BLINK, delta_eye_open_n=10, N_d=40))
    shown = [stage.step(rows[0]).kp_driving for _ in range(80)]
    assert all(np.array_equal(a, b) for a, b in zip(shown[:40], shown[40:], strict=True))
    assert any(not np.array_equal(shown[0], b) for b in shown)
    assert len(stage.blinks) == 40


def test_a_new_utterance_is_measured_anew_while_the_video_runs_on(video: SourceMotion, rows: np.ndarray) -> None:
    stage = MotionStitch(video, no_stitch, MotionStitchOptions(ctrl_info={0: {"delta_yaw": 30.0}}, drive_eye=False, use_d_keys=ALL_KEYS))
    first = [stage.step(row) for row in rows[:3]]
    stage.reset()
    again = stage.step(rows[50])
    assert [frame.source_index for frame in (*first, again)] == [0, 1, 2, 3]
    source = video.motions[3]
    turned = parts_of(source, yaw=degrees(source.yaw).reshape(1) + np.float32(30))
    assert np.abs(again.kp_driving[0] - keypoints(turned)).max() < 1e-6


def test_controls_merge_and_lists_may_be_short(photo: SourceMotion, rows: np.ndarray) -> None:
    listed = driven(photo, rows[:4], ctrl_info=[{"delta_yaw": 3}, {}], overall_ctrl_info={"delta_pitch": 2})
    mapped = driven(
        photo, rows[:4], ctrl_info={0: FrameControls(delta_yaw=3, delta_pitch=2)}, overall_ctrl_info=FrameControls(delta_pitch=2)
    )
    assert np.array_equal(listed, mapped)


def test_float64_options_do_not_leak(photo: SourceMotion, rows: np.ndarray) -> None:
    controls = {
        "delta_yaw": np.float64(3),
        "alpha_roll": np.float64(0.9),
        "vad_alpha": np.float64(0.5),
        "delta_exp": np.zeros(63),
        "fade_alpha": np.float64(0.5),
    }
    stage = MotionStitch(
        photo,
        no_stitch,
        MotionStitchOptions(use_d_keys={"exp": np.float64(1.1), "pitch": 1}, overall_ctrl_info=controls, fade_type="d0"),
        character=make_source(SEED + 1, 1),
    )
    assert {stage.step(row).kp_driving.dtype for row in rows[:3]} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(N_d=0), "N_d is 0"),
        (dict(N_d=-2), "N_d is -2"),
        (dict(use_d_keys=("exp", "mouth")), "use_d_keys holds 'mouth'"),
        (dict(use_d_keys=dict(exp=float("nan"))), r"use_d_keys\[exp\] is nan"),
        (dict(relative_d=None), "relative_d is None"),
        (dict(drive_eye="yes"), "drive_eye is 'yes'"),
        (dict(delta_eye_arr=np.zeros((3, 62))), r"delta_eye_arr is an array \(3, 62\)"),
        (dict(delta_eye_arr=np.zeros((0, 63))), "delta_eye_arr"),
        (dict(delta_eye_arr="blink"), "delta_eye_arr"),
        (dict(delta_eye_open_n=[]), "delta_eye_open_n"),
        (dict(delta_eye_open_n=[10, 0]), "delta_eye_open_n is 0"),
        (dict(delta_eye_open_n=1.5), "delta_eye_open_n is 1.5"),
        (dict(fade_type="d1"), "fade_type is 'd1'"),
        (dict(fade_out_keys=("expr",)), "fade_out_keys holds 'expr'"),
        (dict(ctrl_info=5), "ctrl_info is 5"),
        (dict(ctrl_info={"first": {}}), "a frame of ctrl_info is 'first'"),
        (dict(ctrl_info={0: {"yaw": 3}}), "ctrl_info holds 'yaw'"),
        (dict(ctrl_info={0: 3}), "ctrl_info holds 3"),
        (dict(overall_ctrl_info={"vad_alpha": 1.5}), "vad_alpha is 1.5.*between 0 and 1"),
        (dict(overall_ctrl_info={"delta_yaw": float("inf")}), "delta_yaw is inf"),
        (dict(overall_ctrl_info={"fade_alpha": "half"}), "fade_alpha is 'half'"),
        (dict(overall_ctrl_info={"delta_exp": np.zeros(62)}), "delta_exp is an array"),
    ],
)
def test_stitch_options_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        MotionStitchOptions(**options)


@pytest.mark.parametrize(
    "change",
    [
        dict(use_d_keys=("exp",)),
        dict(use_d_keys=(*ALL_KEYS, "scale")),
        dict(use_d_keys=dict.fromkeys(ALL_KEYS, 0.5)),
        dict(relative_d=False),
        dict(drive_eye=False),
        dict(delta_eye_arr=BLINK, delta_eye_open_n=2),
        dict(fade_type="d0", ctrl_info={15: {"fade_alpha": 0.5}}),
        dict(fade_type="s", ctrl_info={15: {"fade_alpha": 0.5}}),
        dict(fade_type="s", fade_out_keys=None, ctrl_info={15: {"fade_alpha": 0.5}}),
        dict(flag_stitching=False),
        *(dict(overall_ctrl_info={f"{what}_{angle}": 0.5}) for what in ("delta", "alpha") for angle in ("pitch", "yaw", "roll")),
        dict(overall_ctrl_info={"vad_alpha": 0.5}),
        dict(overall_ctrl_info={"delta_exp": np.full(63, 0.01)}),
        dict(ctrl_info={15: {"delta_yaw": 5}}),
    ],
)
def test_every_stitch_option_shows(change: dict[str, Any], photo: SourceMotion, stitch: Any, rows: np.ndarray) -> None:
    def shown(options: dict[str, Any]) -> np.ndarray:
        stage = MotionStitch(photo, stitch, MotionStitchOptions(**options))
        return np.concatenate([stage.step(row).kp_driving for row in rows[:20]])

    assert not np.array_equal(shown({}), shown(change))
