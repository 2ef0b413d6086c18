"""Windows of motion held against the published code: joined, counted and smoothed as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from core.atomic_components import audio2motion
from core.atomic_components.audio2motion import Audio2Motion, row_parts, seeded_noise, smoothed
from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.pose import SourceMotion
from core.clip_options import clip_index
from tests.support import golden_io
from tests.support.ditto_motion import Sampled, a2m_of, before_speech, dream, indexed, no_noise, spoken
from tests.support.golden_io import SEED, check
from tests.support.synthetic import synthetic_normal

A2M_CASES = (
    "offline10 offline10_fix2 offline10_fix3dim offline10_smo1 offline10_smo5 offline40 online70 online75 online10 clip".split()  # noqa: SIM905
)


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
            rows.append([received, clip_index(len(rows), 5, "bounce"), row[202], row[203]])

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
