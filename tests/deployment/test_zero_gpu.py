"""Ditto on a GPU that is lent call by call, by a double of the `spaces` package that runs each call in a process of its own."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import core.web.zero_gpu as adapter
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_pieces import LentDevice, PieceEnd
from core.engines.ditto_renderer import DittoRenderer
from core.errors import EngineUnavailable, OptionError
from core.types import Frame
from core.zero_gpu import START_S, DurationRefused, GpuSpeed, QuotaExceeded, VisitorTokens, current_visitor, visitor_tokens
from tests.support.ditto_sessions import same, session, sound, spoken
from tests.support.lent_host import Host
from tests.support.pickled import pickled

FRAMES = 170


@pytest.fixture
def keypoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is the bytes of its keypoints, to the last bit: what follows them is the same for every frame, and takes long on a CPU."""
    monkeypatch.setattr(DittoRenderer, "draw", lambda self, batch: (batch, None))
    monkeypatch.setattr(
        DittoRenderer, "put_back", lambda self, drawn: [(frame, np.frombuffer(frame.kp_driving.tobytes(), np.uint8)) for frame in drawn[0]]
    )


@pytest.fixture
def whole(near: DittoEngine, registered: DittoRegistered, keypoints: None) -> list[Frame]:
    """The same recording on the engine itself, in one go."""
    return spoken(session(near, registered), sound(640 * FRAMES))


def call_for(frames: int) -> float:
    """Seconds of a call in which about so many frames have room, with the two steps of these tests."""
    return GpuSpeed().seconds(frames, 2 * (-(-frames // 70) + 1), 96 * 96)


def test_pieces_are_joined_without_a_seam(host: Callable[..., Host], registered: DittoRegistered, whole: list[Frame]) -> None:
    lent = host(call_for(60))
    frames = spoken(lent.session(registered), sound(640 * FRAMES))
    assert len(lent.calls) >= 3
    assert same(frames, whole)


def test_where_it_is_cut_and_whether_processes_are_new_changes_nothing(
    host: Callable[..., Host], registered: DittoRegistered, whole: list[Frame]
) -> None:
    lent = host(call_for(100), FAKE_SPACES_COLD="1")
    assert same(spoken(lent.session(registered), sound(640 * FRAMES), [6400]), whole)
    assert len(lent.calls) == 2


def test_pictures_are_those_of_the_engine_itself(host: Callable[..., Host], near: DittoEngine, registered: DittoRegistered) -> None:
    lent = host()
    assert same(spoken(lent.session(registered), sound(640 * 4)), spoken(session(near, registered), sound(640 * 4)))
    assert lent.calls[0]["bytes"] < 40 * 2**20


@pytest.mark.usefixtures("keypoints")
def test_streams_and_a_second_utterance_go_on_as_they_would(
    host: Callable[..., Host], near: DittoEngine, registered: DittoRegistered
) -> None:
    options = {"online_mode": True, "overlap_v2": 70, "seed": 7}
    plain, lent = session(near, registered, **options), host(call_for(50)).session(registered, **options)
    for length in (640 * 90, 640 * 30):
        assert same(spoken(lent, sound(length)), spoken(plain, sound(length)))


@pytest.mark.usefixtures("keypoints")
def test_frames_come_while_the_call_runs(host: Callable[..., Host], registered: DittoRegistered) -> None:
    lent = host()
    made = lent.session(registered)
    assert not list(made.push(sound(640 * FRAMES)))
    frames = made.flush()
    assert len(list(itertools.islice(frames, 3))) == 3
    made.interrupt()
    assert list(frames) == []
    after = lent.session(registered)
    assert len(spoken(after, sound(640 * 30))) == 30


@pytest.mark.usefixtures("keypoints")
def test_a_call_asks_for_what_its_work_takes(host: Callable[..., Host], registered: DittoRegistered) -> None:
    lent = host(call_for(160))
    spoken(lent.session(registered), sound(640 * FRAMES))
    asked = [call["seconds"] for call in lent.calls]
    assert all(START_S < seconds <= call_for(160) + 1 for seconds in asked)
    assert asked[-1] < asked[0]  # the last piece is the rest
    short, long = GpuSpeed().seconds(100, 50, 320 * 320), GpuSpeed().seconds(1000, 500, 320 * 320)
    large = GpuSpeed().seconds(100, 50, 1920 * 1080)
    assert START_S < short < large < long


def test_speed_is_learnt() -> None:
    speed = GpuSpeed()
    before = speed.seconds(500, 100, 320 * 320)
    speed.took(100.0, 500, 100, 320 * 320)
    assert speed.seconds(500, 100, 320 * 320) > 100
    for _ in range(50):
        speed.took(1.0, 500, 100, 320 * 320)
    assert START_S < speed.seconds(500, 100, 320 * 320) < before
    after = speed.seconds(500, 100, 320 * 320)
    speed.took(9.0, 2, 0, 320 * 320)  # too little to be judged by
    assert speed.seconds(500, 100, 320 * 320) == after
    fits = speed.frames_in(60, 0.5, 320 * 320)
    assert speed.seconds(fits, fits // 2, 320 * 320) <= 60 < speed.seconds(fits + 100, (fits + 100) // 2, 320 * 320)


@pytest.mark.usefixtures("keypoints")
def test_the_visitors_token_is_passed_on(host: Callable[..., Host], registered: DittoRegistered) -> None:
    lent = host()
    visitor_tokens.note("visitor:1", "header.payload.signature")
    for owner, token in (("visitor:1", "header.payload.signature"), ("visitor:2", None)):
        current_visitor.set(owner)
        spoken(lent.session(registered), sound(640 * 5))
        assert lent.calls[-1]["token"] == token
    current_visitor.set("")


def test_tokens_are_bounded_and_the_latest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.zero_gpu.VISITORS", 2)
    tokens = VisitorTokens()
    for owner, token in (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", None)):
        tokens.note(owner, token)
    assert [tokens.of(owner) for owner in "abc"] == ["3", None, "4"]


def test_a_recording_too_long_is_refused_before_anything_is_done(host: Callable[..., Host], registered: DittoRegistered) -> None:
    lent = host(call_s=20.0, video_s=40.0)
    with pytest.raises(QuotaExceeded) as refused:
        lent.session(registered, N_d=25 * 600)
    about = refused.value.parameters
    assert about["left_s"] == 40 < about["needed_s"]
    assert 0 < about["fits_s"] < 600
    assert f"up to {about['fits_s']} seconds would fit" in str(refused.value)
    assert lent.calls == []
    lent.session(registered, N_d=25 * about["fits_s"])


@pytest.mark.usefixtures("keypoints")
def test_a_used_up_quota_is_told_with_what_would_fit(host: Callable[..., Host], registered: DittoRegistered) -> None:
    lent = host(FAKE_SPACES_LEFT="9")
    visitor_tokens.note("visitor:1", "header.payload.signature")
    current_visitor.set("visitor:1")
    with pytest.raises(QuotaExceeded) as refused:
        spoken(lent.session(registered), sound(640 * 25 * 30))
    current_visitor.set("")
    about = refused.value.parameters
    assert (refused.value.code, about["left_s"], about["wait"]) == ("gpu_quota", 9, "3:25:00")
    assert 0 < about["fits_s"] < 30
    fitting = spoken(lent.session(registered), sound(640 * 25 * about["fits_s"]))
    assert len(fitting) == 25 * about["fits_s"]


def test_who_is_unknown_is_told_without_numbers(host: Callable[..., Host], registered: DittoRegistered) -> None:
    with pytest.raises(QuotaExceeded) as refused:
        spoken(host(FAKE_SPACES_LEFT="0").session(registered), sound(640 * 25))
    assert refused.value.code == "gpu_quota_used"


def test_a_call_that_may_not_be_so_long_is_cut(host: Callable[..., Host], registered: DittoRegistered, whole: list[Frame]) -> None:
    lent = host(FAKE_SPACES_LONGEST="8")
    assert same(spoken(lent.session(registered), sound(640 * FRAMES)), whole)
    assert len(lent.calls) == 3  # one refused, its halves done
    with pytest.raises(DurationRefused):
        spoken(host(FAKE_SPACES_LONGEST="1").session(registered), sound(640 * FRAMES))


def test_what_breaks_there_is_told_here(host: Callable[..., Host], registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = host()

    def broken(*arguments: Any) -> Any:
        raise OptionError("The motion is wrong.", "Do it well.", code="wrong")

    assert adapter._device is not None
    monkeypatch.setattr(adapter._device, "_source", broken)
    with pytest.raises(OptionError, match="The motion is wrong") as told:
        spoken(lent.session(registered), sound(640 * 5))
    assert (told.value.hint, told.value.code) == ("Do it well.", "wrong")


def test_a_call_that_is_ended_by_force(host: Callable[..., Host], registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = host(FAKE_SPACES_STRICT="1")
    monkeypatch.setattr(lent.engine, "call", adapter._as_visitor(sys.modules["spaces"].GPU(duration=lambda piece: 0.2)(adapter.animate)))
    monkeypatch.setattr(LentDevice, "_source", lambda self, piece: time.sleep(60))
    with pytest.raises(EngineUnavailable, match="broke off"):
        spoken(lent.session(registered), sound(640 * 5))


@pytest.mark.usefixtures("keypoints")
def test_only_the_calls_draw(
    host: Callable[..., Host], near: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here nothing runs the networks of the calls; what they did shows in this process only as frames."""
    lent = host()
    device = adapter._device
    assert device is not None
    drawn: list[int] = []
    animate = device.animate
    monkeypatch.setattr(device, "animate", lambda piece: (drawn.append(os.getpid()), animate(piece))[1])
    assert len(spoken(lent.session(registered), sound(640 * 5))) == 5
    assert drawn == []
    assert {call["pid"] for call in lent.calls} == {os.getpid()}


@pytest.mark.usefixtures("keypoints")
def test_a_photo_known_to_the_process_of_a_call_is_not_made_ready_again(host: Callable[..., Host], registered: DittoRegistered) -> None:
    """The kept avatar works across the border: as arrays, by whichever process a call comes to."""
    lent = host()
    saved = lent.engine.save(registered)
    again = lent.engine.restore(pickled(saved), lambda: pytest.fail("the photo was looked at again"))
    assert same(spoken(lent.session(again), sound(640 * 8)), spoken(lent.session(registered), sound(640 * 8)))


@pytest.mark.usefixtures("keypoints")
def test_motion_and_keypoints_pickle_at_any_point(near: DittoEngine, registered: DittoRegistered) -> None:
    made = session(near, registered)
    list(made.push(sound(640 * 100)))
    for state in (made._motion.detached(), made._stitch.detached()):
        copy = pickled(state)
        assert type(copy) is type(state)
    end = PieceEnd(made._motion.detached(), made._stitch.detached(), None, 1.0)
    row = np.zeros(265, np.float32)
    with pytest.raises(RuntimeError, match="no network"):
        pickled(end).stitch.step(row)


def test_videos_of_a_face_are_refused_kindly(host: Callable[..., Host]) -> None:
    assert "video" not in host().engine.capabilities
