"""Chooses the engine of a request, loads it, and registers the person with it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from core.avatars import Avatars
from core.engines.base import Engine
from core.engines.capabilities import CAPABILITIES
from core.engines.request_checks import verify_request
from core.errors import BusyError, EngineUnavailable, OptionError
from core.generation_run import PreparedRun
from core.optimization.cold_start_optimization import Engines
from core.optimization.gpu_optimization import gpu_obstacle
from core.options import PRESETS
from core.scheduler import Job
from core.settings import Settings
from core.types import DEFAULT, Avatar, Controls, Framing, Progress, RenderOptions, Source, is_video
from core.zero_gpu import current_visitor

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

    def options_for(self, capabilities: frozenset[str]) -> RenderOptions:
        """With what the request leaves open: an engine that plans by the length of a recording is told it; where there is none, an engine
        that could wait for seconds of speech does not (with the overlap for recordings a window of 70 frames would, online or not).
        """
        options = self.options
        if self.n_frames is None:
            hasty = "online_mode" in capabilities and options.online_mode is DEFAULT
            swift = {name: value for name, value in PRESETS["realtime"].items() if getattr(options, name) is DEFAULT} if hasty else {}
            return dataclasses.replace(options, **swift)
        planned = "N_d" in capabilities and options.N_d is DEFAULT
        return dataclasses.replace(options, N_d=self.n_frames) if planned else options


class EngineSelector:
    """device, serving: as in `core.studio.Studio`. Thread-safe."""

    def __init__(self, settings: Settings, engines: Engines, avatars: Avatars, device: str | None, serving: bool) -> None:
        self._settings, self._engines, self._avatars = settings, engines, avatars
        self._device, self._serving = device, serving

    def choose(self, requested: str) -> tuple[str, str]:
        """The engine that would serve `requested` now, and why. Raises OptionError or EngineUnavailable."""
        if requested not in ENGINE_NAMES:
            raise OptionError(f"There is no engine {requested!r}.", f"Choose one of: {', '.join(ENGINE_NAMES)}.")
        if requested in self._engines.names:
            self._check_fetched(requested)
            return requested, "it was asked for"
        if requested == "ditto":
            raise EngineUnavailable("The ditto engine is not offered here.", "Use the lite engine, or auto.")
        if "ditto" not in self._engines.names:
            return "lite", "auto: it is the only engine offered here and needs no download"
        if self.obstacle is not None:
            return "lite", f"auto: {self.obstacle}"
        state = self._engines.state("ditto")
        if not self._serving or state.stage == "ready":
            return "ditto", "auto: a GPU was found"
        return "lite", f"auto: ditto is {state}"

    def _check_fetched(self, name: str) -> None:
        """A visitor's wish starts no large download where the deployment does not want one."""
        if self._serving and not self._settings.fetch_ditto and self._engines.state(name).stage in ("absent", "failed"):
            if missing := self._engines.missing_bytes(name):
                raise EngineUnavailable(
                    f"The {name} engine's files ({missing / 2**20:.0f} MiB) were not fetched here.", "Use the lite engine, or auto."
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

    def verified(self, run_request: RunRequest) -> RunRequest:
        """The request, with the avatar as it is now. Raises what is known to fail."""
        if isinstance(run_request.source, Avatar):
            avatar = self._avatars.store.get(run_request.source.token, run_request.owner)
            if self._settings.require_consent and not avatar.consent:  # it was registered before that was asked for
                raise OptionError("The consent of the person shown was not declared.", "Register the photo again and declare it.")
            run_request = dataclasses.replace(run_request, source=avatar, framing=avatar.framing)
        name, reason = self.choose(run_request.engine)
        try:
            _verify_for(name, run_request)
        except OptionError as error:
            if run_request.engine == "auto" and self._ditto_is_coming():
                _verify_for("ditto", run_request)  # what it would refuse as well will not be better in a minute
                raise BusyError(f"This needs the ditto engine ({reason.removeprefix('auto: ')}).", "Try again in a minute.") from error
            raise
        return run_request

    def _ditto_is_coming(self) -> bool:
        """True where auto will take Ditto as soon as it is loaded."""
        return "ditto" in self._engines.names and self.obstacle is None and self._engines.state("ditto").under_way

    def chosen(self, run_request: RunRequest, check: Callable[[], None]) -> tuple[Engine, str]:
        """The engine, loaded, and why; where auto chose one that turns out not to run here, the lite one."""
        name, reason = self.choose(run_request.engine)
        try:
            return self._engines.get(name, check), reason
        except EngineUnavailable as error:
            if run_request.engine != "auto" or name == "lite":
                raise
            try:
                verify_request("lite", run_request.source, run_request.framing, run_request.controls, run_request.options)
            except OptionError:
                raise error from None  # only Ditto can do what was asked: why it cannot run here is the answer
            return self._engines.get("lite", check), f"auto: ditto cannot run here ({error.message.rstrip('.')})"

    def prepare(self, job: Job[Any] | None, run_request: RunRequest) -> PreparedRun:
        """Loads the engine and registers the person, where that is not done yet."""
        asked = time.perf_counter()
        current_visitor.set(run_request.owner)  # on this thread the session is made next
        engine, reason = self.chosen(run_request, _checking(job))
        engine.verify(run_request.source, run_request.framing, run_request.controls, run_request.options_for(engine.capabilities))
        loaded = time.perf_counter()
        if job is not None:
            job.report(Progress("registering"))
        registration = self._avatars.registration(job, engine, run_request.source, run_request.framing, run_request.owner)
        done = time.perf_counter()
        return PreparedRun(
            engine,
            reason,
            registration,
            is_video(run_request.source),
            # An avatar's source has the warnings of its first engine.
            tuple(dict.fromkeys((*run_request.source.warnings, *registration.warnings))),
            run_request.source.token if isinstance(run_request.source, Avatar) else None,
            load_ms=round((loaded - asked) * 1000, 1),
            register_ms=round((done - loaded) * 1000, 1),
        )


def _verify_for(engine: str, run_request: RunRequest) -> None:
    """Raises OptionError for what the engine of that name would refuse."""
    verify_request(engine, run_request.source, run_request.framing, run_request.controls, run_request.options_for(CAPABILITIES[engine]))


def _checking(job: Job[Any] | None) -> Callable[[], None]:
    return job.check if job is not None else lambda: None
