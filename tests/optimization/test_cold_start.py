"""Engines get ready behind the scenes: progress is seen, lite answers meanwhile, and what fails says why."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import core.engine_selection
from core.engines.lite import LiteEngine
from core.errors import BusyError, Cancelled, EngineUnavailable, OptionError
from core.optimization.cold_start_optimization import Engines, EngineSource, LoadState
from core.request import Controls, Framing, RenderOptions, Request
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo
from manager.errors import DownloadError


class Ditto(LiteEngine):
    """Stands in for Ditto where only its coming matters."""

    name = "ditto"
    capabilities = LiteEngine.capabilities | {"emo"}


class Slow:
    """A source whose fetching goes on when it is told to."""

    def __init__(self, missing: int = 100) -> None:
        self.missing, self.made, self.warmed = missing, 0, 0
        self.go_on = threading.Event()
        self.fails: Exception | None = None
        self.source = EngineSource(self.make, self.fetch, lambda: self.missing)

    def fetch(self, on_bytes: Callable[[int, int], None], cancel: threading.Event) -> None:
        on_bytes(35, 100)
        while not self.go_on.wait(0.01):
            if cancel.is_set():
                raise Cancelled("stopped")
        if self.fails is not None:
            raise self.fails
        self.missing = 0

    def make(self) -> Ditto:
        self.made += 1
        engine = Ditto()
        engine.warmup = self.warm  # type: ignore[method-assign]
        return engine

    def warm(self) -> None:
        self.warmed += 1


def reach(engines: Engines, name: str, stage: str) -> LoadState:
    deadline = time.monotonic() + 10
    while engines.state(name).stage != stage:
        assert time.monotonic() < deadline, engines.state(name)
        time.sleep(0.005)
    return engines.state(name)


def test_an_engine_is_fetched_loaded_and_warmed_once_for_all_who_wait() -> None:
    slow = Slow()
    engines = Engines({"ditto": slow.source})
    assert (engines.state("ditto"), engines.missing_bytes("ditto"), engines.loaded("ditto")) == (LoadState(), 100, None)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(engines.get("ditto"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    state = reach(engines, "ditto", "fetching")
    while not state.done:
        state = engines.state("ditto")
    assert (state.done, state.total, state.progress, str(state)) == (35, 100, 0.35, "being fetched (35%)")
    slow.go_on.set()
    for thread in threads:
        thread.join(10)
    assert (len(got), len(set(map(id, got))), slow.made, slow.warmed) == (3, 1, 1, 1)
    assert engines.loaded("ditto") is got[0]
    assert (engines.ready, engines.state("ditto").progress) == (["ditto"], 1.0)


def test_who_waits_can_be_called_off_and_the_fetching_goes_on() -> None:
    slow = Slow()
    engines = Engines({"ditto": slow.source})

    def called_off() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        engines.get("ditto", called_off)
    slow.go_on.set()
    reach(engines, "ditto", "ready")


def test_fetching_can_be_stopped_and_begun_again() -> None:
    slow = Slow()
    engines = Engines({"ditto": slow.source})
    engines.start("ditto")
    reach(engines, "ditto", "fetching")
    engines.cancel("ditto")
    reach(engines, "ditto", "absent")
    slow.go_on.set()
    assert engines.get("ditto").name == "ditto"
    engines.close()


def test_a_failure_is_told_and_the_next_who_asks_tries_again() -> None:
    slow = Slow()
    slow.fails = DownloadError("The server is gone.", "Try later.")
    slow.go_on.set()
    engines = Engines({"ditto": slow.source})
    with pytest.raises(DownloadError, match="gone"):
        engines.get("ditto")
    assert engines.state("ditto") == LoadState("failed", error="The server is gone.", hint="Try later.")
    slow.fails = None
    assert engines.get("ditto").name == "ditto"


def test_closing_stops_what_is_being_fetched() -> None:
    slow = Slow()
    engines = Engines({"ditto": slow.source})
    engines.start("ditto")
    reach(engines, "ditto", "fetching")
    engines.close()
    assert engines.state("ditto").stage == "absent"


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: None)


def test_lite_answers_until_ditto_is_ready_and_says_so(
    settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, with_gpu: None
) -> None:
    slow = Slow()
    studio = open_studio(settings, slow.source, serving=True)
    assert studio.choose_engine("auto") == ("lite", "auto: ditto is not loaded")
    studio.load_ahead()
    reach(studio.engines, "ditto", "fetching")
    assert studio.health()["loading"]["ditto"]["stage"] == "fetching"
    short = dataclasses.replace(speech, samples=speech.samples[:4_000])
    request = Request(short, portrait, options=RenderOptions(size=64))
    info = studio.generate(request, tmp_path / "v.mp4").info
    assert (info.engine, info.engine_reason) == ("lite", "auto: ditto is being fetched (35%)")
    needs_ditto = dataclasses.replace(request, controls=Controls(emo=3))
    with pytest.raises(BusyError, match=r"ditto.*being fetched.*Try again"):
        studio.submit(needs_ditto, tmp_path / "v.mp4")
    with pytest.raises(OptionError, match="face -1"):  # what Ditto would refuse too is said now
        studio.submit(dataclasses.replace(request, framing=Framing(face_index=-1)), tmp_path / "v.mp4")
    slow.go_on.set()
    reach(studio.engines, "ditto", "ready")
    info = studio.generate(request, tmp_path / "v.mp4").info
    assert (info.engine, info.engine_reason, info.cache_hit) == ("ditto", "auto: a GPU was found", False)
    assert studio.health()["loaded"] == ["ditto", "lite"]
    assert studio.health()["device"] == "cuda"
    studio.close()


def test_nothing_is_fetched_unasked_where_the_settings_forbid_it(
    settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, with_gpu: None
) -> None:
    slow = Slow()
    studio = open_studio(settings.model_copy(update={"fetch_ditto": False}), slow.source, serving=True)
    studio.load_ahead()
    assert studio.engines.state("ditto").stage == "absent"
    assert studio.choose_engine("auto")[0] == "lite"
    with pytest.raises(EngineUnavailable, match="not fetched here"):
        studio.submit(Request(speech, portrait, engine="ditto"), tmp_path / "v.mp4")
    slow.go_on.set()
    studio.engines.start("ditto")  # whoever runs the deployment asks for it
    reach(studio.engines, "ditto", "ready")
    assert studio.choose_engine("ditto")[0] == "ditto"
    studio.close()


def test_a_failed_ditto_leaves_lite_and_says_why(settings: Settings, with_gpu: None) -> None:
    slow = Slow()
    slow.fails = DownloadError("The network is down.", "Try later.")
    slow.go_on.set()
    studio = open_studio(settings, slow.source, serving=True)
    studio.load_ahead()
    reach(studio.engines, "ditto", "failed")
    assert studio.choose_engine("auto") == ("lite", "auto: ditto is not available (The network is down)")
    studio.close()


def test_a_command_line_waits_for_ditto(settings: Settings, with_gpu: None) -> None:
    slow = Slow()
    studio = open_studio(settings, slow.source)
    assert studio.choose_engine("auto") == ("ditto", "auto: a GPU was found")
    studio.close()


def test_a_server_that_takes_jobs_for_others_offers_what_they_have(settings: Settings) -> None:
    slow = Slow()
    studio = open_studio(settings.model_copy(update={"max_jobs": 0, "fetch_ditto": False}), slow.source, serving=True)
    assert studio.choose_engine("auto")[0] == "ditto"
    assert studio.choose_engine("ditto")[0] == "ditto"
    studio.close()


def test_an_engine_that_cannot_be_made_is_a_defect_that_is_told(settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    def broken() -> LiteEngine:
        raise ValueError("a defect")

    studio = Studio(settings, {"lite": broken})
    with pytest.raises(ValueError, match="a defect"):
        studio.generate(Request(speech, portrait), tmp_path / "v.mp4")
    assert studio.engines.state("lite").error == "ValueError while it was loaded"
    with pytest.raises(OptionError):
        studio.choose_engine("fast")
    studio.close()
