"""Speech features, one per 40 ms, however the recording is cut; held against the published code's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.atomic_components.wav2feat import FeatureOptions, Wav2Feat
from core.errors import AudioError, EngineUnavailable
from tests.support import golden_io
from tests.support.ditto_motion import e2e_wav, features_of, loudness_encoder, mean_encoder, tanh_encoder
from tests.support.golden_io import SEED, check
from tests.support.synthetic import synthetic_input


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
    from core.aux_models.onnx_model import OnnxModel

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
    hubert = Hubert(OnnxModel(path, "speech encoder", threads=1))
    wav = synthetic_input("wav", (1, 6480), SEED, -0.5, 0.5)
    rows = hubert(wav)
    want = np.stack([wav[0, k * 320 : k * 320 + 400] for k in range(20)]) @ kernel[:, 0].T
    assert rows.shape == (20, 1024)
    assert rows.dtype == np.float32
    assert np.abs(rows - want).max() < 1e-4
    assert features_of(hubert, wav[0]).shape == (11, 1024)

    with pytest.raises(EngineUnavailable, match=r"nowhere\.onnx is missing"):
        OnnxModel(tmp_path / "nowhere.onnx", "speech encoder")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        OnnxModel(path, "speech encoder")
