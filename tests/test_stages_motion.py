"""Ditto's motion side: speech features, conditions, windows of motion, keypoints. Networks are stand-ins, numbers are goldens."""

from __future__ import annotations

import dataclasses
import json
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import golden_io
import numpy as np
import pytest
from golden_io import SEED, check
from synthetic import fill_state_dict, synthetic_input, synthetic_normal

from core.atomic_components import audio2motion, motion_stitch
from core.atomic_components.audio2motion import Audio2Motion, Audio2MotionOptions, row_parts, seeded_noise, smoothed
from core.atomic_components.condition_handler import ConditionHandler, ConditionLayout, ConditionOptions, emotion_sequence
from core.atomic_components.motion_stitch import MotionStitch, blink_schedule
from core.atomic_components.pose import LAYOUT, Motion, SourceMotion, degrees, keypoints, mirror_index, rotation
from core.atomic_components.stitch_options import FrameControls, MotionStitchOptions, fades, with_fades
from core.atomic_components.wav2feat import FeatureOptions, Wav2Feat
from core.engines.ditto_options import character_motion, session_options
from core.errors import AudioError, EngineUnavailable, InputError, OptionError, TalkingHeadError
from core.models.config import SetupDefaults
from core.types import Controls, RenderOptions

MOTION_SHAPES = {
    "pitch": ((1, 66), -6.0, 6.0),
    "yaw": ((1, 66), -6.0, 6.0),
    "roll": ((1, 66), -6.0, 6.0),
    "t": ((1, 3), -0.2, 0.2),
    "exp": ((1, 63), -0.1, 0.1),
    "scale": ((1, 1), 1.0, 1.5),
    "kp": ((1, 63), -0.6, 0.6),
}


def make_source(seed: int, n: int) -> SourceMotion:
    """The source that the goldens of the stages were made with: a photo (n = 1) or a video of n frames."""
    frames = [
        {k: synthetic_input(f"src{i}_{k}", *([shape, seed, lo, hi])) for k, (shape, lo, hi) in MOTION_SHAPES.items()} for i in range(n)
    ]
    return SourceMotion(
        motions=[Motion.of(frame) for frame in frames],
        sc=frames[0]["kp"],
        eye_open=np.concatenate([synthetic_input(f"src{i}_eye_open", (1, 2), seed, 0.3, 0.9) for i in range(n)]),
        eye_ball=np.concatenate([synthetic_input(f"src{i}_eye_ball", (1, 6), seed, -0.2, 0.2) for i in range(n)]),
        is_image=n == 1,
    )


@pytest.fixture(scope="module")
def photo() -> SourceMotion:
    return make_source(SEED, 1)


@pytest.fixture(scope="module")
def video() -> SourceMotion:
    return make_source(SEED, 7)


# --- speech features ------------------------------------------------------------------------------------------------------------------


def mean_encoder(window: np.ndarray) -> np.ndarray:
    """Row k is the mean of the 400 samples that HuBERT's convolutions would see."""
    rows = np.stack([window[0, k * 320 : k * 320 + 400].mean(dtype=np.float64) for k in range(20)])
    return np.repeat(rows[:, None], 1024, axis=1).astype(np.float32)


def loudness_encoder(window: np.ndarray) -> np.ndarray:
    return mean_encoder(np.abs(window))


def features_of(encode: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, lead_in: int = 2000) -> np.ndarray:
    stage = Wav2Feat(encode, FeatureOptions(lead_in))
    return np.concatenate([*stage.push(samples), *stage.flush()])


@pytest.mark.parametrize("n", [48000, 47999, 48001, 16000, 640, 1, 3201])
def test_parity_windows_of_a_recording(n: int) -> None:
    golden = golden_io.load("hubert_chunking")
    seen: list[list[int]] = []

    def encode(window: np.ndarray) -> np.ndarray:
        sound = np.nonzero(window[0])[0]
        seen.append([window.shape[1], int(sound[0]), int(sound[-1]), int(window[0, sound[0]]) - 1])
        return mean_encoder(window)

    feats = features_of(encode, np.arange(1, n + 1, dtype=np.float32))
    check(golden, f"L{n}_windows", seen, 0)
    check(golden, f"L{n}_shape", feats.shape, 0)
    check(golden, f"L{n}_feat", feats[:, 0], 1e-6 * n)


def test_parity_features_of_streams_and_files() -> None:
    golden = golden_io.load("hubert_chunking")
    wav = synthetic_input("wav", (48000,), SEED, -0.5, 0.5)
    check(golden, "offline_feat", features_of(loudness_encoder, wav)[:, 0], 1e-6)
    # The published stream pads to whole blocks of 5; ours stops at the last frame, and gives the same where the silence is pushed.
    padded = features_of(loudness_encoder, np.concatenate([wav, np.zeros(5 * 640, np.float32)]), 1920)[:, 0]
    check(golden, "online_feat", padded, 1e-6)
    assert np.array_equal(features_of(loudness_encoder, wav, 1920)[:, 0], padded[:75])
    assert [FeatureOptions.of(online_mode).lead_in for online_mode in (False, True)] == [2000, 1920]
    quiet = Wav2Feat(loudness_encoder).silence(70)
    check(golden, "silence70_shape", quiet.shape, 0)
    assert not quiet.any()
    hum = Wav2Feat(lambda window: mean_encoder(window) + np.arange(20, dtype=np.float32)[:, None], FeatureOptions(1920))
    assert np.array_equal(hum.silence(12), np.concatenate([*hum.push(np.zeros(12 * 640, np.float32)), *hum.flush()]))


def test_parity_features_of_the_whole_pipeline() -> None:
    golden = golden_io.load("e2e")
    check(golden, "hubert_feat", features_of(tanh_encoder(), e2e_wav()), 1e-5)


def e2e_wav() -> np.ndarray:
    t = np.arange(48000) / 16000
    return np.float32(synthetic_input("e2e_wav", (48000,), SEED, -0.3, 0.3) * np.abs(np.sin(2 * np.pi * 2 * t)))


def tanh_encoder() -> Callable[[np.ndarray], np.ndarray]:
    mix = synthetic_input("hubert_stub_P", (400, 1024), SEED, -0.2, 0.2)

    def encode(window: np.ndarray) -> np.ndarray:
        return np.tanh(np.stack([window[0, k * 320 : k * 320 + 400] for k in range(20)]) @ mix)

    return encode


@pytest.mark.parametrize("lead_in", [1920, 2000])
@pytest.mark.parametrize("n", [0, 1, 639, 640, 641, 1600, 3200, 3201, 6480, 20000])
def test_one_feature_per_640_samples_however_they_are_cut(n: int, lead_in: int) -> None:
    wav = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    stage = Wav2Feat(mean_encoder, FeatureOptions(lead_in))
    want = [*stage.push(wav), *stage.flush()]
    assert sum(map(len, want)) == -(-n // 640)
    for size in (1, 7, 640, 5000):
        if n <= 3201 or size > 1:
            got = [block for i in range(0, n, size) for block in stage.push(wav[i : i + size])] + [*stage.flush()]
            assert len(got) == len(want)
            assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("lead_in", [1920, 2000])
def test_every_size_of_chunk_up_to_5000_gives_the_same_features(lead_in: int) -> None:
    """The stages after this one never see how the audio was cut: the blocks they get are the same, one by one."""
    n = 640 * 15 + 17
    wav = np.random.default_rng(5).uniform(-1, 1, n).astype(np.float32)
    places = {}  # which window is which: an encoder that only says so is quick

    def encode(window: np.ndarray) -> np.ndarray:
        return np.full((20, 4), places.setdefault(window.tobytes(), len(places)), np.float32)

    stage = Wav2Feat(encode, FeatureOptions(lead_in))
    want = [*stage.push(wav), *stage.flush()]
    shapes, first = [block.shape for block in want], [float(block[0, 0]) for block in want]
    assert sum(len(block) for block in want) == 16
    assert first == sorted(set(first))  # every window is another one
    for size in range(1, 5001):
        got = [block for i in range(0, n, size) for block in stage.push(wav[i : i + size])] + [*stage.flush()]
        assert [block.shape for block in got] == shapes, size
        assert [float(block[0, 0]) for block in got] == first, size


def test_features_refuse_stereo_and_a_wrong_encoder() -> None:
    with pytest.raises(AudioError, match=r"\(2, 640\)"):
        Wav2Feat(mean_encoder).push(np.zeros((2, 640), np.float32))
    with pytest.raises(EngineUnavailable, match=r"\(3, 1024\)"):
        [*Wav2Feat(lambda window: np.zeros((3, 1024), np.float32)).push(np.zeros(9000, np.float32))]


def test_features_of_hours_hold_no_memory() -> None:
    """One push of ten minutes, then more: nothing of it is kept but the last window."""
    stage = Wav2Feat(lambda window: np.zeros((20, 1024), np.float32))
    for _ in stage.push(np.zeros(16000 * 600, np.float32)):
        pass
    assert sum(len(piece) for piece in stage._pieces) < 6480
    assert all(piece.base is None for piece in stage._pieces)


def test_hubert_runs_on_onnx_runtime(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    from core.aux_models.hubert import Hubert

    kernel = synthetic_input("hubert_conv", (1024, 1, 400), SEED, -0.05, 0.05)
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "axis"], ["sound"]),
        helper.make_node("Conv", ["sound", "kernel"], ["rows"], kernel_shape=[400], strides=[320]),
        helper.make_node("Squeeze", ["rows", "batch"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["encoding_out"], perm=[1, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "hubert",
        [helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, "samples"])],
        [helper.make_tensor_value_info("encoding_out", TensorProto.FLOAT, ["rows", 1024])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([1]), "axis"),
            numpy_helper.from_array(np.array([0]), "batch"),
        ],
    )
    path = tmp_path / "hubert.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    hubert = Hubert(path, threads=1)
    wav = synthetic_input("wav", (1, 6480), SEED, -0.5, 0.5)
    rows = hubert(wav)
    want = np.stack([wav[0, k * 320 : k * 320 + 400] for k in range(20)]) @ kernel[:, 0].T
    assert rows.shape == (20, 1024)
    assert rows.dtype == np.float32
    assert np.abs(rows - want).max() < 1e-4
    assert features_of(hubert, wav[0]).shape == (11, 1024)

    with pytest.raises(EngineUnavailable, match=r"nowhere\.onnx is missing"):
        Hubert(tmp_path / "nowhere.onnx")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        Hubert(path)


# --- conditions -----------------------------------------------------------------------------------------------------------------------

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


def test_fades_follow_the_fade_type_of_the_configuration() -> None:
    fading = session_options(Controls(fade_in=4), RenderOptions(N_d=50), SetupDefaults(fade_type="d0"))
    assert {i: c.fade_alpha for i, c in fading.stitch.ctrl_info.items()} == {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75}
    with pytest.raises(OptionError, match="fade_in is given without fade_type"):
        session_options(Controls(fade_in=4, fade_type=""), RenderOptions(N_d=50), SetupDefaults(fade_type="d0"))


def test_source_motion_is_checked(photo: SourceMotion) -> None:
    with pytest.raises(InputError, match="eye_open has 4 values"):
        dataclasses.replace(photo, eye_open=np.zeros((2, 2)))
    with pytest.raises(InputError, match="0 frames"):
        dataclasses.replace(photo, motions=[])
    with pytest.raises(InputError, match="exp holds values that are not numbers"):
        Motion.of({**photo.motions[0].parts(), "exp": np.full((1, 63), np.nan)})


# --- windows of motion ----------------------------------------------------------------------------------------------------------------

A2M_CASES = (
    "offline10 offline10_fix2 offline10_fix3dim offline10_smo1 offline10_smo5 offline40 online70 online75 online10 clip".split()  # noqa: SIM905
)


class Sampled:
    """Stands in for the diffusion model: prepared windows, and a record of what it was asked."""

    def __init__(self, make: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.make = make
        self.cond_frames: list[np.ndarray] = []
        self.noises: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray, noises: np.ndarray) -> np.ndarray:
        assert cond_frame.shape == (1, 265)
        assert cond.shape[:2] == x_t.shape[:2] == (1, 80)
        assert {a.dtype for a in (cond_frame, cond, x_t, noises)} == {np.dtype(np.float32)}
        self.cond_frames.append(cond_frame.copy())
        self.noises.append((x_t.copy(), noises))
        return self.make(len(self.cond_frames) - 1, cond_frame, cond, x_t)


def no_noise() -> np.ndarray:
    return np.zeros((1, 80, 265), np.float32)


def indexed(first: int, n: int) -> np.ndarray:
    """Features that carry the number of their frame."""
    return np.repeat(np.arange(first, first + n, dtype=np.float32)[:, None], 1024, axis=1)


def before_speech(n: int) -> np.ndarray:
    return indexed(-n, n)


def a2m_of(
    sample: Any, source: SourceMotion, condition: Any = None, noise: Any = no_noise, silence: Any = before_speech, **options: Any
) -> Audio2Motion:
    return Audio2Motion(sample, condition or ConditionHandler(source), source, silence, noise, Audio2MotionOptions(**options))


def spoken(stage: Audio2Motion, features: np.ndarray, size: int | None = None) -> np.ndarray:
    size = size or max(len(features), 1)
    rows = [row for i in range(0, len(features), size) for row in stage.push(features[i : i + size])] + [*stage.flush()]
    return np.stack(rows) if rows else np.zeros((0, 265), np.float32)


@pytest.mark.parametrize("case", A2M_CASES)
def test_parity_joined_windows(case: str, photo: SourceMotion, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = golden_io.load("audio2motion")
    options = dict(golden_io.meta(golden)["cfgs"][case])
    if "v_min_max_for_clip" in options:
        options["v_min_max_for_clip"] = np.stack([np.full(265, low, np.float32) for low in (-0.8, 0.9, 0, 0)])
    if "fix_kp_cond_dim" in options:
        options["fix_kp_cond_dim"] = tuple(options["fix_kp_cond_dim"])
    monkeypatch.setattr(audio2motion, "KEPT_ROWS", 10_000)  # the golden holds all joined rows; a session holds the last
    model = Sampled(lambda i, *_: synthetic_normal(f"pred_clip_{i}", (1, 80, 265), SEED))
    stage = a2m_of(model, photo, sampling_timesteps=1, **options)
    settings = stage._options
    lengths = []
    for i in range(5):
        for _ in stage.push(indexed(0, settings.valid if i or settings.online_mode else 80)):
            pass
        lengths.append(len(stage._rows))
    res = stage._rows
    check(golden, "s_kp_cond", photo.motions[0].row(), 0)
    check(golden, f"{case}_lens", lengths, 0)
    check(golden, f"{case}_fuse_len", [settings.fuse, settings.valid], 0)
    check(golden, f"{case}_kp_cond_in", np.concatenate(model.cond_frames)[:, ::5], 1e-6)
    check(golden, f"{case}_kp_cond_last_full", stage._cond_frame, 1e-6)
    check(golden, f"{case}_res", res[None], 1e-6)
    check(golden, f"{case}_res_framemean", res.mean(axis=1), 1e-6)
    twice = smoothed(res[:-3], 0, len(res) - 3, settings.smo_k_d)
    check(golden, f"{case}_final_smo", twice[None], 1e-6)
    for name, part in row_parts(stage._clipped(res[17])).items():
        check(golden, f"{case}_cvt17_{name}", part[None], 1e-6)


@pytest.mark.parametrize("case", [case for case in A2M_CASES if not case.startswith("online") and case != "clip"])
def test_parity_offline_rows_come_out_while_the_speech_goes_on(case: str, photo: SourceMotion) -> None:
    """The published pipeline smooths the whole sequence at its end. Ours gives the same rows window by window."""
    golden = golden_io.load("audio2motion")
    options = dict(golden_io.meta(golden)["cfgs"][case])
    model = Sampled(lambda i, *_: synthetic_normal(f"pred_clip_{i}", (1, 80, 265), SEED))
    stage = a2m_of(model, photo, sampling_timesteps=1, **options)
    rows = np.stack([row for i in range(0, 400, 3) for row in stage.push(indexed(i, 3)) if len(model.cond_frames) <= 5])
    width = golden[f"{case}_final_smo__shape"][2]
    at, want = golden[f"{case}_final_smo__pos"], golden[f"{case}_final_smo__val"]
    made = at // width < len(rows)
    assert made.mean() > 0.8
    assert np.abs(rows.reshape(-1)[at[made]] - want[made]).max() < 1e-6


BOOKKEEPING = {
    "online70_n80_c5": dict(overlap_v2=70, online_mode=True),
    "online70_n83_c5": dict(overlap_v2=70, online_mode=True),
    "online75_n200_c5": dict(overlap_v2=75, online_mode=True),
    "online10_n200_c5": dict(overlap_v2=10, online_mode=True),
    "online70_n300_c13": dict(overlap_v2=70, online_mode=True),
    "onlinecls_offlinemode10_n200_c200": dict(overlap_v2=10, whole=False),
    "onlinecls_offlinemode10_n200_c5": dict(overlap_v2=10, whole=False),
    "offline10_n75": dict(overlap_v2=10),
    "offline10_n80": dict(overlap_v2=10),
    "offline10_n81": dict(overlap_v2=10),
    "offline10_n200": dict(overlap_v2=10),
    "offline40_n333": dict(overlap_v2=40),
}


def book(case: str, source: SourceMotion, published: bool) -> tuple[np.ndarray, np.ndarray, int, float | None]:
    """Rows [features received, source frame of 5, audio index, 1000 + window], calls of the condition handler, windows, reference."""
    n = int(case.split("_n")[1].split("_")[0])
    size = int(case.rsplit("_c", 1)[1]) if "_c" in case else n
    handler, calls = ConditionHandler(source), []

    def condition(features: np.ndarray, first: int) -> np.ndarray:
        calls.append([first, len(features), features[0, 0], features[-1, 0]])
        return handler(features, first)

    def make(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
        made = np.zeros((1, 80, 265), np.float32)
        made[..., 202], made[..., 203] = cond[..., 0], 1000 + i
        return made

    model = Sampled(make)
    stage = a2m_of(model, source, condition, sampling_timesteps=1, published_count=published, **BOOKKEEPING[case])
    rows: list[list[float]] = []
    reference = None

    def put(made: Iterable[np.ndarray], received: int) -> None:
        nonlocal reference
        for row in made:
            reference = stage.reference
            rows.append([received, mirror_index(len(rows), 5), row[202], row[203]])

    for i in range(0, n, size):
        put(stage.push(indexed(i, min(size, n - i))), min(i + size, n))
    put(stage.flush(), n)
    return np.array(rows, np.float64), np.array(calls, np.float64), len(model.cond_frames), None if reference is None else reference[202]


@pytest.mark.parametrize("case", BOOKKEEPING)
def test_parity_published_bookkeeping(case: str, video: SourceMotion) -> None:
    golden = golden_io.load("frame_bookkeeping")
    rows, calls, windows, reference = book(case, video, published=True)
    if case == "onlinecls_offlinemode10_n200_c5":  # published: waits for 70 features more where 80 are enough
        assert (rows[:, 0] <= golden[f"{case}_rows"][:, 0]).all()
        rows[:, 0] = golden[f"{case}_rows"][:, 0]
    check(golden, f"{case}_rows", rows, 2e-4)
    check(golden, f"{case}_n_lmdm", windows, 0)
    if f"{case}_d0_audio_idx" in golden.files:
        check(golden, f"{case}_d0_audio_idx", np.float64(reference), 0)
    if case.startswith("offline"):  # published: all conditions at once; ours: window by window, the same rows
        (first, n, first_feature, last_feature), n_frames = golden[f"{case}_cond_calls"][0], len(rows)
        assert (first, n, first_feature, last_feature) == (0, n_frames, 0, n_frames - 1)
        assert all(start == feature for start, _, feature, _ in calls)
        assert calls[-1][3] == n_frames - 1
    else:
        check(golden, f"{case}_cond_calls", calls, 0)


@pytest.mark.parametrize("case", BOOKKEEPING)
def test_parity_our_rows_are_the_published_ones_without_surplus_or_gap(case: str, video: SourceMotion) -> None:
    want = golden_io.load("frame_bookkeeping")[f"{case}_rows"]
    n = int(case.split("_n")[1].split("_")[0])
    rows, *_ = book(case, video, published=False)
    assert len(rows) == n
    assert np.abs(rows[:, 2] - np.arange(n)).max() < 1e-3
    both = {round(audio): window for _, _, audio, window in want[: min(n, len(want))]}
    assert len(both) >= min(n, 140)
    assert all(abs(rows[i, 3] - window) < 2e-4 for i, window in both.items())


def test_published_counts_follow_their_formulas(photo: SourceMotion) -> None:
    """Up to `valid` rows too many, or the first missing, or none at all: what a stream of the published pipeline gives."""
    for overlap, n, count in (
        (70, 80, 90),
        (70, 300, 310),
        (75, 200, 205),
        (40, 120, 120),
        (70, 9, 0),
        (10, 200, 140),
        (30, 240, 220),
        (0, 170, 90),
    ):
        model = Sampled(lambda *_: no_noise())
        stage = a2m_of(model, photo, sampling_timesteps=1, smo_k_d=1, overlap_v2=overlap, online_mode=True, published_count=True)
        assert len(spoken(stage, indexed(0, n))) == count, (overlap, n)


def carry_index(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
    made = np.zeros((1, 80, 265), np.float32)
    made[..., 202] = cond[..., 0]
    return made


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("overlap", range(80))
def test_one_row_per_frame_for_every_overlap(overlap: int, online: bool, photo: SourceMotion) -> None:
    valid = 80 - overlap
    for n in sorted({0, 1, 3, valid - 1, valid, valid + 1, 80, 81, 160 + valid, 187}):
        for smoothing in (1, 3):
            if smoothing == 3 and n > 81:
                continue
            stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, smo_k_d=smoothing, overlap_v2=overlap, online_mode=online)
            rows = spoken(stage, indexed(0, n), 13)
            assert len(rows) == n
            assert n == 0 or np.abs(rows[:, 202] - np.arange(n)).max() < 1e-3


@pytest.mark.parametrize(
    "options", [dict(online_mode=online, whole=whole) for online, whole in ((False, True), (False, False), (True, True))]
)
def test_first_rows_come_when_promised(options: dict[str, bool], photo: SourceMotion) -> None:
    for overlap in (0, 10, 39, 40, 70, 75, 78, 79):
        for smoothing in (1, 3, 9):
            stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, smo_k_d=smoothing, overlap_v2=overlap, **options)
            heard = 0
            while not [*stage.push(indexed(heard, 1))]:
                heard += 1
            assert heard + 1 == stage._options.first_rows_after, (overlap, smoothing)
    assert Audio2MotionOptions(overlap_v2=70, online_mode=True).first_rows_after == 20
    assert Audio2MotionOptions(overlap_v2=75, online_mode=True).first_rows_after == 10


def dream(seed: int) -> Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A model whose windows depend on everything it is given."""
    mix = np.random.default_rng(seed).standard_normal((1103, 265)).astype(np.float32) * np.float32(0.05)

    def make(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
        made = np.stack([np.tanh(row @ mix) for row in cond[0]])[None]
        return made + np.float32(0.5) * cond_frame[:, None] + np.float32(0.1) * x_t

    return make


def published_offline(
    model: Sampled, source: SourceMotion, features: np.ndarray, noise: Callable[[], np.ndarray], o: Audio2MotionOptions
) -> np.ndarray:
    """The published worker for whole files, as plainly as it can be written: everything at once, smoothed again at the end."""

    def smooth(rows: np.ndarray, start: int, end: int) -> None:
        if o.smo_k_d > 1:
            before, half = rows.copy(), o.smo_k_d // 2
            for i in range(start, end):
                rows[i, :202] = before[max(0, i - half) : min(len(rows), i + half + 1), :202].mean(axis=0)

    steps = np.concatenate([noise()[None] for _ in range(o.sampling_timesteps - 1)])
    n, cond_frame, res = len(features), source.motions[0].row()[None], None
    cond = ConditionHandler(source)(features, 0)
    for k, start in enumerate(range(0, n, o.valid)):
        part = cond[start : start + 80]
        part = np.concatenate([part, np.repeat(part[-1:], 80 - len(part), axis=0)])
        made = model(cond_frame, part[None], noise(), steps)[0]
        if res is None:
            res = made.copy()
            smooth(res, 0, 80)
        else:
            weight = (np.arange(o.overlap_v2, dtype=np.float32) / np.float32(max(1, o.overlap_v2)))[:, None]
            joint = len(res) - o.overlap_v2
            faded = res[joint:] * (1 - weight) + made[: o.overlap_v2] * weight
            res = np.concatenate([res[:joint], faded, made[o.overlap_v2 :]])
            smooth(res, len(res) - o.valid - o.overlap_v2, len(res) - o.valid + 1)
        last = res[None, len(res) - o.overlap_v2 - 1]
        cond_frame = last.copy()
        if o.fix_kp_cond and (k + 1) % o.fix_kp_cond == 0:
            cond_frame = source.motions[0].row()[None].copy()
            if o.fix_kp_cond_dim:
                cond_frame[:, slice(*o.fix_kp_cond_dim)] = last[:, slice(*o.fix_kp_cond_dim)]
    assert res is not None
    res = res[:n].copy()
    smooth(res, 0, n)
    return res


@pytest.mark.parametrize("seed", range(12))
def test_offline_rows_equal_the_published_worker_exactly(seed: int, video: SourceMotion) -> None:
    """Also where no golden looks: overlap 0, even windows of smoothing, the end of the recording."""
    rng = np.random.default_rng(seed)
    options = Audio2MotionOptions(
        overlap_v2=int([0, 1, 10, 39, 40, 60, *rng.integers(0, 70, 6)][seed]),
        smo_k_d=int([4, 3, 80, 2, 13, 1, *rng.integers(0, 20, 6)][seed]),
        fix_kp_cond=int(rng.integers(0, 4)),
        fix_kp_cond_dim=(0, 202) if seed % 2 else None,
        sampling_timesteps=3,
    )
    n = int([1, 3, 80, 75, 81, *rng.integers(1, 300, 7)][seed])
    features = rng.standard_normal((n, 1024)).astype(np.float32)
    want = published_offline(Sampled(dream(seed)), video, features, seeded_noise(seed), options)
    stage = Audio2Motion(Sampled(dream(seed)), ConditionHandler(video), video, before_speech, seeded_noise(seed), options)
    got = spoken(stage, features, int(rng.integers(1, 90)))
    assert np.array_equal(got, want)


def test_even_smoothing_acts_as_the_next_odd_one(photo: SourceMotion) -> None:
    features = indexed(0, 100)

    def rows(k: int) -> np.ndarray:
        return spoken(a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), smo_k_d=k, sampling_timesteps=1), features)

    assert np.array_equal(rows(4), rows(5))
    assert np.array_equal(rows(0), rows(1))
    assert np.array_equal(rows(3)[:, 202:], rows(9)[:, 202:])  # the lips are never smoothed
    assert not np.array_equal(rows(3), rows(9))


def test_noise_is_fresh_for_a_window_and_kept_for_the_steps(photo: SourceMotion) -> None:
    def asked(seed: int) -> Sampled:
        model = Sampled(dream(0))
        stage = a2m_of(model, photo, noise=seeded_noise(seed), sampling_timesteps=4)
        spoken(stage, indexed(0, 150))
        spoken(stage, indexed(0, 20))  # a second utterance of the same session
        return model

    first, again, other = asked(5), asked(5), asked(6)
    starts = [x_t for x_t, _ in first.noises]
    assert len(starts) == 4
    assert first.noises[0][1].shape == (3, 1, 80, 265)
    assert all(np.array_equal(steps, first.noises[0][1]) for _, steps in first.noises)
    assert all(not np.array_equal(a, b) for i, a in enumerate(starts) for b in starts[:i])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first.noises, again.noises, strict=True))
    assert not np.array_equal(first.noises[0][0], other.noises[0][0])


def test_nothing_draws_from_a_global_generator(photo: SourceMotion) -> None:
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what must stay untouched
    stage = a2m_of(Sampled(dream(0)), photo, noise=seeded_noise(3), sampling_timesteps=2)
    stitch = MotionStitch(photo, no_stitch, MotionStitchOptions(delta_eye_arr=np.ones((3, 63))), seed=3)
    for row in spoken(stage, indexed(0, 20)):
        stitch.step(row)
    assert random.getstate() == state
    after = np.random.get_state()  # noqa: NPY002
    assert str(after) == str(numpy_state)


@pytest.mark.parametrize("online", [False, True])
def test_rows_of_hours_hold_no_memory(online: bool, photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=40, online_mode=online)
    model = stage._sample
    quarter = indexed(0, 250)  # ten seconds
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(60):  # ten minutes
            for _ in stage.push(quarter):
                pass
            model.cond_frames.clear()
            model.noises.clear()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes[10:]) - min(sizes[:10]) < 400_000
    assert len(stage._rows) <= 2 * 80 + 80
    assert stage._waiting < 80


def test_half_read_iterators_lose_nothing(photo: SourceMotion) -> None:
    features = np.random.default_rng(1).standard_normal((400, 1024)).astype(np.float32)

    def stage() -> Audio2Motion:
        return a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), sampling_timesteps=1, overlap_v2=30)

    want = spoken(stage(), features)
    lazy, got = stage(), []
    for i in range(0, 400, 100):
        made = lazy.push(features[i : i + 100])
        got += [row for _, row in zip(range(5), made, strict=False)]
    got += [*lazy.flush()]
    assert np.array_equal(np.stack(got), want)


def test_rows_and_features_belong_to_who_holds_them(photo: SourceMotion) -> None:
    """Rows may be written to, buffers of samples and features reused, even before the iterators are read."""
    features = np.random.default_rng(1).standard_normal((300, 1024)).astype(np.float32)
    options: dict[str, Any] = dict(sampling_timesteps=1, overlap_v2=70, online_mode=True)
    want = spoken(a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), **options), features)
    stage, got = a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), **options), []
    buffer = np.empty((100, 1024), np.float32)
    for i in range(0, 300, 100):
        buffer[:] = features[i : i + 100]
        made = stage.push(buffer)
        buffer[:] = 0
        for row in made:
            got.append(row.copy())
            row[:] = 99
    got += [*stage.flush()]
    assert np.array_equal(np.stack(got), want)

    samples = np.full(16000, 0.25, np.float32)
    hear = Wav2Feat(mean_encoder)
    heard = hear.push(samples)
    samples[:] = 0
    assert np.array_equal(np.concatenate([*heard, *hear.flush()]), features_of(mean_encoder, np.full(16000, 0.25, np.float32)))


def test_a_long_push_is_let_go(photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1)
    for _ in stage.push(indexed(0, 5000)):
        pass
    assert all(piece.base is None for piece in stage._pieces)


def test_an_utterance_can_be_forgotten(photo: SourceMotion) -> None:
    fresh = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=70, online_mode=True)
    want = spoken(fresh, indexed(0, 33))
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=70, online_mode=True)
    [*stage.push(indexed(500, 57))]
    stage.reset()
    assert stage.reference is None
    assert np.array_equal(spoken(stage, indexed(0, 33)), want)
    assert np.array_equal(spoken(stage, indexed(0, 33)), want)  # and flush has started a new one


def test_a_later_utterance_goes_on_with_the_eyes_of_the_video(video: SourceMotion) -> None:
    handler, firsts = ConditionHandler(video), []

    def condition(features: np.ndarray, first: int) -> np.ndarray:
        firsts.append(first)
        return handler(features, first)

    stage = a2m_of(Sampled(carry_index), video, condition, sampling_timesteps=1)
    spoken(stage, indexed(0, 30))
    spoken(stage, indexed(0, 30))
    assert firsts == [0, 30]


@pytest.mark.parametrize("wrong", [np.zeros((1, 79, 265), np.float32), np.full((1, 80, 265), np.nan, np.float32)])
def test_a_broken_model_is_reported(wrong: np.ndarray, photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(lambda *_: wrong), photo, sampling_timesteps=1)
    with pytest.raises(TalkingHeadError, match="motion model"):
        spoken(stage, indexed(0, 3))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("overlap_v2", 80, "from 0 to 79"),
        ("overlap_v2", -1, "from 0 to 79"),
        ("overlap_v2", 10.5, "from 0 to 79"),
        ("overlap_v2", True, "from 0 to 79"),
        ("sampling_timesteps", 0, "from 1 to 1000"),
        ("sampling_timesteps", 1001, "from 1 to 1000"),
        ("smo_k_d", -3, "from 0 to 80"),
        ("smo_k_d", "3", "from 0 to 80"),
        ("fix_kp_cond", -1, "from 0"),
        ("fix_kp_cond_dim", (10, 5), "start <= end"),
        ("fix_kp_cond_dim", (0, 266), "start <= end"),
        ("fix_kp_cond_dim", 5, "start <= end"),
        ("fix_kp_cond_dim", (None, 5), "start <= end"),
        ("v_min_max_for_clip", np.zeros((1, 265)), "265"),
        ("v_min_max_for_clip", np.zeros((2, 264)), "265"),
        ("v_min_max_for_clip", np.stack([np.ones(265), np.zeros(265)]), "above row 1"),
        ("v_min_max_for_clip", "no", "265"),
        ("online_mode", 1, "True or False"),
    ],
)
def test_motion_options_are_checked(name: str, value: Any, says: str) -> None:
    with pytest.raises(OptionError, match=name) as caught:
        Audio2MotionOptions(**{name: value})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        dict(overlap_v2=20),
        dict(online_mode=True),
        dict(sampling_timesteps=3),
        dict(smo_k_d=7),
        dict(fix_kp_cond=1),
        dict(fix_kp_cond=1, fix_kp_cond_dim=(0, 202)),
        dict(v_min_max_for_clip=np.stack([np.full(265, -0.2), np.full(265, 0.2)])),
        dict(whole=False),
    ],
)
def test_every_motion_option_shows(change: dict[str, Any], photo: SourceMotion) -> None:
    features = np.random.default_rng(2).standard_normal((150, 1024)).astype(np.float32)

    def rows(options: dict[str, Any]) -> np.ndarray:
        stage = a2m_of(Sampled(dream(2)), photo, noise=seeded_noise(2), **{"sampling_timesteps": 2, **options})
        return spoken(stage, features)

    assert not np.array_equal(rows({}), rows(change))
    if "fix_kp_cond_dim" in change:
        assert not np.array_equal(rows(change), rows({"fix_kp_cond": 1}))


# --- pose -----------------------------------------------------------------------------------------------------------------------------


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
    assert [mirror_index(i, 4) for i in range(11)] == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2]
    assert [mirror_index(i, 1) for i in range(4)] == [0, 0, 0, 0]


# --- stitching ------------------------------------------------------------------------------------------------------------------------


def no_stitch(kp_source: np.ndarray, kp_driving: np.ndarray) -> np.ndarray:
    return kp_driving


@pytest.fixture(scope="module")
def stitch() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    sizes = (126, 128, 128, 64, 65)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        shapes |= {f"mlp.{2 * i}.weight": (b, a), f"mlp.{2 * i}.bias": (b,)}
    weights = fill_state_dict(shapes, SEED, "stitch_network")

    def run(kp_source: np.ndarray, kp_driving: np.ndarray) -> np.ndarray:
        assert kp_source.dtype == kp_driving.dtype == np.float32
        assert kp_source.shape == kp_driving.shape == (1, 21, 3)
        x = np.concatenate([kp_source.reshape(1, -1), kp_driving.reshape(1, -1)], axis=1)
        for i in range(0, 8, 2):
            x = x @ weights[f"mlp.{i}.weight"].T + weights[f"mlp.{i}.bias"]
            x = np.maximum(x, 0) if i < 6 else x
        out = kp_driving + x[:, :63].reshape(1, 21, 3)
        out[..., :2] += x[:, None, 63:]
        return out

    return run


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """120 rows of motion that wander."""
    scale = np.full(265, 0.05, np.float32)
    scale[1:199] = 3.0
    return np.cumsum(synthetic_input("drv", (120, 265), SEED, -1, 1) * scale, axis=0, dtype=np.float32) * np.float32(0.25)


def alpha_at(f: int) -> float | None:
    return f / 20 if f < 20 else (119 - f) / 20 if f >= 99 else None


BLINK = synthetic_input("delta_eye_arr", (15, 63), SEED, -0.05, 0.05)
EVERY = range(120)
FADED = {f: {"fade_alpha": alpha_at(f)} for f in EVERY if alpha_at(f) is not None}
ALL_KEYS = ("exp", "pitch", "yaw", "roll", "t")
STITCH_CASES: dict[str, dict[str, Any]] = {
    "A_default": {},
    "B_delta_eye_list": dict(delta_eye_arr=BLINK, delta_eye_open_n=[20, 30]),
    "C_delta_eye_int": dict(delta_eye_arr=BLINK, delta_eye_open_n=25, N_d=-1),
    "D_fade_d0_allkeys": dict(fade_type="d0", fade_out_keys=ALL_KEYS, ctrl_info=FADED),
    "E_fade_s_exp": dict(fade_type="s", ctrl_info=FADED),
    "E2_fade_s_perframe_keys": dict(
        fade_type="s", ctrl_info={f: dict(fade_alpha=0.3, fade_out_keys=("pitch", "exp")) for f in EVERY if f % 3 == 0}
    ),
    "F_vad": dict(ctrl_info={f: dict(vad_alpha=min(1, 0.02 * f)) for f in EVERY}),
    "G_delta_pose": dict(ctrl_info=[dict(delta_pitch=5, delta_yaw=-7.5, delta_roll=3, alpha_yaw=0.5)] * 120),
    "G2_alpha_pose_bins": dict(ctrl_info=[dict(alpha_pitch=0.5, alpha_roll=1.5)] * 120),
    "G3_delta_exp": dict(ctrl_info=[dict(delta_exp=synthetic_input("delta_exp", (1, 63), SEED, -0.03, 0.03))] * 120),
    "H_no_stitch": dict(flag_stitching=False),
    "I_keys_tuple": dict(use_d_keys=("exp", "pitch")),
    "J_keys_dict": dict(use_d_keys=dict(exp=1.2, pitch=0.5, yaw=1, roll=1, t=0.8)),
    "K_absolute": dict(relative_d=False),
    "K2_absolute_dict": dict(relative_d=False, use_d_keys=dict(exp=1.2, pitch=0.5, t=0.8)),
    "L_no_drive_eye": dict(drive_eye=False),
    "M_overall_ctrl": dict(overall_ctrl_info=dict(delta_yaw=4), ctrl_info={f: dict(delta_yaw=-4) for f in EVERY if f % 2}),
    "N_ch_info": {},
    "O_video_default": {},
    "O2_video_drive_eye": dict(drive_eye=True, use_d_keys=ALL_KEYS),
    "P_d0_given": {},
}
MENDED = ("G2_alpha_pose_bins", "O2_video_drive_eye")
"""Goldens that pin an oddity of the published pipeline: they hold with published=True, and are different on purpose without."""


def stitched(
    case: str, source: SourceMotion, stitch: Any, rows: np.ndarray, published: bool
) -> tuple[np.ndarray, np.ndarray, MotionStitch]:
    options = MotionStitchOptions(**{"N_d": 120, "published": published, **STITCH_CASES[case]})
    stage = MotionStitch(source, stitch, options, character=make_source(SEED + 100000, 1) if case == "N_ch_info" else None)
    reference = rows[5] if case == "P_d0_given" else None
    frames = [stage.step(row, reference) for row in rows]
    assert [f.frame for f in frames] == [*EVERY]
    assert {f.kp_driving.dtype for f in frames} == {f.kp_source.dtype for f in frames} == {np.dtype(np.float32)}
    return np.concatenate([f.kp_source for f in frames]), np.concatenate([f.kp_driving for f in frames]), stage


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("case", STITCH_CASES)
def test_parity_stitched_keypoints(
    case: str, published: bool, photo: SourceMotion, video: SourceMotion, stitch: Any, rows: np.ndarray
) -> None:
    golden = golden_io.load("motion_stitch")
    x_s, x_d, stage = stitched(case, video if case.startswith("O") else photo, stitch, rows, published)
    check(golden, f"{case}_x_s0", x_s[0], 1e-6)
    if f"{case}_x_s" in golden.files:
        check(golden, f"{case}_x_s", x_s[:14], 1e-6)
    if f"{case}_blink_idx" in golden.files:
        check(golden, f"{case}_blink_idx", stage.blinks, 0)
    if case in MENDED and not published:
        assert golden_io.max_error(golden, f"{case}_x_d", x_d[golden["frames"]]) > 1e-4
        return
    check(golden, f"{case}_x_d", x_d[golden["frames"]], 2e-6)
    check(golden, f"{case}_x_d_framemean", x_d.mean(axis=(1, 2)), 1e-6)


def test_parity_blink_schedules() -> None:
    golden = golden_io.load("motion_stitch")
    for key in golden.files:
        if key.startswith("blink_") and f"{key}_args" in golden.files:
            n, blink_n, open_n = json.loads(str(golden[f"{key}_args"]))
            check(golden, key, blink_schedule(n, blink_n, open_n, random.Random(0)), 0)  # noqa: S311
    check(golden, "blink_random_seeded", blink_schedule(1000, 15, 0, random.Random(SEED)), 0)  # noqa: S311


@pytest.mark.parametrize("case", ["a", "b", "c", "d"])
def test_parity_fades(case: str) -> None:
    golden = golden_io.load("ctrl_nd")
    want = golden[f"{case}_fade_alpha"]
    n, fade_in, fade_out = (int(v) for v in golden[f"{case}_args"])
    alphas = fades(n, fade_in, fade_out)
    got = np.array([alphas.get(i, np.nan) for i in range(len(want))])
    assert np.array_equal(np.isnan(got), np.isnan(want))
    assert np.nanmax(np.abs(got - want)) < 1e-9


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
        assert np.abs(x_d[i] - keypoints(video.motions[mirror_index(i, 7)].parts())).max() < 1e-6
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


# --- all of it ------------------------------------------------------------------------------------------------------------------------


def spoken_frames(source: SourceMotion, cuts: Iterator[np.ndarray], **options: Any) -> np.ndarray:
    """Samples to driven keypoints, as an engine chains the stages."""
    settings = Audio2MotionOptions(**options)
    hear = Wav2Feat(tanh_encoder(), FeatureOptions.of(settings.online_mode))
    move = Audio2Motion(Sampled(dream(4)), ConditionHandler(source), source, hear.silence, seeded_noise(4), settings)
    stitch = MotionStitch(source, no_stitch)
    frames = []

    def put(made: Iterable[np.ndarray]) -> None:
        frames.extend(stitch.step(row, move.reference).kp_driving for row in made)

    for cut in cuts:
        for features in hear.push(cut):
            put(move.push(features))
    for features in hear.flush():
        put(move.push(features))
    put(move.flush())
    return np.concatenate(frames)


def cut_up(wav: np.ndarray, sizes: Callable[[], int]) -> Iterator[np.ndarray]:
    start = 0
    while start < len(wav):
        end = start + sizes()
        yield wav[start:end]
        start = end


@pytest.mark.parametrize(
    "options", [dict(overlap_v2=70, online_mode=True), dict(overlap_v2=20, online_mode=True), dict(overlap_v2=10)], ids=str
)
def test_the_cut_of_the_audio_changes_no_frame(options: dict[str, Any], video: SourceMotion) -> None:
    wav = np.random.default_rng(1).uniform(-0.5, 0.5, 16000 * 5 + 123).astype(np.float32)
    want = spoken_frames(video, iter([wav]), sampling_timesteps=2, **options)
    assert len(want) == 126
    rng = np.random.default_rng(2)
    for sizes in (lambda: int(rng.integers(1, 5001)), lambda: 5000, lambda: 37):
        assert np.array_equal(spoken_frames(video, cut_up(wav, sizes), sampling_timesteps=2, **options), want)
    short = wav[:9000]
    want = spoken_frames(video, iter([short]), sampling_timesteps=2, **options)
    assert len(want) == 15
    assert np.array_equal(spoken_frames(video, cut_up(short, lambda: 1), sampling_timesteps=2, **options), want)


@pytest.mark.parametrize("online", [False, True])
def test_a_tenth_of_a_second_has_three_frames(online: bool, photo: SourceMotion) -> None:
    for overlap in (*range(0, 80, 8), 39, 75, 79):  # three rows for every overlap: test_one_row_per_frame_for_every_overlap
        wav = np.full(1600, 0.1, np.float32)
        assert len(spoken_frames(photo, iter([wav]), overlap_v2=overlap, online_mode=online, sampling_timesteps=1)) == 3, overlap


@pytest.mark.slow
def test_parity_motion_of_the_whole_pipeline() -> None:
    """Three seconds through features, conditions, the full-size diffusion model and the stitching network, synthetic weights."""
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("core.models")
    from core.atomic_components.audio2motion import sampler_of
    from core.atomic_components.motion_stitch import stitch_of

    golden = golden_io.load("e2e")

    def filled(network: Any, name: str) -> Any:
        network.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in fill_state_dict(network, SEED, name).items()})
        return network.eval()

    motion = Motion.of({name: golden[f"x_s_info_{name}"] for name in MOTION_SHAPES})
    source = SourceMotion([motion], motion.kp, golden["eye_open"], golden["eye_ball"], is_image=True)
    draws = iter(range(100))

    def noise() -> np.ndarray:
        return synthetic_normal(f"e2e_randn_{next(draws)}", (1, 80, 265), SEED)

    sample, windows = sampler_of(filled(models.LMDM(), "lmdm"), 5), []

    def kept(*args: np.ndarray) -> np.ndarray:
        windows.append(sample(*args))
        return windows[-1]

    options = Audio2MotionOptions(sampling_timesteps=5)
    hear = Wav2Feat(tanh_encoder())
    move = Audio2Motion(kept, ConditionHandler(source), source, hear.silence, noise, options)
    stitch = MotionStitch(source, stitch_of(filled(models.StitchNetwork(), "stitch_network")), MotionStitchOptions(N_d=75))
    frames = []
    for features in [*hear.push(e2e_wav()), *hear.flush()]:
        frames += [stitch.step(row, move.reference) for row in move.push(features)]
    frames += [stitch.step(row, move.reference) for row in move.flush()]
    check(golden, "lmdm_window0", windows[0], 2e-4)
    check(golden, "lmdm_window1", windows[1], 2e-4)
    check(golden, "x_s", frames[0].kp_source, 1e-6)
    check(golden, "x_d", np.concatenate([frame.kp_driving for frame in frames]), 1e-5)


def test_layout_covers_a_row() -> None:
    assert sorted(i for where in LAYOUT.values() for i in range(265)[where]) == [*range(265)]
    assert motion_stitch.LIP == (6, 12, 14, 17, 19, 20)
