"""The one place where a request becomes a video: choose the engine → register the photo → animate → encode.

Every entry point (command line, pages, servers) calls this and nothing below it.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from core.engines.base import Engine, Registration
from core.engines.capabilities import CAPABILITIES
from core.engines.terms import verify_request
from core.errors import EngineUnavailable, OptionError
from core.media.video import VideoWriter, check_writable
from core.optimization.gpu_optimization import gpu_obstacle
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.types import (
    DEFAULT,
    FPS,
    SAMPLES_PER_FRAME,
    Framing,
    Generation,
    GenerationInfo,
    Photo,
    Progress,
    ProgressCallback,
    RenderOptions,
    Request,
    Source,
)

ENGINE_NAMES = ("auto", "lite", "ditto")
CHECK_S = 0.2
"""How often who waits for another's registration looks whether its own job was cancelled."""
STEP_FRAMES = 5
"""Frames animated in one turn on the device: short enough to cancel and to interleave, long enough to vectorise."""


class Studio:
    """Engines, registered photos and the scheduler. Thread-safe; one per process.

    engines: name → factory. A factory runs once, when its engine is first needed. device: where Ditto runs ("cuda", "cpu"), None where it
    finds out by itself; auto takes it for a GPU only.
    """

    def __init__(self, settings: Settings, engines: Mapping[str, Callable[[], Engine]], device: str | None = None) -> None:
        self.settings = settings
        self._device = device
        self.scheduler = Scheduler(settings.max_jobs, settings.max_queue)
        self._factories = engines
        self._engines: dict[str, Engine] = {}
        self._loading = {name: threading.Lock() for name in engines}  # one each: lite answers while Ditto's checkpoints arrive
        self._registrations: OrderedDict[tuple[str, str, str, Framing], Registration] = OrderedDict()
        self._registering = threading.Lock()

    def choose_engine(self, requested: str) -> tuple[str, str]:
        """The engine that will serve `requested`, and why. Raises OptionError or EngineUnavailable."""
        if requested not in ENGINE_NAMES:
            raise OptionError(f"There is no engine {requested!r}.", f"Choose one of: {', '.join(ENGINE_NAMES)}.")
        if requested in self._factories:
            return requested, "it was asked for"
        if requested == "ditto":
            raise EngineUnavailable("The ditto engine is not offered here.", "Use the lite engine, or auto.")
        if "ditto" not in self._factories:
            return "lite", "auto: it is the only engine offered here and needs no download"
        obstacle = gpu_obstacle(self._device)
        return ("ditto", "auto: a GPU was found") if obstacle is None else ("lite", f"auto: {obstacle}")

    def engine(self, name: str) -> Engine:
        """The loaded engine; loads it when needed, once. Raises EngineUnavailable where it cannot run here."""
        with self._loading[name]:
            if name not in self._engines:
                engine = self._factories[name]()
                engine.warmup()
                self._engines[name] = engine
            return self._engines[name]

    def submit(self, request: Request, output: Path, on_progress: ProgressCallback | None = None) -> Job[Generation]:
        """Queues one video and returns at once. Raises InputError, EngineUnavailable or BusyError for what is known to fail.

        `output` appears only when it is whole. The job's own errors come from `job.result()`.
        """
        name, reason = self.choose_engine(request.engine)
        options = _with_length(request.options, request.audio.n_frames, CAPABILITIES[name])
        verify_request(name, request.photo, request.framing, request.controls, options)
        check_writable(output)
        return self.scheduler.submit(lambda job: self._generate(job, request, output, name, reason), request.owner, on_progress)

    def generate(self, request: Request, output: Path, on_progress: ProgressCallback | None = None) -> Generation:
        """`submit`, then wait. An interrupt (Ctrl-C) of the waiting thread cancels the job before it is raised again."""
        job = self.submit(request, output, on_progress)
        try:
            return job.result()
        except BaseException:
            job.cancel()
            job.wait(timeout_s=2.0)
            raise

    def health(self) -> dict[str, object]:
        """What a monitor asks: engines that can be chosen and are loaded, and the queue."""
        return {"engines": sorted(self._factories), "loaded": sorted(self._engines), "queue": self.scheduler.stats()}

    def close(self) -> None:
        """Stops the scheduler; running jobs get a moment to finish."""
        self.scheduler.close()

    def _chosen(self, request: Request, name: str, reason: str) -> tuple[Engine, str]:
        """The engine, loaded, and why; where auto chose one that turns out not to run here, the lite one."""
        try:
            return self.engine(name), reason
        except EngineUnavailable as error:
            if request.engine != "auto" or name == "lite":
                raise
            try:
                verify_request("lite", request.photo, request.framing, request.controls, request.options)
            except OptionError:
                raise error from None  # only Ditto can do what was asked: why it cannot run here is the answer
            return self.engine("lite"), f"auto: ditto cannot run here ({error.message.rstrip('.')})"

    def _register(self, job: Job[Generation], engine: Engine, photo: Source, framing: Framing, owner: str) -> Registration:
        """The registration of this owner's photo, made once while it stays among the `max_avatars` used last."""
        key = (owner, engine.name, photo.sha256, framing)
        while not self._registering.acquire(timeout=CHECK_S):  # somebody's video may take minutes
            job.check()
        try:
            if key not in self._registrations:
                self._registrations[key] = self._registered(job, engine, photo, framing)
            self._registrations.move_to_end(key)
            while len(self._registrations) > self.settings.max_avatars:
                self._registrations.popitem(last=False)
            return self._registrations[key]
        finally:
            self._registering.release()

    def _registered(self, job: Job[Generation], engine: Engine, photo: Source, framing: Framing) -> Registration:
        """Registers in turns on the device, one for each frame of a video."""
        with ExitStack() as turn:
            turn.enter_context(self.scheduler.device_turn())

            def on_frame(done: int, total: int) -> None:
                turn.close()
                job.report(Progress("registering", done, total))
                turn.enter_context(self.scheduler.device_turn())

            return engine.register(photo, framing, on_frame)

    def _generate(self, job: Job[Generation], request: Request, output: Path, name: str, reason: str) -> Generation:
        audio = request.audio
        asked = time.perf_counter()
        job.report(Progress("loading"))
        engine, reason = self._chosen(request, name, reason)
        name = engine.name
        options = _with_length(request.options, audio.n_frames, engine.capabilities)
        engine.verify(request.photo, request.framing, request.controls, options)
        loaded = time.perf_counter()
        job.report(Progress("registering"))
        registration = self._register(job, engine, request.photo, request.framing, request.owner)
        registered = time.perf_counter()

        total = audio.n_frames
        done = 0
        first_frame_ms = 0.0
        job.report(Progress("animating", 0, total))
        with self.scheduler.device_turn():
            session = engine.session(registration, request.controls, options)
        what = "a still photo" if isinstance(request.photo, Photo) else "a video of a face"
        about = {"comment": f"Synthetic media: {what} animated by talking-head, engine {name} {engine.revision}"}
        with VideoWriter(output, session.width, session.height, audio, metadata=about) as writer:
            step = STEP_FRAMES * SAMPLES_PER_FRAME
            try:
                for start in range(0, len(audio.samples) + step, step):
                    chunk = audio.samples[start : start + step]
                    waiting = session.push(chunk) if len(chunk) else session.flush()
                    while True:  # a push may yield many frames at once: they are taken a step at a time
                        with self.scheduler.device_turn():
                            frames = list(itertools.islice(waiting, STEP_FRAMES))
                        for frame in frames:
                            if done == 0:
                                first_frame_ms = (time.perf_counter() - registered) * 1000
                            writer.write(frame)
                            done += 1
                        job.report(Progress("animating", done, total))
                        if len(frames) < STEP_FRAMES:
                            break
            finally:
                session.interrupt()  # ends what an engine does on threads of its own
            job.report(Progress("finishing", done, total))
        wall_s = time.perf_counter() - loaded
        info = GenerationInfo(
            engine=name,
            engine_reason=reason,
            frames=done,
            fps=FPS,
            width=session.width,
            height=session.height,
            audio_s=round(audio.duration_s, 3),
            wall_s=round(wall_s, 3),
            rtf=round(wall_s / audio.duration_s, 4),
            first_frame_ms=round(first_frame_ms, 1),
            register_ms=round((registered - loaded) * 1000, 1),
            load_ms=round((loaded - asked) * 1000, 1),
            seed=request.options.seed,
            warnings=(*request.photo.warnings, *audio.warnings, *registration.warnings),
        )
        job.report(Progress("done", done, total))
        return Generation(output, info)


def _with_length(options: RenderOptions, n_frames: int, capabilities: frozenset[str]) -> RenderOptions:
    """The length of a whole recording is known: told to an engine that plans by it, unless the request says otherwise."""
    if "N_d" not in capabilities or options.N_d is not DEFAULT:
        return options
    return dataclasses.replace(options, N_d=n_frames)


def open_studio(settings: Settings, ditto: Callable[[], Engine] | None = None, device: str | None = None) -> Studio:
    """The studio with the lite engine, and with Ditto where the caller says how to make it.

    ditto: fetches what it needs, loads, and raises EngineUnavailable where it cannot run here; called when first needed, on a job's thread.
    device: where it runs, as in `Studio`.
    """

    def lite() -> Engine:
        from core.engines.lite import LiteEngine  # imported when first needed: it brings mediapipe and OpenCV

        return LiteEngine()

    return Studio(settings, {"lite": lite} if ditto is None else {"lite": lite, "ditto": ditto}, device)
