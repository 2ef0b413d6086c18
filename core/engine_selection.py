"""Chooses the engine for a request, checks the request against it, and loads it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from core.engines import ditto_options
from core.engines.base import Engine, check_request
from core.engines.capabilities import CAPABILITIES
from core.errors import BusyError, EngineUnavailable, OptionError
from core.optimization.cold_start_optimization import Engines
from core.optimization.gpu_optimization import gpu_obstacle
from core.options import PRESETS
from core.settings import Settings
from core.types import DEFAULT, Avatar, Controls, Framing, RenderOptions, Source

T = TypeVar("T")
ENGINE_NAMES = ("auto", "lite", "ditto")


@dataclasses.dataclass(frozen=True, eq=False)
class RunRequest:
    """Whom to show, by which engine, and how: a request without its recording. n_frames: of the video, where that is known."""

    source: Source | Avatar
    owner: str
    engine: str = "auto"
    framing: Framing = Framing()
    controls: Controls = Controls()
    options: RenderOptions = RenderOptions()
    n_frames: int | None = None

    def completed(self, capabilities: frozenset[str]) -> RunRequest:
        """With what the request leaves open: an engine that plans by the length of a recording is told it; where there is none, an engine
        that could wait for seconds of speech does not (with the overlap for recordings a window of 70 frames would, online or not).
        """
        if self.n_frames is not None:
            planned = "N_d" in capabilities and self.options.N_d is DEFAULT
            return dataclasses.replace(self, options=dataclasses.replace(self.options, N_d=self.n_frames)) if planned else self
        if "online_mode" not in capabilities or self.options.online_mode is not DEFAULT:
            return self
        return dataclasses.replace(self, controls=_realtime(self.controls), options=_realtime(self.options))


def _realtime(values: T) -> T:
    """Those of `values` that the preset "realtime" sets and that are left open, as it sets them."""
    preset = {name: value for name, value in PRESETS["realtime"].items() if getattr(values, name, None) is DEFAULT}
    return dataclasses.replace(values, **preset)  # type: ignore[type-var]  # all have the fields of dataclasses


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedEngine:
    """The engine that serves a request, why this one, the request completed for it, and how long the request waited for it."""

    engine: Engine
    reason: str
    request: RunRequest
    load_ms: float = 0.0


class EngineSelector:
    """Chooses among the engines offered here. device, serving: as in `core.studio.Studio`. Thread-safe."""

    def __init__(self, settings: Settings, engines: Engines, device: str | None, serving: bool) -> None:
        self._settings, self._engines = settings, engines
        self._device, self._serving = device, serving

    def choose(self, requested: str) -> tuple[str, str]:
        """The engine that would serve `requested` now, and why. Raises OptionError or EngineUnavailable."""
        if requested not in ENGINE_NAMES:
            raise OptionError(f"There is no engine {requested!r}.", f"Choose one of: {', '.join(ENGINE_NAMES)}.")
        if requested in self._engines.names:
            self._check_fetched(requested)
            return requested, "it was asked for"
        if requested == "ditto":
            raise EngineUnavailable(
                "The ditto engine is not offered here.",
                "Use the lite engine, or auto.",
                code="engine_not_offered",
                parameters={"engine": requested},
            )
        if "ditto" not in self._engines.names:
            return "lite", "auto: it is the only engine offered here and needs no download"
        if self.obstacle is not None:
            return "lite", f"auto: {self.obstacle}"
        state = self._engines.state("ditto")
        if not self._serving or state.stage == "ready":
            return "ditto", "auto: a GPU was found"
        return "lite", f"auto: ditto is {state}"

    def _check_fetched(self, name: str) -> None:
        """Raises EngineUnavailable where a visitor's request would start a large download that the deployment forbids."""
        if self._serving and not self._settings.fetch_ditto and self._engines.state(name).stage in ("absent", "failed"):
            if missing := self._engines.missing_bytes(name):
                raise EngineUnavailable(
                    f"The {name} engine's files ({missing / 2**20:.0f} MiB) were not fetched here.",
                    "Use the lite engine, or auto.",
                    code="engine_not_fetched",
                    parameters={"engine": name},
                )

    @cached_property
    def obstacle(self) -> str | None:
        """Why auto does not take Ditto here."""
        return gpu_obstacle(self._device)

    def load_ahead(self) -> None:
        """Begins to load what the next requests are likely to need; returns at once. The loader's state tells how far it is.

        Ditto, where auto takes it, is fetched by itself only if the settings allow that.
        """
        self._engines.start("lite")
        if "ditto" in self._engines.names and self.obstacle is None:
            if self._settings.fetch_ditto or not self._engines.missing_bytes("ditto"):
                self._engines.start("ditto")

    def check(self, run_request: RunRequest) -> None:
        """Raises InputError, EngineUnavailable or BusyError for what is known to fail; loads nothing."""
        name, reason = self.choose(run_request.engine)
        try:
            _check_for(name, run_request)
        except OptionError as error:
            if run_request.engine == "auto" and self._ditto_is_coming():
                _check_for("ditto", run_request)  # what it would refuse as well will not be better in a minute
                raise BusyError(f"This needs the ditto engine ({reason.removeprefix('auto: ')}).", "Try again in a minute.") from error
            raise

    def _ditto_is_coming(self) -> bool:
        """True where auto will take Ditto as soon as it is loaded."""
        return "ditto" in self._engines.names and self.obstacle is None and self._engines.state("ditto").under_way

    def ready(self, run_request: RunRequest) -> LoadedEngine | None:
        """The engine that would serve the request now; None while it is not loaded."""
        name, reason = self.choose(run_request.engine)
        engine = self._engines.loaded(name)
        return None if engine is None else _loaded(engine, reason, run_request)

    def load(self, run_request: RunRequest, check: Callable[[], None] = lambda: None) -> LoadedEngine:
        """Waits for the engine; where auto chose one that turns out not to run here, for the lite one. check: as in `Engines.get`.

        Raises EngineUnavailable, and InputError for what the engine refuses as it is configured.
        """
        started_s = time.perf_counter()
        name, reason = self.choose(run_request.engine)
        try:
            engine = self._engines.get(name, check)
        except EngineUnavailable as error:
            if run_request.engine != "auto" or name == "lite":
                raise
            try:
                _check_for("lite", run_request)
            except OptionError:
                raise error from None  # only Ditto can do what was asked: why it cannot run here is the answer
            engine, reason = self._engines.get("lite", check), f"auto: ditto cannot run here ({error.message.rstrip('.')})"
        load_ms = round((time.perf_counter() - started_s) * 1000, 1)
        loaded = dataclasses.replace(_loaded(engine, reason, run_request), load_ms=load_ms)
        completed = loaded.request
        engine.verify(completed.source, completed.framing, completed.controls, completed.options)
        return loaded


def _loaded(engine: Engine, reason: str, run_request: RunRequest) -> LoadedEngine:
    reason = f"{reason}; {engine.limitation}" if engine.limitation else reason
    return LoadedEngine(engine, reason, run_request.completed(engine.capabilities))


def _check_for(name: str, run_request: RunRequest) -> None:
    """Raises InputError for what the engine of that name refuses whatever its configuration; it need not be loaded, nor torch be there."""
    capabilities = CAPABILITIES[name]
    run_request = run_request.completed(capabilities)
    check_request(name, capabilities, run_request.source, run_request.framing, run_request.controls, run_request.options)
    if name == "ditto":
        ditto_options.source_options(run_request.framing)
        ditto_options.session_options(run_request.controls, run_request.options)
