"""Makes the video of one request: checks it, loads the engine, registers the person, generates the frames, writes the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.avatars import Avatars
from core.engine_selection import EngineSelector
from core.errors import OptionError
from core.generation import Generation, Progress, ProgressCallback
from core.generation_run import GenerationRun, whole
from core.provenance.signing import Signer
from core.request import Avatar, Framing, Request
from core.result_reuse import ResultReuse
from core.run_request import RunRequest
from core.scheduler import Job, Scheduler
from core.speech_option_checks import check_speech_options
from core.types import Audio, AudioStream
from core.visemes.document import write_visemes
from core.visemes.files import beside


class VideoGenerator:
    """Makes the videos of requests. Thread-safe. signer: signs every file that is written; None: files are not signed."""

    def __init__(
        self, selector: EngineSelector, avatars: Avatars, results: ResultReuse, scheduler: Scheduler, signer: Signer | None
    ) -> None:
        self._selector, self._avatars, self._results = selector, avatars, results
        self._scheduler, self._signer = scheduler, signer

    def enqueue(
        self, request: Request, output: Path, on_progress: ProgressCallback | None, preview: Path | None = None
    ) -> Job[Generation]:
        """As `core.studio.Studio.submit`."""
        run_request, kept = self.find(request, output)
        audio, owner = whole(request.audio), request.owner

        def work(job: Job[Generation]) -> Generation:
            job.report(Progress("loading"))
            loaded = self._selector.load_engine(run_request, job.check)
            with self._results.reserved(loaded, audio, output, job.check) as slot:
                if slot.generation is None:
                    prepared, session = self._avatars.open_session(job, loaded)
                    run = GenerationRun(prepared, session, audio, self._scheduler)
                    slot.generation = run.write_video(job, output, self._signer, preview)
            if request.options.visemes:
                write_visemes(beside(output), audio, job.check)
            n_frames = slot.generation.info.frames
            job.report(Progress("done", n_frames, n_frames))
            return slot.generation

        if kept is not None:
            return Job.finished(kept, owner, on_progress)
        check_speech_options(request.options, request.audio)
        return self._scheduler.schedule(work, owner, on_progress)

    def find(self, request: Request, output: Path) -> tuple[RunRequest, Generation | None]:
        """The request as checked, and its video, put at `output`, where that is kept and its engine is ready. Raises as `checked`."""
        run_request = self.checked(request)
        audio, loaded = whole(request.audio), self._selector.loaded_engine(run_request)
        found = self._results.lookup(loaded, audio, output)
        if found is not None and request.options.visemes:
            write_visemes(beside(output), audio)
        return run_request, found

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
        run_request = self._avatars.resolve_avatar(run_request)
        self._selector.check_supported(run_request)
        return run_request

    def start(self, job: Job[Any], run_request: RunRequest, audio: Audio | AudioStream) -> GenerationRun:
        """Loads the engine, registers the person and opens a session: everything up to the first frame."""
        job.report(Progress("loading"))
        prepared, session = self._avatars.open_session(job, self._selector.load_engine(run_request, job.check))
        return GenerationRun(prepared, session, audio, self._scheduler)
