"""Makes the video of one request: checks it, loads the engine, registers the person, generates the frames, writes the file."""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from core.avatars import Avatars
from core.engine_selection import EngineSelector, LoadedEngine, RunRequest
from core.engines.base import Session
from core.errors import OptionError
from core.generation_run import GenerationRun, PreparedRun, Turn
from core.media.video import VideoWriter, check_writable
from core.provenance.signing import Signer
from core.result_reuse import ResultReuse
from core.scheduler import Job, Scheduler
from core.stage_times import stage
from core.types import Audio, AudioStream, Avatar, Framing, Generation, Progress, ProgressCallback, Request, is_video
from core.zero_gpu import current_visitor


class VideoGenerator:
    """Makes the videos of requests; its methods stand in the order in which a request meets them. Thread-safe.

    signer: signs every file that is written; None: files are not signed.
    """

    def __init__(
        self, selector: EngineSelector, avatars: Avatars, results: ResultReuse, scheduler: Scheduler, signer: Signer | None
    ) -> None:
        self._selector, self._avatars, self._results = selector, avatars, results
        self._scheduler, self._signer = scheduler, signer

    def submit(self, request: Request, output: Path, on_progress: ProgressCallback | None) -> Job[Generation]:
        """As `core.studio.Studio.submit`."""
        run_request, audio = self.checked(request), whole(request.audio)
        known = self.find(run_request, audio, output)
        if known is not None:
            return Job.finished(known, request.owner, on_progress)
        return self._scheduler.submit(lambda job: self._generate(job, run_request, audio, output), request.owner, on_progress)

    def checked(self, request: Request) -> RunRequest:
        """The request for an engine. Raises InputError, EngineUnavailable or BusyError for what is known to fail."""
        if isinstance(request.source, Avatar) and request.framing != Framing():
            raise OptionError("A framing is given with an avatar, which has its own.", "Leave it out, or register the photo anew with it.")
        n_frames = request.audio.n_frames
        return self.checked_run(
            RunRequest(request.source, request.owner, request.engine, request.framing, request.controls, request.options, n_frames)
        )

    def checked_run(self, run_request: RunRequest) -> RunRequest:
        """The same request, with its avatar as it is registered now. Raises as `checked`."""
        if isinstance(run_request.source, Avatar):
            avatar = self._avatars.usable(run_request.source, run_request.owner)
            run_request = dataclasses.replace(run_request, source=avatar, framing=avatar.framing)
        self._selector.check(run_request)
        return run_request

    def find(self, run_request: RunRequest, audio: Audio, output: Path) -> Generation | None:
        """The very same video, put at `output`, where it is kept and its engine is ready."""
        check_writable(output)
        loaded = self._selector.ready(run_request)
        if loaded is None:
            return None
        return self._results.find(self._results.key(audio, loaded), loaded, output)

    def _generate(self, job: Job[Generation], run_request: RunRequest, audio: Audio, output: Path) -> Generation:
        """The kept video, or a new one, which is then kept."""
        job.report(Progress("loading"))
        loaded = self._selector.load(run_request, job.check)
        key = self._results.key(audio, loaded)
        with self._results.locked(key, job.check):
            generation = self._results.find(key, loaded, output)
            if generation is None:
                generation = self._write(job, self._start(job, loaded, audio), output)
                self._results.keep(key, loaded, generation)
        job.report(Progress("done", generation.info.frames, generation.info.frames))
        return generation

    def start(self, job: Job[Any], run_request: RunRequest, audio: Audio) -> GenerationRun:
        """Loads the engine, registers the person and opens a session: everything up to the first frame."""
        job.report(Progress("loading"))
        return self._start(job, self._selector.load(run_request, job.check), audio)

    def _start(self, job: Job[Any], loaded: LoadedEngine, audio: Audio) -> GenerationRun:
        started_s = time.perf_counter()
        prepared, session = self.open_session(job, loaded)
        return GenerationRun(prepared, session, loaded.request.options, audio, self.turn(session), started_s)

    def open_session(self, job: Job[Any] | None, loaded: LoadedEngine) -> tuple[PreparedRun, Session]:
        """Registers the person with the engine, where that is not done yet, and opens a session on them."""
        run_request, started_s = loaded.request, time.perf_counter()
        source = run_request.source
        if job is not None:
            job.report(Progress("registering"))
        with stage("registration", 0):
            registration = self._avatars.registration(job, loaded.engine, source, run_request.framing, run_request.owner)
        prepared = PreparedRun(
            loaded.engine,
            loaded.reason,
            registration,
            is_video(source),
            tuple(dict.fromkeys((*source.warnings, *registration.warnings))),  # an avatar's source has those of its first engine
            source.token if isinstance(source, Avatar) else None,
            load_ms=loaded.load_ms,
            register_ms=round((time.perf_counter() - started_s) * 1000, 1),
        )
        current_visitor.set(run_request.owner)
        with self._scheduler.device_turn():
            session = loaded.engine.session(registration, run_request.controls, run_request.options)
        self._avatars.memory.trim()  # registrations grow with the sizes they are used at
        return prepared, session

    def turn(self, session: Session) -> Turn:
        """How a session's frames get their turn on the device: at once, where its engine shares the device among sessions itself."""
        if not session.takes_turns:
            return lambda due_s=None: nullcontext()
        session.pause = self._scheduler.pass_turn
        return self._scheduler.device_turn

    def _write(self, job: Job[Generation], run: GenerationRun, output: Path) -> Generation:
        session, about = run.session, run.metadata
        sign = None if self._signer is None else partial(self._signer.sign, metadata=about)
        with (
            VideoWriter(output, session.width, session.height, run.audio, metadata=about, sign=sign) as writer,
            closing(run.frames(job)) as frames,
        ):
            for frame in frames:
                writer.write(frame)
            job.report(Progress("finishing", run.n_frames, run.total))
        return Generation(output, run.info())


def whole(audio: Audio | AudioStream) -> Audio:
    """Raises OptionError for a recording that is still being made."""
    if not isinstance(audio, Audio):
        raise OptionError("A video file is made of a whole recording, and this one is still being made.", "Wait for its end, or stream it.")
    return audio
