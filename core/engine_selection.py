"""Chooses the engine for a request, checks the request against it, and loads it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from core.engines.base import Engine
from core.engines.profiles import PROFILES
from core.errors import BusyError, EngineUnavailable, OptionError
from core.optimization.cold_start_optimization import Engines
from core.optimization.gpu_optimization import gpu_obstacle
from core.options import PRESETS
from core.provenance.marking import open_marker
from core.request import DEFAULT
from core.run_request import LoadedEngine, RunRequest
from core.settings import Settings

T = TypeVar("T")
ENGINE_NAMES = ("auto", "lite", "ditto")


class EngineSelector:
    """Chooses among the engines offered here. device, serving: as in `core.studio.Studio`. Thread-safe."""

    def __init__(self, settings: Settings, engines: Engines, device: str | None, serving: bool) -> None:
        self._settings, self._engines = settings, engines
        self._device, self._serving = device, serving
        self._marker = open_marker(settings)

    def choose(self, requested: str) -> tuple[str, str]:
        """The engine that would serve `requested` now, and why. Raises OptionError or EngineUnavailable."""
        if requested not in ENGINE_NAMES:
            raise OptionError(f"There is no engine {requested!r}.", f"Choose one of: {', '.join(ENGINE_NAMES)}.")
        if requested == "ditto":
            self._check_ditto()
        if requested != "auto":
            return requested, "it was asked for"
        if "ditto" not in self._engines.names:
            return "lite", "auto: it is the only engine offered here and needs no download"
        if not self._settings.max_jobs:
            return "ditto", "auto: videos are made on other machines, which offer it"
        if self.obstacle is not None:
            return "lite", f"auto: {self.obstacle}"
        state = self._engines.state("ditto")
        if not self._serving or state.stage == "ready":
            return "ditto", "auto: a GPU was found"
        return "lite", f"auto: ditto is {state}"

    def _choose_for(self, run_request: RunRequest) -> tuple[str, str]:
        """As `choose`; only the lite engine takes a face that was marked by hand, so auto takes that."""
        if run_request.engine == "auto" and run_request.framing.landmarks is not None:
            return "lite", "auto: the face was marked by hand"
        return self.choose(run_request.engine)

    def _check_ditto(self) -> None:
        """Raises EngineUnavailable where it is not offered, or where a visitor would start a large download that the deployment forbids."""
        hint = "Use the lite engine, or auto."
        if "ditto" not in self._engines.names:
            text = "The ditto engine is not offered here."
            raise EngineUnavailable(text, hint, code="engine_not_offered", parameters={"engine": "ditto"})
        fetches = self._settings.fetch_ditto or not self._settings.max_jobs  # what others make they also fetch
        if self._serving and not fetches and self._engines.state("ditto").stage in ("absent", "failed"):
            if missing := self._engines.missing_bytes("ditto"):
                text = f"The ditto engine's files ({missing / 2**20:.0f} MiB) were not fetched here."
                raise EngineUnavailable(text, hint, code="engine_not_fetched", parameters={"engine": "ditto"})

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

    def check_supported(self, run_request: RunRequest) -> None:
        """Raises InputError, EngineUnavailable or BusyError for what is known to fail; loads nothing."""
        name, reason = self._choose_for(run_request)
        try:
            _check_for(name, run_request)
        except OptionError as error:
            if run_request.engine == "auto" and self._ditto_is_coming():
                _check_for("ditto", run_request)  # what it would refuse as well will not be better in a minute
                needed = f"This needs the ditto engine ({reason.removeprefix('auto: ')})."
                raise BusyError(needed, "Try again in a minute.", code="ditto_is_coming") from error
            raise

    def _ditto_is_coming(self) -> bool:
        """True where auto will take Ditto as soon as it is loaded."""
        return "ditto" in self._engines.names and self.obstacle is None and self._engines.state("ditto").under_way

    def loaded_engine(self, run_request: RunRequest) -> LoadedEngine | None:
        """The engine that would serve the request now; None while it is not loaded."""
        name, reason = self._choose_for(run_request)
        engine = self._engines.loaded(name)
        return None if engine is None else self._loaded(engine, reason, run_request)

    def load_engine(self, run_request: RunRequest, check: Callable[[], None] = lambda: None) -> LoadedEngine:
        """Waits for the engine; where auto chose one that turns out not to run here, for the lite one. check: as in `Engines.get`.

        Raises EngineUnavailable, and InputError for what the engine refuses as it is configured.
        """
        started_s = time.perf_counter()
        name, reason = self._choose_for(run_request)
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
        loaded = dataclasses.replace(self._loaded(engine, reason, run_request), load_ms=load_ms)
        request = loaded.request
        engine.verify(request.source, request.framing, request.controls, request.options)
        return loaded

    def _loaded(self, engine: Engine, reason: str, run_request: RunRequest) -> LoadedEngine:
        reason = f"{reason}; {engine.limitation}" if engine.limitation else reason
        return LoadedEngine(engine, reason, completed(run_request, engine.capabilities), marker=self._marker)


def _check_for(name: str, run_request: RunRequest) -> None:
    """Raises InputError for what the engine of that name refuses whatever its configuration; it need not be loaded, nor torch be there."""
    profile = PROFILES[name]
    request = completed(run_request, profile.capabilities)
    profile.check(request.source, request.framing, request.controls, request.options)


def completed(run_request: RunRequest, capabilities: frozenset[str]) -> RunRequest:
    """With what the request leaves open: an engine that plans by the length of a recording is told it; where there is none, an engine
    that could wait for seconds of speech does not (with the overlap for recordings a window of 70 frames would, online or not).
    """
    options = run_request.options
    if run_request.n_frames is not None:
        planned = "N_d" in capabilities and options.N_d is DEFAULT
        return dataclasses.replace(run_request, options=dataclasses.replace(options, N_d=run_request.n_frames)) if planned else run_request
    if "online_mode" not in capabilities or options.online_mode is not DEFAULT:
        return run_request
    return dataclasses.replace(run_request, controls=_realtime(run_request.controls), options=_realtime(options))


def _realtime(values: T) -> T:
    """Those of `values` that the preset "realtime" sets and that are left open, as it sets them."""
    preset = {name: value for name, value in PRESETS["realtime"].items() if getattr(values, name, None) is DEFAULT}
    return dataclasses.replace(values, **preset)  # type: ignore[type-var]  # all have the fields of dataclasses
