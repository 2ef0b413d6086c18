"""The service of one process: everything that outsiders may ask for, put together over a studio."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import BusyError
from core.optimization.cache_folder import CacheFolder
from core.optimization.shared_folder import SharedFolder
from core.service.avatars import AvatarService
from core.service.decoded_photos import DecodedPhotos
from core.service.detection import Detection
from core.service.downloads import Downloads
from core.service.face_previews import FacePreviews
from core.service.freed_memory import FreedMemory
from core.service.health import Health
from core.service.job_inputs import JobInputs
from core.service.job_store import Admission, JobRecord
from core.service.job_work import JobWork
from core.service.jobs import Jobs
from core.service.listening import Listening
from core.service.live_source import LiveSource
from core.service.outputs import INPUTS, OutputFolder
from core.service.page_size import PageSize
from core.service.peer_connections import PeersSource
from core.service.preparations import Preparations
from core.service.recorded_words import RecordedWords
from core.service.recording_checks import RecordingChecks
from core.service.remote_streams import StreamMakers
from core.service.requests import Requests
from core.service.speech_recognition import SpeechRecognition
from core.service.spoken_sounds import SpokenSounds
from core.service.spoken_texts import SpokenTexts
from core.service.state import open_state
from core.service.stills import Stills
from core.service.videos import Videos
from core.service.visitor_uploads import VisitorUploads
from core.settings import Settings
from core.speech_synthesis.kokoro_network import NetworkFile
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio

logger = logging.getLogger(__name__)

SWEEP_S = 60.0
MAX_RESULT_BYTES = 8 * 2**30
"""Largest file of a result that is fetched from the shared store: none is as large, so it is none of ours."""


class Service:
    """Used by pages and server alike. `start` begins to work on jobs, `stop` ends that, `close` all; the studio is
    the caller's.

    outputs: prepared. settings: of the deployment, the studio's without them. kokoro_file: as `Speaker` takes it. webrtc: makes the WebRTC
    connections of a server's live sessions; None where there are none. worker, makers: as in `Jobs`. live_source: where live sessions are
    made and found; None: here.
    """

    def __init__(
        self, studio: Studio, outputs: OutputFolder, settings: Settings | None = None, kokoro_file: NetworkFile | None = None,
        webrtc: PeersSource | None = None, worker: str = "", makers: StreamMakers | None = None, live_source: LiveSource | None = None,
    ) -> None:  # fmt: skip
        settings = studio.settings if settings is None else settings
        cache = CacheFolder(settings.cache_dir)

        def jobs_folder() -> Path:
            return cache.make_subfolder("jobs")

        def kept_inputs() -> Path:
            folder = jobs_folder() / "inputs"
            folder.mkdir(mode=0o700, exist_ok=True)
            return folder

        def passing_inputs() -> Path:
            outputs.prepare()
            folder = outputs.root / INPUTS
            folder.mkdir(mode=0o700, exist_ok=True)
            return folder

        self.studio, self.outputs, self.settings, self.webrtc = studio, outputs, settings, webrtc
        self.live_source = live_source
        self._state = state = open_state(settings, str(cache.root), jobs_folder, outputs.root)
        self.files = state.files
        shared_inputs: SharedFolder | None = None
        if state.files is not None:
            shared_inputs = SharedFolder(state.files, "inputs", max(settings.max_audio_bytes, settings.max_video_bytes))
            outputs.shared = SharedFolder(state.files, "outputs", MAX_RESULT_BYTES)
            avatars = SharedFolder(state.files, "avatars", max(MAX_RESULT_BYTES, settings.max_video_bytes))
            studio.share_avatars(avatars, cache.share_key(state.settle_key))
        self.topics, self.rates = state.topics, state.rates
        self.speaker = Speaker(settings, cache, kokoro_file)
        self.recognition = SpeechRecognition(settings, state.rates)
        self.recorded_words = RecordedWords(self.recognition)
        self.texts = texts = SpokenTexts(self.speaker, settings)
        self.sounds = SpokenSounds(texts, settings)
        inputs = JobInputs([kept_inputs, passing_inputs], shared_inputs)
        self.jobs = Jobs(
            state.store,
            state.topics,
            inputs,
            outputs,
            JobWork(studio, settings, inputs, texts, self.recorded_words, lambda job_id: self.jobs.handle(job_id)),
            state.liveness,
            slots=settings.max_jobs,
            admission=Admission(
                settings.max_queue,
                (settings.max_queue + 1) // 2,  # one owner leaves room for the others
                settings.max_pending_bytes,
            ),
            decoded_bytes=settings.max_decoded_bytes,
            ttl_s=settings.output_ttl_s,
            on_end=self._job_ended,
            resting=lambda: studio.scheduler.n_resting,
            worker=worker,
            makers=makers,
        )
        self.page_size = PageSize(studio, settings, cache)
        self.downloads = Downloads(self.jobs, outputs)
        studio.scheduler.stand_behind(self.jobs.any_wait, self.jobs.job_rests)
        self._listeners: list[Callable[[JobRecord], None]] = [self.page_size.job_ended]
        self._photos = DecodedPhotos(settings.previews_bytes)
        self.requests = Requests(studio, settings, self.jobs, outputs, self._photos, texts, self.recorded_words)
        self.face_previews = FacePreviews(studio, self.requests, outputs, self._photos)
        self.recording_checks = RecordingChecks(settings, outputs)
        self.stills = Stills(studio, self.requests, outputs)
        self.preparations = Preparations(studio, self.requests, outputs)
        self.listening = Listening(texts, settings, state.rates)
        self.detection = Detection(settings, state.rates)
        self.uploads = VisitorUploads(outputs, settings, state.rates)
        self.videos = Videos(self.jobs, outputs)
        self.avatars = AvatarService(studio, self.videos, self.topics, self.speaker.cache)
        self.cache = cache
        self.health = Health(studio, self.jobs, outputs, cache, state.files, makes_videos=settings.max_jobs > 0)
        self._freed_memory = FreedMemory()
        self._totals = {"running": 0, "waiting": 0}
        self._ending = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="jobs-sweeper", daemon=True)

    def start(self) -> None:
        self.jobs.start()
        self._sweeper.start()
        self._freed_memory.start()

    def stop(self, grace_s: float = 5.0, timeout_s: float = 5.0) -> None:
        """Ends the work: takes no more, lets running jobs end for `grace_s`, and tells whoever waits. What is there can still be had."""
        self._ending.set()
        self.listening.close()
        self.jobs.stop(grace_s, timeout_s)

    def close(self, grace_s: float = 5.0, timeout_s: float = 5.0) -> None:
        """Stops where that was not done, and lets go of everything."""
        self._ending.set()
        self.listening.close()
        self._freed_memory.close()
        self.jobs.close(grace_s, timeout_s)
        self._state.close()
        self.speaker.close()
        self.recognition.close()
        self.cache.close()

    def queue(self) -> dict[str, int]:
        """Jobs that run and wait now, on all processes that share the store; how many run at most, of this process (max_jobs) and of all
        that are known to live (slots), and how many may wait. While the store is away it is what was known last: who asks whether the
        service lives is answered.
        """
        with contextlib.suppress(BusyError):
            self._totals = self.jobs.totals()
        limits = {"max_jobs": self.settings.max_jobs, "slots": self.jobs.slots, "max_queue": self.settings.max_queue}
        return {**self._totals, **limits}

    def cache_stats(self) -> dict[str, Any]:
        """Counts of the caches, in plain JSON types."""
        speech = self.speaker.cache
        return {**self.studio.stats(), **({} if speech is None else {"speech": speech.stats()})}

    def when_job_ends(self, listener: Callable[[JobRecord], None]) -> None:
        """`listener` is called with each job that ends in this process, on any thread. It must not raise."""
        self._listeners.append(listener)

    def _job_ended(self, record: JobRecord) -> None:
        self._freed_memory.job_ended()
        for listener in self._listeners:
            listener(record)

    def _sweep(self) -> None:
        while not self._ending.wait(SWEEP_S):
            try:
                self.jobs.sweep()
                self._photos.sweep()
                self.studio.sweep_avatars(self.settings.s3_avatars_bytes)
            except BusyError:  # the store is away, which it says by itself: the next time
                pass
            except Exception:  # a defect or a disk must not end it for good: what is old would pile up
                logger.exception("what is old was not removed")
