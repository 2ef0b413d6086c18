"""The interface of the core: makes videos, streams, live sessions and avatars, and cleans the caches.

Every entry point (command line, pages, servers) calls this and nothing below it. All calls name the owner.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from core.avatars import Avatars
from core.engine_selection import ENGINE_NAMES, EngineSelector
from core.engines.base import Engine, FrameCost
from core.errors import OptionError
from core.generation import Generation, Progress, ProgressCallback
from core.generation_run import session_turn
from core.media.kept_stream import KeptStream
from core.media.segments import StreamPlace
from core.optimization.cache_folder import CacheFolder
from core.optimization.cold_start_optimization import Engines, EngineSource
from core.optimization.shared_folder import SharedFolder
from core.option_checks import check_live_options, check_stream_options
from core.provenance.signing import open_signer
from core.request import Avatar, Controls, Framing, RenderOptions, Request
from core.result_reuse import ResultReuse
from core.run_request import RunRequest
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.speech_option_checks import check_speech_options
from core.streaming.engine_renderer import EngineRenderer
from core.streaming.live import LiveSession
from core.streaming.load import FrameMeter, LiveLoad
from core.streaming.outputs import LiveOptions
from core.streaming.recording import SegmentStream
from core.streaming.spool import SpoolRoom, open_spool_file
from core.types import Frame, Source
from core.video_generation import VideoGenerator

T = TypeVar("T")
__all__ = ["ENGINE_NAMES", "EngineSource", "Studio", "open_studio"]


class Studio:
    """Engines, avatars, caches and the scheduler. Thread-safe; one per process.

    engines: by name, how each gets here. device: where Ditto runs ("cuda", "cpu"), None where it finds out by itself; auto takes it for a
    GPU only. serving: many people, for a long time: nobody waits for Ditto who did not ask for it by name (lite answers until it is ready),
    and finished videos are kept for the same request (`Settings.keep_results`).
    """

    def __init__(
        self,
        settings: Settings,
        engines: Mapping[str, EngineSource | Callable[[], Engine]],
        device: str | None = None,
        serving: bool = False,
    ) -> None:
        self.settings = settings
        self._signer = signer = open_signer(settings)
        self.scheduler = Scheduler(settings.max_jobs, settings.max_queue)
        self.engines = Engines(engines)
        self.live_load = LiveLoad()
        self._folder = CacheFolder(settings.cache_dir)
        self._spool_room = SpoolRoom(settings.stream_bytes, partial(open_spool_file, self._folder))
        self._avatars = Avatars(settings, self._folder, self.scheduler)
        self._selector = EngineSelector(settings, self.engines, device, serving)
        signature = "" if signer is None else signer.fingerprint
        self._results = ResultReuse(settings, self._folder, self._avatars.store, signature, serving and settings.keep_results)
        self._videos = VideoGenerator(self._selector, self._avatars, self._results, self.scheduler, signer)

    # ---- engines

    def choose_engine(self, requested: str) -> tuple[str, str]:
        """The engine that would serve `requested` now, and why. Raises OptionError or EngineUnavailable."""
        return self._selector.choose(requested)

    def engine(self, name: str) -> Engine:
        """The loaded engine; loads it when needed, once. Raises EngineUnavailable where it cannot run here."""
        return self.engines.get(name)

    def load_ahead(self) -> None:
        """Begins to load what the next requests are likely to need; returns at once. `engines.state` tells how far it is."""
        self._selector.load_ahead()

    # ---- videos

    def submit(
        self, request: Request, output: Path, on_progress: ProgressCallback | None = None, preview: Path | None = None
    ) -> Job[Generation]:
        """Queues one video and returns at once; where the very same video is kept, the job is done already.

        preview: where the first two seconds of a longer video are put as soon as they are made; the caller removes them.

        Raises InputError, EngineUnavailable or BusyError for what is known to fail. `output` appears only when it is whole. The job's own
        errors come from `job.result()`.
        """
        return self._videos.enqueue(request, output, on_progress, preview)

    def generate(self, request: Request, output: Path, on_progress: ProgressCallback | None = None) -> Generation:
        """`submit`, then wait. An interrupt (Ctrl-C) of the waiting thread cancels the job before it is raised again."""
        return _awaited(self.submit(request, output, on_progress))

    def stream(self, request: Request, on_progress: ProgressCallback | None = None, keep: Path | None = None) -> SegmentStream:
        """Queues one video and returns its pieces as they are made (`core.streaming`); close it to stop. Raises as `submit`.

        keep: where the whole video is written besides, by the end of its job; its folder exists.
        """
        check_speech_options(request.options, request.audio)
        check_stream_options(request.options)
        kept = None if keep is None else KeptStream(keep, None if self._signer is None else self._signer.sign)
        owner, checked = request.owner, [(self._videos.checked(request), request.audio)]
        del request
        return SegmentStream(
            lambda job: self._videos.start(job, *checked.pop()),  # once: the reader keeps the stream, and would keep what it is made of
            lambda work: self.scheduler.schedule(work, owner, on_progress),
            self._spool_room,
            kept,
        )

    def live(
        self,
        source: Source | Avatar,
        owner: str,
        engine: str = "auto",
        framing: Framing = Framing(),  # noqa: B008 - frozen
        controls: Controls = Controls(),  # noqa: B008
        options: RenderOptions = RenderOptions(),  # noqa: B008
        live: LiveOptions = LiveOptions(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
    ) -> LiveSession:
        """A live session on a person (`core.streaming`). Loads and registers on the caller's thread where that is not done yet, which may
        take long. clock: as in LiveSession. Raises as `submit`, and BusyError where it would not keep real time beside those that run.
        """
        renderer, meter = self.live_renderer(source, owner, engine, framing, controls, options, live)
        return LiveSession(renderer, live, options.visemes, clock, meter)

    def live_renderer(
        self, source: Source | Avatar, owner: str, engine: str, framing: Framing, controls: Controls, options: RenderOptions,
        live: LiveOptions, place: StreamPlace | None = None, metadata: Mapping[str, str] | None = None,
    ) -> tuple[EngineRenderer, FrameMeter]:  # fmt: skip
        """What draws and encodes a live session, and measures what that costs; both are to be closed. place, metadata: as in
        EngineRenderer. Raises as `live`.
        """
        check_live_options(options)
        run_request = self._videos.checked_run(RunRequest(source, owner, engine, framing, controls, options))
        loaded = self._selector.load_engine(run_request)
        prepared, session = self._avatars.open_session(None, loaded)
        options, turn = loaded.request.options, session_turn(session, self.scheduler)

        def guess() -> FrameCost | None:
            with turn():
                return loaded.engine.frame_cost(prepared.registration, options)

        with contextlib.ExitStack() as if_refused:
            if_refused.callback(session.close)
            meter = FrameMeter(self.live_load.admit(loaded.engine.name, session.width, session.height, guess))
            if_refused.callback(meter.close)
            renderer = EngineRenderer(prepared, session, options, turn, live, meter, place, metadata)
            if_refused.pop_all()
        return renderer, meter

    def check(self, request: Request) -> None:
        """Raises what `submit` would."""
        self._videos.checked(request)

    def find_result(self, request: Request, output: Path) -> Generation | None:
        """The very same video, put at `output`, where it is kept; None where it would have to be made. Raises as `submit`."""
        return self._videos.find(request, output)[1]

    def still(
        self, source: Source | Avatar, owner: str, framing: Framing, controls: Controls, options: RenderOptions, shown: str
    ) -> Frame:
        """One picture of the lite engine in which the control named `shown` is seen, as a video with these options would have it.

        Registers on the caller's thread where that is not done yet. Raises as `submit`.
        """
        run_request = self._videos.checked_run(RunRequest(source, owner, "lite", framing, controls, options))
        loaded = self._selector.load_engine(run_request)
        registration = self._avatars.registration(None, loaded.engine, run_request.source, run_request.framing, owner)
        with self.scheduler.device_turn():
            drawn = loaded.engine.still(registration, controls, options, shown)
        if drawn is None:
            raise OptionError(f"The {loaded.engine.name} engine draws no single pictures.", "Make a video.")
        return drawn

    def prepare(
        self, source: Source | Avatar, owner: str, engine: str, framing: Framing, controls: Controls, options: RenderOptions
    ) -> None:
        """Does on the caller's thread what a video with these options needs before its first frame, so that it begins at once when it is
        asked for soon. Does nothing while its engine is not loaded. Raises as `submit`.
        """
        run_request = self._videos.checked_run(RunRequest(source, owner, engine, framing, controls, options))
        loaded = self._selector.loaded_engine(run_request)
        if loaded is not None:
            self._avatars.open_session(None, loaded)[1].close()

    # ---- avatars

    def check_avatar(self, source: Source, owner: str, name: str, framing: Framing, engine: str, consent: bool) -> None:
        """Raises what `submit_avatar` would."""
        self._avatars.check_new(name, consent)
        self._selector.check_supported(RunRequest(source, owner, engine, framing))

    def submit_avatar(
        self,
        source: Source,
        owner: str,
        *,
        name: str = "",
        framing: Framing = Framing(),  # noqa: B008 - frozen
        engine: str = "auto",
        consent: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Job[Avatar]:
        """Queues the registration of a person; the avatar's token stands for them from then on. The same source of the same owner has the
        same token. Raises as `submit`; the job raises FaceError.
        """
        self._avatars.check_new(name, consent)
        run_request = RunRequest(source, owner, engine, framing)
        self._selector.check_supported(run_request)

        def work(job: Job[Avatar]) -> Avatar:
            job.report(Progress("loading"))
            loaded = self._selector.load_engine(run_request, job.check)
            job.report(Progress("registering"))
            avatar = self._avatars.register(job, loaded.engine, source, owner, name, framing, consent)
            job.report(Progress("done"))
            return avatar

        return self.scheduler.schedule(work, owner, on_progress)

    def preload_avatar(self, source: Source, owner: str, **options: Any) -> Avatar:
        """`submit_avatar`, then wait."""
        return _awaited(self.submit_avatar(source, owner, **options))

    def avatar(self, token: str, owner: str) -> Avatar:
        """Raises AvatarError, in the same words for a token of another owner and for none at all."""
        return self._avatars.store.get(token, owner)

    def list_avatars(self, owner: str) -> list[Avatar]:
        """The newest first."""
        return self._avatars.store.list(owner)

    def thumbnail(self, token: str, owner: str) -> bytes:
        """JPEG, 256x256 pixels around the face. Raises AvatarError."""
        return self._avatars.thumbnail(token, owner)

    def moving_thumbnail(self, token: str, owner: str) -> bytes | None:
        """Animated WebP, 96x96 pixels around the face; None of a photo. Raises AvatarError."""
        return self._avatars.moving_thumbnail(token, owner)

    def rename_avatar(self, token: str, owner: str, name: str) -> Avatar:
        """Raises AvatarError, or OptionError for a name that is too long."""
        return self._avatars.store.rename(self.avatar(token, owner), name)

    def delete_avatar(self, token: str, owner: str) -> int:
        """Removes it from memory and disk, and the kept videos of the person. Bytes freed. Raises AvatarError."""
        avatar = self._avatars.delete(token, owner)
        return avatar.nbytes + self._results.forget(owner, avatar.sha256)

    def avatars_in_memory(self) -> list[str]:
        """Tokens of the avatars whose registration needs neither the disk nor an engine."""
        return self._avatars.in_memory()

    def share_avatars(self, folder: SharedFolder, key: bytes) -> None:
        """Several machines have avatars together. folder: where they are kept. key: of the names in it, the same on all of them."""
        self._avatars.share(folder, key, self._results.forget_of)

    def share_avatar(self, token: str, owner: str) -> None:
        """Puts one that was just registered where the other machines find it. Raises AvatarError, and BusyError where that is away."""
        self._avatars.store.share(token, owner)

    def sweep_avatars(self, limit_bytes: int) -> None:
        """limit_bytes: of all avatars that the machines have together. Raises BusyError where the store is away."""
        if self._avatars.store.shared is not None:
            self._avatars.store.shared.sweep(limit_bytes)

    # ---- keeping house

    def share_results(self, inputs: Iterable[tuple[Path, Path]]) -> None:
        """inputs: photo and recording that the deployment offers to everybody: their videos are kept for all owners together."""
        self._results.share(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in pair) for pair in inputs)  # type: ignore[misc]

    def clear_cache(self, which: str, owner: str | None) -> int:
        """Removes "avatars" (and with them the kept videos of these people), "results" or "all" of one owner, or (None) of everybody.

        Bytes freed on the disk.
        """
        if which not in ("avatars", "results", "all"):
            raise OptionError(f"There is no cache {which!r}.", "Choose one of: avatars, results, all.")
        if which == "results":
            return self._results.clear(owner)
        people = [] if owner is None else self._avatars.store.list(owner)
        freed = self._avatars.clear(owner)
        if which == "all" or owner is None:
            return freed + self._results.clear(owner)
        return freed + sum(self._results.forget(owner, avatar.sha256) for avatar in people)

    def stats(self) -> dict[str, Any]:
        """Counts of the caches and the queue, in plain JSON types."""
        return {"avatars": self._avatars.stats(), "results": self._results.stats(), "queue": self.scheduler.stats()}

    def health(self) -> dict[str, Any]:
        """For a monitor. ready: some engine can answer at once. loading: the state of each engine. cache: finished videos are kept."""
        names = self.engines.names
        return {
            "live": True,
            "ready": bool(self.engines.ready),
            "engines": names,
            "loaded": self.engines.ready,
            "loading": {name: self.engines.state(name).to_dict() for name in names},
            "device": "cuda" if "ditto" in names and self._selector.obstacle is None else "cpu",
            "queue": self.scheduler.stats(),
            "cache": self._results.keeping,
        }

    def close(self) -> None:
        """Stops the scheduler; running jobs get a moment to finish."""
        self.scheduler.close()
        self.engines.close()
        self._folder.close()


def _awaited(job: Job[T]) -> T:
    """Its result; an interrupt of the waiting thread cancels it first."""
    try:
        return job.result()
    except BaseException:
        job.cancel()
        job.wait(timeout_s=2.0)
        raise


def open_studio(
    settings: Settings,
    ditto: EngineSource | Callable[[], Engine] | None = None,
    device: str | None = None,
    serving: bool = False,
) -> Studio:
    """The studio with the lite engine, and with Ditto where the caller says how it gets here.

    ditto: a mere callable fetches what it needs and loads; raises EngineUnavailable where it cannot run here. It is called when first
    needed, on a thread of its own. device, serving: as in `Studio`.
    """

    def lite() -> Engine:
        from core.engines.lite import LiteEngine  # imported when first needed: it brings mediapipe and OpenCV

        return LiteEngine()

    return Studio(settings, {"lite": lite} if ditto is None else {"lite": lite, "ditto": ditto}, device, serving)
