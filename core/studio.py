"""The one place where a request becomes a video: choose the engine → register the person → animate → encode.

Every entry point (command line, pages, servers) calls this and nothing below it. All calls name the owner.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from core.avatars import Avatars
from core.engines.base import Engine, Session
from core.engines.capabilities import CAPABILITIES
from core.engines.terms import verify_request
from core.errors import EngineUnavailable, OptionError
from core.media.video import VideoWriter, check_writable
from core.optimization.cache_folder import CacheFolder
from core.optimization.gpu_optimization import gpu_obstacle
from core.performance import Cast, Performance
from core.provenance.signing import open_signer
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.streaming.recording import SegmentStream
from core.types import (
    DEFAULT,
    Audio,
    Avatar,
    Controls,
    Framing,
    Generation,
    Progress,
    ProgressCallback,
    RenderOptions,
    Request,
    Source,
    is_video,
)

T = TypeVar("T")
ENGINE_NAMES = ("auto", "lite", "ditto")


@dataclasses.dataclass(frozen=True, eq=False)
class Role:
    """Whom to show, by which engine, and how: a request without its recording. n_frames: of the video, where that is known."""

    source: Source | Avatar
    owner: str
    engine: str = "auto"
    framing: Framing = Framing()
    controls: Controls = Controls()
    options: RenderOptions = RenderOptions()
    n_frames: int | None = None

    def options_for(self, capabilities: frozenset[str]) -> RenderOptions:
        """With the length of a whole recording, for an engine that plans by it, unless the request says otherwise."""
        if self.n_frames is None or "N_d" not in capabilities or self.options.N_d is not DEFAULT:
            return self.options
        return dataclasses.replace(self.options, N_d=self.n_frames)


class Live(NamedTuple):
    """A session for a caller that has the clock. Every use of the session belongs inside `studio.scheduler.device_turn()`."""

    engine: Engine
    session: Session
    cast: Cast


class Studio:
    """Engines, avatars and the scheduler. Thread-safe; one per process.

    engines: name → factory. A factory runs once, when its engine is first needed. device: where Ditto runs ("cuda", "cpu"), None where it
    finds out by itself; auto takes it for a GPU only. serving: for many people and a long time: finished videos are kept for the same
    request (`Settings.keep_results`).
    """

    def __init__(
        self, settings: Settings, engines: Mapping[str, Callable[[], Engine]], device: str | None = None, serving: bool = False
    ) -> None:
        self.settings = settings
        self._device = device
        self._serving = serving
        self._signer = open_signer(settings)
        self.scheduler = Scheduler(settings.max_jobs, settings.max_queue)
        self._folder = CacheFolder(settings.cache_dir)
        self._avatars = Avatars(settings, self._folder, self.scheduler)
        self._factories = engines
        self._engines: dict[str, Engine] = {}
        self._loading = {name: threading.Lock() for name in engines}  # one each: lite answers while Ditto's checkpoints arrive

    # ---- engines

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

    # ---- videos

    def submit(self, request: Request, output: Path, on_progress: ProgressCallback | None = None) -> Job[Generation]:
        """Queues one video and returns at once. Raises InputError, EngineUnavailable or BusyError for what is known to fail.

        `output` appears only when it is whole. The job's own errors come from `job.result()`.
        """
        role = self._role(request)
        check_writable(output)
        return self.scheduler.submit(lambda job: self._generate(job, role, request.audio, output), request.owner, on_progress)

    def generate(self, request: Request, output: Path, on_progress: ProgressCallback | None = None) -> Generation:
        """`submit`, then wait. An interrupt (Ctrl-C) of the waiting thread cancels the job before it is raised again."""
        return _awaited(self.submit(request, output, on_progress))

    def stream(self, request: Request, on_progress: ProgressCallback | None = None) -> SegmentStream:
        """Queues one video and returns its pieces as they are made (`core.streaming`); close it to stop. Raises as `submit`."""
        role = self._role(request)
        return SegmentStream(
            lambda job: self._perform(job, role, request.audio), lambda work: self.scheduler.submit(work, request.owner, on_progress)
        )

    def live(
        self,
        source: Source | Avatar,
        owner: str,
        engine: str = "auto",
        framing: Framing = Framing(),  # noqa: B008 - frozen
        controls: Controls = Controls(),  # noqa: B008
        options: RenderOptions = RenderOptions(),  # noqa: B008
    ) -> Live:
        """A session on a person, for streams. Loads and registers on the caller's thread where that is not done yet. Raises as `submit`."""
        cast = self._cast(None, self._verified(Role(source, owner, engine, framing, controls, options)))
        with self.scheduler.device_turn():
            return Live(cast.engine, cast.engine.session(cast.registration, controls, options), cast)

    # ---- avatars

    def submit_avatar(
        self,
        source: Source,
        original: bytes | None,
        owner: str,
        *,
        name: str = "",
        framing: Framing = Framing(),  # noqa: B008 - frozen
        engine: str = "auto",
        consent: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Job[Avatar]:
        """Queues the registration of a person; the avatar's token stands for them from then on. The same source of the same owner has the
        same token. original: the bytes of a video (a `Clip` brings its own). Raises as `submit`; the job raises FaceError.
        """
        self._avatars.check_new(name, source, original, consent)
        role = self._verified(Role(source, owner, engine, framing))

        def work(job: Job[Avatar]) -> Avatar:
            job.report(Progress("loading"))
            chosen, _ = self._chosen(role)
            job.report(Progress("registering"))
            avatar = self._avatars.register(job, chosen, source, original, owner, name, framing, consent)
            job.report(Progress("done"))
            return avatar

        return self.scheduler.submit(work, owner, on_progress)

    def preload_avatar(self, source: Source, original: bytes | None, owner: str, **options: Any) -> Avatar:
        """`submit_avatar`, then wait."""
        return _awaited(self.submit_avatar(source, original, owner, **options))

    def avatar(self, token: str, owner: str) -> Avatar:
        """Raises AvatarError, in the same words for a token of another owner and for none at all."""
        return self._avatars.store.get(token, owner)

    def list_avatars(self, owner: str) -> list[Avatar]:
        """The newest first."""
        return self._avatars.store.list(owner)

    def thumbnail(self, token: str, owner: str) -> bytes:
        """JPEG, 256x256 pixels around the face. Raises AvatarError."""
        return self._avatars.thumbnail(token, owner)

    def rename_avatar(self, token: str, owner: str, name: str) -> Avatar:
        """Raises AvatarError, or OptionError for a name that is too long."""
        return self._avatars.store.rename(self.avatar(token, owner), name)

    def delete_avatar(self, token: str, owner: str) -> int:
        """Removes it from memory and disk. Bytes freed. Raises AvatarError."""
        return self._avatars.delete(token, owner).nbytes

    # ---- keeping house

    def clear_cache(self, which: str, owner: str | None) -> int:
        """Removes "avatars", "results" or "all" of one owner, or (None) of everybody. Bytes freed on the disk."""
        if which not in ("avatars", "results", "all"):
            raise OptionError(f"There is no cache {which!r}.", "Choose one of: avatars, results, all.")
        return self._avatars.clear(owner) if which != "results" else 0

    def stats(self) -> dict[str, Any]:
        """Of the caches and the queue, in plain JSON types."""
        return {"avatars": self._avatars.stats(), "queue": self.scheduler.stats()}

    def health(self) -> dict[str, Any]:
        """What a monitor asks: engines that can be chosen and are loaded, and the queue."""
        return {
            "live": True,
            "ready": bool(self._engines),
            "engines": sorted(self._factories),
            "loaded": sorted(self._engines),
            "queue": self.scheduler.stats(),
        }

    def close(self) -> None:
        """Stops the scheduler; running jobs get a moment to finish."""
        self.scheduler.close()
        self._folder.close()

    # ---- within

    def _role(self, request: Request) -> Role:
        """The verified role of a request."""
        request.verify()
        role = Role(request.source, request.owner, request.engine, request.framing, request.controls, request.options)
        return self._verified(dataclasses.replace(role, n_frames=request.audio.n_frames))

    def _verified(self, role: Role) -> Role:
        """The role, with the avatar as it is now. Raises what is known to fail."""
        if isinstance(role.source, Avatar):
            avatar = self.avatar(role.source.token, role.owner)
            role = dataclasses.replace(role, source=avatar, framing=avatar.framing)
        name, _ = self.choose_engine(role.engine)
        verify_request(name, role.source, role.framing, role.controls, role.options_for(CAPABILITIES[name]))
        return role

    def _chosen(self, role: Role) -> tuple[Engine, str]:
        """The engine, loaded, and why; where auto chose one that turns out not to run here, the lite one."""
        name, reason = self.choose_engine(role.engine)
        try:
            return self.engine(name), reason
        except EngineUnavailable as error:
            if role.engine != "auto" or name == "lite":
                raise
            try:
                verify_request("lite", role.source, role.framing, role.controls, role.options)
            except OptionError:
                raise error from None  # only Ditto can do what was asked: why it cannot run here is the answer
            return self.engine("lite"), f"auto: ditto cannot run here ({error.message.rstrip('.')})"

    def _cast(self, job: Job[Any] | None, role: Role) -> Cast:
        """Loads the engine and registers the person, where that is not done yet."""
        asked = time.perf_counter()
        engine, reason = self._chosen(role)
        engine.verify(role.source, role.framing, role.controls, role.options_for(engine.capabilities))
        loaded = time.perf_counter()
        if job is not None:
            job.report(Progress("registering"))
        registration = self._avatars.registration(job, engine, role.source, role.framing, role.owner)
        done = time.perf_counter()
        return Cast(
            engine,
            reason,
            registration,
            is_video(role.source),
            (*role.source.warnings, *registration.warnings),
            role.source.token if isinstance(role.source, Avatar) else None,
            load_ms=round((loaded - asked) * 1000, 1),
            register_ms=round((done - loaded) * 1000, 1),
        )

    def _perform(self, job: Job[Any], role: Role, audio: Audio) -> Performance:
        """Everything up to the first frame: the engine loaded, the person registered, a session opened."""
        asked_s = time.perf_counter()
        job.report(Progress("loading"))
        cast = self._cast(job, role)
        options = role.options_for(cast.engine.capabilities)
        with self.scheduler.device_turn():
            session = cast.engine.session(cast.registration, role.controls, options)
        return Performance(cast, session, options, audio, self.scheduler.device_turn, asked_s)

    def _generate(self, job: Job[Generation], role: Role, audio: Audio, output: Path) -> Generation:
        performance = self._perform(job, role, audio)
        session, about = performance.session, performance.metadata
        seal = None if self._signer is None else partial(self._signer.sign, metadata=about)
        with (
            VideoWriter(output, session.width, session.height, audio, metadata=about, seal=seal) as writer,
            closing(performance.frames(job)) as frames,
        ):
            for frame in frames:
                writer.write(frame)
            job.report(Progress("finishing", performance.n_frames, performance.total))
        self._avatars.memory.trim()  # registrations grow with the sizes they are used at
        job.report(Progress("done", performance.n_frames, performance.total))
        return Generation(output, performance.info())


def _awaited(job: Job[T]) -> T:
    """Its result; an interrupt of the waiting thread cancels it first."""
    try:
        return job.result()
    except BaseException:
        job.cancel()
        job.wait(timeout_s=2.0)
        raise


def open_studio(
    settings: Settings, ditto: Callable[[], Engine] | None = None, device: str | None = None, serving: bool = False
) -> Studio:
    """The studio with the lite engine, and with Ditto where the caller says how to make it.

    ditto: fetches what it needs, loads, and raises EngineUnavailable where it cannot run here; called when first needed, on a job's thread.
    device, serving: as in `Studio`.
    """

    def lite() -> Engine:
        from core.engines.lite import LiteEngine  # imported when first needed: it brings mediapipe and OpenCV

        return LiteEngine()

    return Studio(settings, {"lite": lite} if ditto is None else {"lite": lite, "ditto": ditto}, device, serving)
