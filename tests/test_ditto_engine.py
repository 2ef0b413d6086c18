"""The Ditto engine from checkpoints to video, on a small set with synthetic weights (`synthetic_checkpoints.py`).

What the networks compute is checked against goldens elsewhere; here it is how the parts are joined.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import io
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import synthetic_checkpoints
import torch
from golden_io import SEED
from hub_server import HubServer
from synthetic import synthetic_input
from synthetic_checkpoints import FILES, TINY, checkpoints, tiny_networks, write_checkpoints

import core.engine_selection
import inference
from core.atomic_components import glide as glide_module
from core.atomic_components.motion_stitch import StitchedFrame
from core.engines.ditto import DittoEngine, DittoRegistered, checkpoints_in
from core.engines.ditto_renderer import DittoRenderer
from core.engines.ditto_session import DittoSession
from core.errors import EngineUnavailable, FaceError, OptionError
from core.media.source import load_source
from core.options import PRESETS, read_options
from core.settings import Settings
from core.studio import open_studio
from core.types import Audio, Frame, Framing, Photo, RenderOptions, Request, Samples
from manager import hub as hub_access
from manager import store as store_module
from manager.catalogue import Catalogue, load_catalogue

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"sampling_timesteps": 2, "size": 96}


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with tiny_networks():
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)


@pytest.fixture(scope="module")
def engine(root: Path, _tiny: None) -> DittoEngine:
    return DittoEngine(checkpoints(root), "cpu")


@pytest.fixture(scope="module")
def registered(engine: DittoEngine, portrait: Photo) -> DittoRegistered:
    return engine.register(portrait, Framing())


@pytest.fixture(scope="module")
def clip_bytes(portrait: Photo) -> bytes:
    """Six frames in which the face moves to the right."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for i in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(portrait.pixels, i, axis=1), "rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.fixture(scope="module")
def clip(engine: DittoEngine, clip_bytes: bytes, settings: Settings) -> DittoRegistered:
    return engine.register(load_source(clip_bytes, settings), Framing())


def sound(n_samples: int) -> Samples:
    return synthetic_input("sound", (n_samples,), SEED, -0.3, 0.3)


def session(engine: DittoEngine, registered: DittoRegistered, **values: Any) -> DittoSession:
    options = read_options({**QUICK, **values})
    engine.verify(Photo(np.zeros((2, 2, 3), np.uint8), ""), options.framing, options.controls, options.render)
    return engine.session(registered, options.controls, options.render)


def spoken(session: DittoSession, samples: Samples, cuts: Sequence[int] = ()) -> list[Frame]:
    """All frames of `samples`, pushed in pieces of these lengths, round and round; at once without any."""
    frames: list[Frame] = []
    start = 0
    for length in itertools.cycle(cuts or [len(samples)]):
        if start >= len(samples):
            break
        frames += session.push(samples[start : start + length])
        start += length
    return [*frames, *session.flush()]


def moved(engine: DittoEngine, registered: DittoRegistered, n_frames: int = 12, **values: Any) -> np.ndarray:
    """(n, 21, 3): driven keypoints without any rendering."""
    made = session(engine, registered, **values)
    made._begin()
    frames = list(made._spoken(made._features.push(sound(640 * n_frames)))) + list(made._spoken(made._features.flush(), ended=True))
    return np.concatenate([frame.kp_driving for frame in frames])


def same(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[StitchedFrame]:
    """What is drawn from here on; nothing is really drawn."""
    frames: list[StitchedFrame] = []
    render = torch.zeros(1, 3, 512, 512)

    def draw(self: DittoRenderer, batch: Sequence[StitchedFrame]) -> Any:
        frames.extend(batch)
        return batch, render.expand(len(batch), -1, -1, -1)

    monkeypatch.setattr(DittoRenderer, "draw", draw)
    return frames


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize("n_samples", [1, 640, 641, 3200, 5_761])
@pytest.mark.parametrize("online", [False, True])
def test_one_frame_per_640_samples(engine: DittoEngine, registered: DittoRegistered, n_samples: int, online: bool) -> None:
    frames = spoken(session(engine, registered, online_mode=online, overlap_v2=70 if online else 10), sound(n_samples))
    assert len(frames) == -(-n_samples // 640)
    assert all(frame.shape == (96, 96, 3) and frame.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("values", [{}, {"online_mode": True, "overlap_v2": 75}, {"online_mode": True, "overlap_v2": 10}])
def test_how_the_audio_is_cut_changes_no_frame(engine: DittoEngine, registered: DittoRegistered, values: dict[str, Any]) -> None:
    samples = sound(640 * 8 + 17)
    whole = spoken(session(engine, registered, **values), samples)
    assert same(whole, spoken(session(engine, registered, **values), samples, [1, 5000, 333, 640]))
    assert same(whole, spoken(session(engine, registered, **values), samples, [319]))


def test_the_seed_decides_and_nothing_else(engine: DittoEngine, registered: DittoRegistered) -> None:
    samples = sound(640 * 5)
    first = spoken(session(engine, registered), samples)
    torch.manual_seed(99)
    assert same(first, spoken(session(engine, registered), samples))
    assert not same(first, spoken(session(engine, registered, seed=8), samples))


def test_stream_yields_while_it_is_spoken(engine: DittoEngine, registered: DittoRegistered) -> None:
    made = session(engine, registered, online_mode=True, overlap_v2=75)
    assert list(made.push(sound(640 * 6))) == []
    assert len(list(made.push(sound(640 * 9)))) > 0


@pytest.mark.parametrize(
    "values", [{"online_mode": True, "overlap_v2": 75}, {"online_mode": True, "overlap_v2": 30}, {}, {"overlap_v2": 75, "smo_k_d": 21}]
)
def test_the_sound_that_the_first_frame_needs(
    engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame], values: dict[str, Any]
) -> None:
    needed = session(engine, registered, **values).look_ahead_samples + 640
    made = session(engine, registered, **values)
    assert list(made.push(sound(needed - 1))) == []
    assert len(list(made.push(sound(1)))) > 0


def test_frames_left_unread_come_with_the_next_push(engine: DittoEngine, registered: DittoRegistered) -> None:
    samples = sound(640 * 14)
    values = {"online_mode": True, "overlap_v2": 75}
    whole = spoken(session(engine, registered, **values), samples)
    made = session(engine, registered, **values)
    reader = made.push(samples)
    read = [next(reader), next(reader)]
    reader.close()  # type: ignore[attr-defined]
    assert same(whole, [*read, *made.push(samples[:0]), *made.flush()])
    made.interrupt()
    assert not any(thread.name.startswith("stage-") for thread in threading.enumerate())


def test_nothing_is_computed_while_nobody_waits(engine: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn is what was asked for: who has the device for one step leaves nothing running when the step ends."""
    drawn = []
    draw = DittoRenderer.draw
    monkeypatch.setattr(DittoRenderer, "draw", lambda self, batch: (drawn.extend(frame.frame for frame in batch), draw(self, batch))[1])
    made = session(engine, registered, online_mode=True, overlap_v2=75)
    reader = made.push(sound(640 * 30))
    for n in (1, 2, 3):
        next(reader)
        assert drawn == list(range(n))  # on a CPU one at a time
    reader.close()  # type: ignore[attr-defined]
    made.interrupt()


def test_batches_as_on_a_gpu(
    engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches of five are under way together. What a reader left is the next one's, and the head glides from what was really shown."""
    monkeypatch.setattr(engine, "placement", dataclasses.replace(engine.placement, batch=5, batches_at_once=2))
    made = session(engine, registered, online_mode=True, overlap_v2=70)
    assert made.step_frames == 10
    samples = sound(640 * 47)
    reader = made.push(samples[: 640 * 40])
    for n, computed in ((1, 10), (9, 10), (1, 20)):
        list(itertools.islice(reader, n))
        assert len(drawn) == computed
    rest = [*made.push(samples[640 * 40 :]), *made.flush()]
    assert 11 + len(rest) == 47
    assert [frame.frame for frame in drawn] == list(range(47))

    list(itertools.islice(made.idle(20), 3))  # ten are drawn, three are shown
    shown = drawn[49]
    drawn.clear()
    list(made.push(samples))
    assert np.abs(drawn[0].kp_free - shown.kp_free).max() < 0.05


def test_the_size_of_a_push_does_not_change_batches_of_five(
    engine: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "placement", dataclasses.replace(engine.placement, batch=5, batches_at_once=2))
    values = {"online_mode": True, "overlap_v2": 75}
    samples = sound(640 * 13 + 3)
    whole = spoken(session(engine, registered, **values), samples)
    assert len(whole) == 14
    assert same(whole, spoken(session(engine, registered, **values), samples, [2000]))


def test_one_pair_of_threads_for_the_life_of_a_session(engine: DittoEngine, registered: DittoRegistered) -> None:
    made = session(engine, registered, online_mode=True, overlap_v2=75)
    seen: set[int | None] = set()
    for _ in range(5):
        list(made.push(sound(640 * 5)))
        seen |= {thread.ident for thread in threading.enumerate() if thread.name.startswith("stage-")}
    list(made.flush())
    assert len(seen) == 2
    made.interrupt()
    assert not any(thread.ident in seen for thread in threading.enumerate())


def test_a_session_that_broke_says_why_and_is_over_at_once(
    engine: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cause(Exception):
        pass

    def broken(self: Any, drawn: Any) -> Any:
        raise Cause("no room for the picture")

    monkeypatch.setattr(DittoRenderer, "put_back", broken)
    made = session(engine, registered)
    with pytest.raises(Cause, match="no room"):
        spoken(made, sound(640 * 3))
    made.interrupt()
    assert not any(thread.name.startswith("stage-") for thread in threading.enumerate())


def test_two_sessions_at_once_do_not_influence_each_other(engine: DittoEngine, registered: DittoRegistered) -> None:
    samples = sound(640 * 6)
    alone = [spoken(session(engine, registered, seed=seed), samples) for seed in (1, 2)]
    together: list[list[Frame]] = [[], []]

    def work(i: int) -> None:
        together[i] = spoken(session(engine, registered, seed=i + 1), samples, [1000])

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(alone[0], together[0])
    assert same(alone[1], together[1])


def test_listening_and_interrupting(engine: DittoEngine, registered: DittoRegistered) -> None:
    samples = sound(640 * 4)
    made = session(engine, registered)
    first = list(made.idle(3))
    assert len(first) == 3
    assert same(first, list(session(engine, registered).idle(3)))
    list(made.push(samples))
    with pytest.raises(RuntimeError, match="between utterances"):
        made.idle(1)
    made.interrupt()
    assert list(made.flush()) == []
    assert len(spoken(made, samples)) == 4
    assert len(list(made.idle(2))) == 2


def test_every_utterance_has_its_own_frames(engine: DittoEngine, registered: DittoRegistered) -> None:
    made = session(engine, registered)
    assert [len(spoken(made, sound(n))) for n in (640 * 3, 1, 641)] == [3, 1, 2]


@pytest.mark.parametrize("values", [{}, {"online_mode": True, "overlap_v2": 70}])
def test_the_head_glides_from_one_motion_to_the_next(
    engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame], values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each utterance begins at the source's pose, as published. Shown after another it would jump there from wherever the head was."""

    def shown(glide: int) -> tuple[np.ndarray, list[int]]:
        """Driven keypoints of a talk with pauses, and where something new begins in it."""
        monkeypatch.setattr(glide_module, "GLIDE_FRAMES", glide)
        drawn.clear()
        made, begins = session(engine, registered, **values), []
        for kind, n in (("idle", 13), ("talk", 30), ("talk", 17), ("idle", 14), ("idle", 5), ("cut", 14), ("talk", 20)):
            begins.append(len(drawn))
            if kind == "idle":
                list(made.idle(n))
            elif kind == "talk":
                spoken(made, sound(640 * n))
            else:  # interrupted after its frames, with more of it heard
                reader = made.flush() if list(made.push(sound(640 * (n + 4)))) else made.flush()
                list(itertools.islice(reader, n))
                made.interrupt()
        assert len(drawn) == 113
        return np.concatenate([frame.kp_free for frame in drawn]), [begin for begin in begins[1:] if begin != 74]  # 74: a pause goes on

    plain, begins = shown(0)
    glided, _ = shown(10)
    steps, plain_steps = (np.abs(np.diff(points, axis=0)).max(axis=(1, 2)) for points in (glided, plain))
    for begin in begins:
        offset = np.abs(glided[begin - 1] - plain[begin]).max()
        assert offset > 0.01  # there was something to glide over
        assert steps[begin - 1] < 0.05 * offset
        along = slice(begin, begin + 10)
        assert (steps[along] <= plain_steps[along] + 0.15 * offset).all()
        following = min([*(b for b in begins if b > begin), 113])
        assert np.array_equal(glided[begin + 10 : following], plain[begin + 10 : following])
    assert np.array_equal(glided[: begins[0]], plain[: begins[0]])  # what comes first is as published
    assert np.array_equal(glided[begins[1] - 1], plain[begins[1] - 1])


def test_new_controls_act_in_place_and_without_a_jump(engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame]) -> None:
    turned = read_options({"overall_ctrl_info": {"delta_yaw": 20}}).controls
    made = session(engine, registered)
    list(made.idle(15))
    reader = made.idle(40)
    next(reader)
    assert made.set_controls(turned)
    list(reader)
    assert [frame.frame for frame in drawn] == list(range(55))
    points = np.concatenate([frame.kp_free for frame in drawn])
    steps = np.abs(np.diff(points, axis=0)).max(axis=(1, 2))
    fresh = session(engine, registered, overall_ctrl_info={"delta_yaw": 20})
    drawn.clear()
    list(fresh.idle(39))
    there = np.concatenate([frame.kp_free for frame in drawn])
    assert np.abs(points[16] - there[0]).max() > 0.05  # it is a large turn
    assert steps[15] < 0.05 * np.abs(points[15] - there[0]).max()
    assert np.array_equal(points[16 + 10 :], there[10:])  # and then all is as in a session made so
    list(made.push(sound(640)))
    assert not made.set_controls(turned)  # not while it speaks
    made.interrupt()
    assert made.set_controls(turned)


def test_controls_by_frame_are_for_what_is_said(engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame]) -> None:
    turned = session(engine, registered, ctrl_info={i: {"delta_yaw": 9} for i in range(20)})
    list(turned.idle(4))
    listening = np.concatenate([frame.kp_free for frame in drawn])
    drawn.clear()
    list(session(engine, registered).idle(4))
    assert np.array_equal(listening, np.concatenate([frame.kp_free for frame in drawn]))


def test_sizes(engine: DittoEngine, registered: DittoRegistered) -> None:
    for size, expected in ((320, (320, 320)), ("source", (512, 512))):
        made = session(engine, registered, size=size)
        assert (made.width, made.height) == expected
        assert spoken(made, sound(10))[0].shape == (*expected, 3)
    made = session(engine, registered, size="source", max_size=256)
    assert spoken(made, sound(10))[0].shape == (256, 256, 3)


def test_whole_source_keeps_every_pixel_outside_the_face(engine: DittoEngine, registered: DittoRegistered, portrait: Photo) -> None:
    frame = spoken(session(engine, registered, size="source"), sound(10))[0]
    assert np.array_equal(frame[-100:], portrait.pixels[-100:])
    assert not np.array_equal(frame, portrait.pixels)


def test_a_video_source_moves_under_the_face(engine: DittoEngine, clip: DittoRegistered) -> None:
    assert len(clip.source) == 6
    made = session(engine, clip, size="source")
    frames = spoken(made, sound(640 * 8))
    assert len(frames) == 8
    # Forth and back: 0 1 2 3 4 5 5 4. Outside the face the frame is the video's own.
    assert np.array_equal(frames[5][-100:], frames[6][-100:])
    assert np.array_equal(frames[4][-100:], frames[7][-100:])
    assert not np.array_equal(frames[0][-100:], frames[5][-100:])
    online = session(engine, clip, online_mode=True, overlap_v2=70)
    assert len(spoken(online, sound(640 * 3 + 1))) == 4


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_ten_minutes_of_speech_take_no_more_memory_than_one(
    engine: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a renderer that draws nothing. The threads live as long as the session, so nothing is left behind with each push."""
    render = torch.zeros(1, 3, 512, 512)
    monkeypatch.setattr(DittoRenderer, "draw", lambda self, batch: (batch, render))
    made = session(engine, registered, online_mode=True, overlap_v2=40)
    second_of_speech = sound(16_000)
    seen, resident = 0, []
    for second in range(600):
        seen += sum(1 for _ in made.push(second_of_speech))
        if second in (30, 599):
            gc.collect()
            resident.append(resident_bytes())
    seen += sum(1 for _ in made.flush())
    made.interrupt()
    assert seen == 15_000
    assert resident[1] - resident[0] < 16 * 2**20


# ---------------------------------------------------------------- options

CHARACTER = {
    "x_s_info_lst": [
        {
            name: synthetic_input(f"character_{name}", (1, size), SEED, low, high)
            for name, size, low, high in (
                ("pitch", 66, -6, 6), ("yaw", 66, -6, 6), ("roll", 66, -6, 6), ("t", 3, -0.2, 0.2), ("exp", 63, -0.1, 0.1),
                ("scale", 1, 1.4, 1.5), ("kp", 63, -0.6, 0.6),
            )
        }
    ],
    "sc": np.zeros(63, np.float32),
    "eye_open_lst": [np.full((1, 2), 0.4, np.float32)],
    "eye_ball_lst": [np.zeros((1, 6), np.float32)],
}  # fmt: skip
BLINK = np.stack([np.full(63, 0.02 * i, np.float32) for i in range(4)])
ZERO_BOUNDS = np.zeros((2, 265), np.float32)
EFFECTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # option: (what it is compared with, the same with it)
    "emo": ({}, {"emo": 3}),
    "ch_info": ({}, {"ch_info": CHARACTER}),
    "overlap_v2": ({"n_frames": 90}, {"n_frames": 90, "overlap_v2": 20}),
    "fix_kp_cond": ({"n_frames": 160}, {"n_frames": 160, "fix_kp_cond": 1}),
    "fix_kp_cond_dim": ({"n_frames": 160, "fix_kp_cond": 1}, {"n_frames": 160, "fix_kp_cond": 1, "fix_kp_cond_dim": (0, 202)}),
    "sampling_timesteps": ({}, {"sampling_timesteps": 3}),
    "online_mode": ({}, {"online_mode": True}),
    "v_min_max_for_clip": ({}, {"v_min_max_for_clip": ZERO_BOUNDS}),
    "smo_k_d": ({}, {"smo_k_d": 9}),
    "N_d": (
        {"n_frames": 40, "delta_eye_arr": BLINK, "delta_eye_open_n": 9},
        {"n_frames": 40, "delta_eye_arr": BLINK, "delta_eye_open_n": 9, "N_d": 20},
    ),
    "use_d_keys": ({}, {"use_d_keys": ("exp",)}),
    "use_d_keys (factors)": ({}, {"use_d_keys": {"exp": 1.5, "yaw": 1.0, "pitch": 1.0, "roll": 1.0, "t": 1.0}}),
    "relative_d": ({}, {"relative_d": False}),
    "drive_eye": ({}, {"drive_eye": False}),
    "delta_eye_arr": ({}, {"delta_eye_arr": BLINK, "delta_eye_open_n": 3}),
    "delta_eye_open_n": ({"delta_eye_arr": BLINK, "delta_eye_open_n": 3}, {"delta_eye_arr": BLINK, "delta_eye_open_n": 2}),
    "fade_type": (
        {"ctrl_info": {i: {"fade_alpha": 0.2} for i in range(12)}},
        {"ctrl_info": {i: {"fade_alpha": 0.2} for i in range(12)}, "fade_type": "s"},
    ),
    "fade_in": ({"fade_type": "s", "N_d": 12}, {"fade_type": "s", "N_d": 12, "fade_in": 6}),
    "fade_out": ({"fade_type": "s", "N_d": 12}, {"fade_type": "s", "N_d": 12, "fade_out": 6}),
    "fade_out_keys": (
        {"fade_type": "s", "N_d": 12, "fade_out": 6},
        {"fade_type": "s", "N_d": 12, "fade_out": 6, "fade_out_keys": ("yaw", "pitch")},
    ),
    "flag_stitching": ({}, {"flag_stitching": False}),
    "ctrl_info": ({}, {"ctrl_info": {"4": {"delta_yaw": 9}}}),
    "overall_ctrl_info": ({}, {"overall_ctrl_info": {"delta_pitch": 2}}),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_option_has_its_effect(name: str, engine: DittoEngine, registered: DittoRegistered) -> None:
    without, with_it = (moved(engine, registered, **values) for values in EFFECTS[name])
    assert without.shape == with_it.shape
    assert np.abs(without - with_it).max() > 1e-6


def test_eyes_of_the_first_frame_may_be_held(engine: DittoEngine, clip: DittoRegistered) -> None:
    assert np.abs(moved(engine, clip) - moved(engine, clip, eye_f0_mode=True)).max() > 1e-9


@pytest.mark.parametrize(
    ("name", "value"),
    [("crop_scale", 2.0), ("crop_vx_ratio", 0.1), ("crop_vy_ratio", 0.0), ("crop_flag_do_rot", False)],
)
def test_an_option_of_the_source_has_its_effect(
    name: str, value: Any, engine: DittoEngine, registered: DittoRegistered, portrait: Photo
) -> None:
    other = engine.register(portrait, read_options({name: value}).framing)
    assert not np.array_equal(other.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)


def test_options_of_a_video_source(engine: DittoEngine, clip: DittoRegistered, clip_bytes: bytes, settings: Settings) -> None:
    source = load_source(clip_bytes, settings)
    assert len(engine.register(source, Framing(template_n_frames=3)).source) == 3
    assert engine.register(source, Framing(max_size=384, template_n_frames=1)).source.width == 384
    rough = engine.register(source, Framing(smo_k_s=1))
    assert not np.array_equal(rough.source.motion.motions[0].exp, clip.source.motion.motions[0].exp)


def test_the_configuration_holds_where_nothing_was_asked(root: Path, tmp_path: Path, registered: DittoRegistered, portrait: Photo) -> None:
    bounds = np.ones((4, 265)) * [[-9], [9], [0], [0]]
    defaults = {
        "emo": 3,
        "overall_ctrl_info": {"delta_pitch": 2},
        "crop_scale": 2.0,
        "v_min_max_for_clip": bounds,
    }
    path = tmp_path / "other.pkl"
    path.write_bytes(synthetic_checkpoints.pickle.dumps(synthetic_checkpoints.configuration(defaults)))
    other = DittoEngine(checkpoints(root), "cpu", cfg_pkl=path)
    mine = other.register(portrait, Framing())
    assert not np.array_equal(mine.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)
    plain = other.register(portrait, Framing(crop_scale=2.3))
    assert np.array_equal(plain.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)
    told = moved(other, plain, emo=4, overall_ctrl_info={}, v_min_max_for_clip=None)
    assert np.array_equal(told, moved(DittoEngine(checkpoints(root), "cpu"), registered))
    assert not np.array_equal(told, moved(other, plain))
    assert other.revision != DittoEngine(checkpoints(root), "cpu").revision


@pytest.mark.parametrize(
    "values",
    [
        {"overlap_v2": 80}, {"sampling_timesteps": 0}, {"crop_scale": 99.0}, {"emo": 8}, {"fade_type": "x"}, {"use_d_keys": ["nose"]},
        {"ctrl_info": {"0": {"delta_nose": 1}}}, {"ch_info": {"sc": 1}}, {"fade_in": 5}, {"blink": 0.5}, {"relative_d": 3},
    ],
)  # fmt: skip
def test_wrong_values_are_refused_before_any_work(engine: DittoEngine, portrait: Photo, values: dict[str, Any]) -> None:
    options = read_options(values)
    with pytest.raises(OptionError):
        engine.verify(portrait, options.framing, options.controls, options.render)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run(name: str, engine: DittoEngine, registered: DittoRegistered) -> None:
    values = {**PRESETS[name], "sampling_timesteps": 2, "size": 96}
    assert len(spoken(session(engine, registered, **values), sound(640))) == 1


# ---------------------------------------------------------------- what cannot run, says so


def test_missing_checkpoints_are_named(root: Path, tmp_path: Path) -> None:
    paths = checkpoints(root)
    with pytest.raises(EngineUnavailable, match=r"no checkpoint of: decoder\. .*model_manager\.py download"):
        DittoEngine({role: path for role, path in paths.items() if role != "decoder"}, "cpu")
    with pytest.raises(EngineUnavailable, match=r"gone\.pth"):
        DittoEngine({**paths, "decoder": root / "gone.pth"}, "cpu")
    with pytest.raises(EngineUnavailable, match=r"fix_kv\.onnx is neither .* each as a whole set"):
        DittoEngine({**paths, "decoder": paths["hubert"]}, "cpu")
    engine_file = tmp_path / "decoder_fp16.engine"
    engine_file.write_bytes(b"ftrt")
    with pytest.raises(EngineUnavailable, match=r"decoder_fp16\.engine is neither .* TensorRT engines it does not run"):
        DittoEngine({**paths, "decoder": engine_file}, "cpu")
    with pytest.raises(OptionError, match="detector"):
        DittoEngine(paths, "cpu", detector="best")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="device"):
        DittoEngine(paths, "tpu")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.optimization import gpu_optimization

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineUnavailable, match=r"PyTorch.*pip install"):
        gpu_optimization.place("cpu")
    monkeypatch.setattr(gpu_optimization, "cuda_devices", lambda: 1)
    assert gpu_optimization.gpu_obstacle() == "PyTorch is not installed"


def test_no_face(engine: DittoEngine) -> None:
    with pytest.raises(FaceError):
        engine.register(Photo(np.full((256, 256, 3), 128, np.uint8), "grey"), Framing())


def test_insightface_comes_with_a_notice(root: Path, portrait: Photo) -> None:
    found = DittoEngine(checkpoints(root), "cpu", detector="insightface").register(portrait, Framing())
    assert any("non-commercial" in warning for warning in found.warnings)


def test_auto_takes_a_gpu_and_falls_back_with_the_reason(
    settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot() -> Any:
        raise EngineUnavailable("The ditto engine has no checkpoints.", "Fetch them.")

    studio = open_studio(settings, cannot)
    assert studio.choose_engine("auto") == ("lite", "auto: no GPU was found")
    studio.close()
    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: None)
    studio = open_studio(settings, cannot)
    assert studio.choose_engine("auto") == ("ditto", "auto: a GPU was found")
    short = dataclasses.replace(speech, samples=speech.samples[:6400])
    info = studio.generate(Request(short, portrait, options=RenderOptions(size=96)), tmp_path / "v.mp4").info
    assert info.engine == "lite"
    assert info.engine_reason == "auto: ditto cannot run here (The ditto engine has no checkpoints)"
    with pytest.raises(EngineUnavailable, match="Fetch them"):
        studio.generate(Request(short, portrait, engine="ditto"), tmp_path / "w.mp4")
    studio.close()


# ---------------------------------------------------------------- from the Hub to a video


@pytest.fixture
def hub(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The small set on a Hub of its own, and the manager's catalogue of it."""
    import huggingface_hub
    import huggingface_hub.constants

    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name)
    contents = {path: (root / path).read_bytes() for path in FILES.values()}
    published = load_catalogue()
    files = tuple(
        dataclasses.replace(file, size_bytes=len(contents[file.path]), sha256=hashlib.sha256(contents[file.path]).hexdigest())
        for file in published.formats["pytorch"]
    )
    small = Catalogue(published.repo, published.revision, {"pytorch": files})
    monkeypatch.setattr(store_module, "load_catalogue", lambda: small)
    monkeypatch.setattr(hub_access, "RETRY_WAITS_S", (0.0,))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("DITTO_MODELS_DIR", str(tmp_path / "models"))
    huggingface_hub.close_session()
    with HubServer(small.repo, small.revision, contents) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


def written_speech(path: Path, n_samples: int) -> Path:
    import soundfile

    soundfile.write(path, sound(n_samples), 16_000)
    return path


def frames_of(path: Path) -> tuple[int, int, int, bool]:
    """Frames, width, height, and whether there is sound."""
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
        return len(pictures), pictures[0].width, pictures[0].height, bool(container.streams.audio)


@pytest.mark.parametrize("kind", ["photo", "video"])
def test_from_the_hub_to_a_video(
    kind: str, hub: HubServer, clip_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = ROOT / "assets" / "portrait.png"
    if kind == "video":
        source = tmp_path / "clip.mp4"
        source.write_bytes(clip_bytes)
    output = tmp_path / "out" / "v.mp4"
    arguments = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 640 * 7 + 1)), "--source_path", str(source), "--output_path", str(output),
        "--engine", "ditto", "--preset", "realtime", "--set", "sampling_timesteps=2", "--size", "96", "--json",
    ]  # fmt: skip
    assert inference.main(arguments) == 0, capfd.readouterr().err
    info = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (info["engine"], info["frames"]) == ("ditto", 8)
    assert frames_of(output) == (8, 96, 96, True)
    asked = hub.count("GET")
    assert asked == 10  # without the two files that are for non-commercial use
    if kind == "photo":
        output.unlink()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert inference.main(arguments) == 0, capfd.readouterr().err
        assert hub.count("GET") == asked


def test_a_folder_of_checkpoints_instead_of_the_hub(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert set(checkpoints_in(root / "ditto_pytorch", root / FILES["cfg"])) >= {"cfg", "lmdm", "decoder", "hubert", "landmark203"}
    controls = tmp_path / "controls.json"
    controls.write_text('{"emo": "happy", "sampling_timesteps": 2}')
    common = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 700)), "--source_path", str(ROOT / "assets" / "portrait.png"),
        "--output_path", str(tmp_path / "v.mp4"), "--engine", "ditto", "--size", "96", "--controls", str(controls),
        "--data_root", str(root / "ditto_pytorch"),
    ]  # fmt: skip
    assert inference.main(common) == 2
    assert "--cfg_pkl" in capfd.readouterr().err
    assert inference.main([*common, "--cfg_pkl", str(root / FILES["cfg"])]) == 0
    assert frames_of(tmp_path / "v.mp4") == (2, 96, 96, True)


def test_a_hub_that_says_no_is_one_line(hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.token = "needed"  # noqa: S105
    arguments = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 700)), "--source_path", str(ROOT / "assets" / "portrait.png"),
        "--output_path", str(tmp_path / "v.mp4"), "--engine", "ditto",
    ]  # fmt: skip
    assert inference.main(arguments) == 1
    error = capfd.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "ditto engine has no checkpoints" in error
    assert not (tmp_path / "v.mp4").exists()
