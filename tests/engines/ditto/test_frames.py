"""Frames of the Ditto engine: one per 40 ms, however the speech is cut, in batches, on threads, at every size."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.atomic_components.motion_stitch import StitchedFrame
from core.aux_models.upright import turned, turned_pixels
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_renderer import DittoRenderer
from core.notices import notice
from core.request import Framing
from core.types import Frame, Photo
from tests.support.ditto_sessions import same, session, sound, spoken


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
def test_every_frame_is_there_once_the_sound_that_it_needs_is(
    engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame], values: dict[str, Any]
) -> None:
    made = session(engine, registered, **values)
    samples = sound(640 * 12 + made.look_ahead_samples)
    heard = came = 0
    for frame in range(12):
        needed = (frame + 1) * 640 + made.look_ahead_samples
        came += len(list(made.push(samples[heard:needed])))
        assert came > frame
        heard = needed
    made.interrupt()


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
    """Two batches of five are under way together. What a reader left is the next one's, and the head starts from what was really shown."""
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


def test_framing(engine: DittoEngine, registered: DittoRegistered) -> None:
    for options, expected in (
        ({"size": 96, "aspect": "9:16"}, (170, 96)),
        ({"size": 96, "aspect": "source"}, (96, 96)),
        ({"size": 96, "crop": (0.0, 0.0, 1.0, 0.5)}, (96, 192)),
        ({"size": "source", "crop": (0.0, 0.0, 1.0, 0.75)}, (384, 512)),
    ):
        made = session(engine, registered, **options)
        assert spoken(made, sound(10))[0].shape == (*expected, 3)
        assert made.warnings == ()
    assert len(session(engine, registered, crop=(0.0, 0.9, 0.1, 0.1)).warnings) == 1


def test_a_crop_is_the_same_part_of_the_whole_picture(engine: DittoEngine, registered: DittoRegistered) -> None:
    whole = spoken(session(engine, registered, size="source"), sound(10))[0]
    part = spoken(session(engine, registered, size="source", crop=(0.125, 0.0, 0.5, 0.75)), sound(10))[0]
    here, beside = (float(np.abs(whole[:384, x : x + 256].astype(int) - part).mean()) for x in (64, 68))
    assert here < 0.3 * beside


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_who_lies_in_the_photo_is_turned_upright(
    engine: DittoEngine, registered: DittoRegistered, portrait: Photo, quarters: int
) -> None:  # fmt: skip
    """Frames are those of the upright photo; a crop is chosen on the photo as it was given; what is kept still knows."""
    lying = Photo(turned_pixels(portrait.pixels, quarters), "lying")
    turned_one = engine.register(lying, Framing())
    assert turned_one.warnings == (notice("photo_turned"), *registered.warnings)
    kept = engine.restore(engine.save(turned_one), lambda: lying)
    crop = 0.125, 0.0, 0.5, 0.75
    wanted = spoken(session(engine, registered, size="source", crop=crop), sound(3))
    for each in (turned_one, kept):
        assert each.quarters == (-quarters) % 4
        same(spoken(session(engine, each, size="source", crop=turned(crop, quarters)), sound(3)), wanted)


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
