"""What live sessions cost is measured, and one that would not keep real time is refused."""

from __future__ import annotations

import pytest

from core.engines.base import FrameCost
from core.errors import BusyError
from core.request import RenderOptions
from core.streaming import load
from core.streaming.live import LiveSession
from core.streaming.load import LiveLoad
from core.streaming.outputs import LiveEvent, LiveOptions
from core.studio import Studio
from core.types import FPS, Photo
from tests.support.streams import Clock

A_FIFTH = FrameCost(0.2 / FPS, 0.2 / FPS)
"""Five of them need all of the device."""


def test_sessions_are_admitted_while_the_device_can_make_their_frames() -> None:
    live = LiveLoad(cores=8)
    sessions = [live.admit("lite", 320, 320, lambda: A_FIFTH) for _ in range(3)]
    with pytest.raises(BusyError, match=r"320×320 pixels would not keep real time beside the 3 that run. Try again in 15 s") as refused:
        live.admit("lite", 320, 320)
    assert refused.value.parameters == {"size": "320×320", "sessions": 3, "retry_after_s": 15}
    live.admit("lite", 64, 64, lambda: FrameCost(0.0, 0.0))  # a small one has room
    sessions[0].close()
    sessions[0].close()
    live.admit("lite", 320, 320)
    assert (live.stats()["sessions"], live.stats()["refused"], live.stats()["device"]) == (4, 1, 0.6)


def test_cores_are_shared_out_as_well() -> None:
    live = LiveLoad(cores=1)
    for _ in range(3):
        live.admit("ditto", 512, 512, lambda: FrameCost(0.2 / FPS, 0.0))
    with pytest.raises(BusyError, match="beside the 3"):
        live.admit("ditto", 512, 512)


def test_a_size_that_is_too_large_for_the_machine_is_refused_even_alone() -> None:
    live = LiveLoad(cores=8)
    with pytest.raises(BusyError, match="takes 50 ms for a frame here, and there are 40. Choose a smaller size"):
        live.admit("lite", 1080, 1080, lambda: FrameCost(0.05, 0.03))


def test_what_is_measured_replaces_the_guess_and_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveLoad(cores=8)
    session_load = live.admit("lite", 320, 320, lambda: FrameCost(0.0, 0.0))
    for _ in range(500):
        session_load.frame(0.030, 0.030, 0.0)
    assert 0.7 < live.stats()["device"] <= 0.75
    with pytest.raises(BusyError):
        live.admit("lite", 320, 320, lambda: FrameCost(0.0, 0.0))  # what is known counts
    session_load.close()
    monkeypatch.setattr(load, "KNOWN_FOR_S", 0.0)
    live.admit("lite", 320, 320, lambda: FrameCost(0.001, 0.001))
    assert live.stats()["device"] == 0.025


def test_nobody_is_admitted_beside_a_session_that_is_late() -> None:
    live = LiveLoad(cores=8)
    session_load = live.admit("other", 512, 512)  # nothing is known of its cost
    session_load.frame(0.0, 0.0, 0.01)
    live.admit("other", 512, 512).close()
    session_load.frame(0.0, 0.0, 0.3)
    with pytest.raises(BusyError, match="would not keep real time beside the 1"):
        live.admit("other", 512, 512)
    about = live.stats()
    assert (about["late_s"], about["lateness"], about["late_total_s"]) == (0.3, [1, 0, 0, 0, 1, 0], 0.31)
    session_load.close()
    live.admit("other", 512, 512)


def session(studio: Studio, portrait: Photo, clock: Clock) -> LiveSession:
    options = LiveOptions(lead_s=0, stats_every_s=0.4)
    return studio.live(portrait, "local", engine="lite", options=RenderOptions(size=64), live=options, clock=clock)


def test_a_live_session_measures_itself_and_says_when_it_is_late(
    studio: Studio, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "live_load", LiveLoad(cores=64))
    clock = Clock()
    live = session(studio, portrait, clock)
    told = []
    for step_s in (0.04,) * 15 + (1.5,) + (0.04,) * 20:
        clock.now_s += step_s
        while (output := live.next_output()) is not None:
            told += [output.data] if isinstance(output, LiveEvent) and output.kind == "stats" else []
    about = studio.live_load.stats()
    assert about["sessions"] == 1
    assert about["late_s"] < 0.04
    assert about["device"] > 0
    assert about["cores"] > about["device"], "encoding counts too"
    assert sum(about["lateness"]) == live.stats()["frames"]
    assert sum(about["lateness"][-2:]) > 0, "half a second is the most that is caught up"
    assert told[0]["lost_s"] == 0
    assert told[-1]["lost_s"] == pytest.approx(1.0, abs=0.1)
    live.close()
    assert studio.live_load.stats()["sessions"] == 0


def test_a_refused_session_leaves_nothing_behind(studio: Studio, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    full = LiveLoad(cores=64)
    full.admit("another", 8, 8, lambda: FrameCost(0.03, 0.03))
    monkeypatch.setattr(studio, "live_load", full)
    full._costs["lite", 64, 64], full._measured_s["lite", 64, 64] = FrameCost(0.01, 0.01), float("inf")
    with pytest.raises(BusyError, match="64×64"):
        session(studio, portrait, Clock())
    assert full.stats()["sessions"] == 1


def test_how_much_of_the_machine_is_used_is_told() -> None:
    load = LiveLoad(cores=2)
    assert load.part_used() == 0
    load.admit("lite", 512, 512, lambda: FrameCost(0.02, 0.0104))
    assert load.part_used() == pytest.approx(0.4)  # a quarter of the core and 0.26 of the device, of 0.65 each
    load.admit("other", 512, 512, lambda: FrameCost(0.006, 0.0104))
    assert load.part_used() == pytest.approx(0.8)
