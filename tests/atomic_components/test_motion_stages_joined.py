"""From speech to driven keypoints through all stages of motion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from core.atomic_components.audio2motion import Audio2Motion, seeded_noise
from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.motion_stitch import MotionStitch
from core.atomic_components.pose import Motion, SourceMotion
from core.atomic_components.stitch_options import MotionStitchOptions
from core.atomic_components.wav2feat import FeatureOptions, Wav2Feat
from tests.support import golden_io
from tests.support.ditto_motion import MOTION_SHAPES, Sampled, dream, e2e_wav, no_stitch, tanh_encoder
from tests.support.golden_io import SEED, check
from tests.support.synthetic import fill_state_dict, synthetic_normal


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
