"""Makes the requests of a list's jobs: reads their files, has texts spoken, and checks what can be known beforehand."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.batch.job_list import BatchJob
from core.errors import OptionError
from core.generation import Progress
from core.given_speech import check_text, check_transcript, read_recording, recognition, speak_text, with_transcript
from core.media.image import load_image
from core.media.source import load_source
from core.media.video import check_writable
from core.options import Options, read_options, with_seed
from core.request import Request
from core.service.options import naming_preset
from core.settings import Settings
from core.speech_synthesis.recording import SpokenAudio
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio
from core.types import Audio, AudioStream, Source


class JobRequests:
    """cancel: ends what takes long. told: how far the making of a recording is. networks: plain JSON values that tell Ditto's apart, where
    they are not the usual ones. One thread at a time.
    """

    def __init__(
        self, studio: Studio, settings: Settings, speaker: Speaker, cancel: threading.Event, told: Callable[[Progress], None],
        networks: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._studio, self._settings, self._speaker, self._cancel, self._told = studio, settings, speaker, cancel, told
        self._source: tuple[Path, int, Source] | None = None
        self._networks = networks

    def made_by(self, job: BatchJob) -> dict[str, Any]:
        """What would draw and speak the video, in plain JSON values. Raises InputError, EngineUnavailable where there is none of it."""
        engine, _ = self._studio.choose_engine(job.engine)
        speech = job.speech
        voice = "" if speech.recording is not None else speech.voice or self._speaker.voice().id
        if engine == "ditto":  # it takes minutes to load, and is told apart by its networks
            return {"engine": engine, "voice": voice, "networks": dict(self._networks)}
        return {"engine": engine, "voice": voice, "revision": self._studio.engine(engine).revision}

    def check(self, job: BatchJob) -> None:
        """Reads what the job is made of. Raises TalkingHeadError for what is known to fail; whether there is a face is seen later."""
        options = _options(job)
        burned = options.render.burn_captions
        check_transcript(options.render.transcript, job.speech)
        audio: Audio | AudioStream
        if job.speech.recording is not None:
            audio = read_recording(job.speech.recording, self._settings)
        else:
            check_text(job.speech, self._speaker, burned)
            voice = self._speaker.voice(job.speech.voice)
            audio = SpokenAudio(self._speaker, job.speech.text, voice, job.speech.speed)  # nothing is spoken before it is heard
        try:
            self._studio.check(self._request(job, options, audio))
        except OptionError as error:
            raise naming_preset(error, {"preset": job.preset, **dict.fromkeys(job.named - {"preset"})}) from error
        check_writable(job.output)

    def make(self, job: BatchJob) -> Request:
        """The request, with its recording made where it is a text. Raises TalkingHeadError."""
        options = _options(job)
        burned = options.render.burn_captions
        if job.speech.recording is None:
            self._told(Progress("speech"))
            audio = speak_text(job.speech, self._settings, self._speaker, self._cancel, burned)
        else:
            audio = read_recording(job.speech.recording, self._settings)
            if options.render.transcript:
                self._told(Progress("recognising"))
                audio = with_transcript(audio, options.render.transcript, self._cancel)
            if burned and not audio.words:
                self._told(Progress("recognising"))
                with recognition(audio, self._settings, self._cancel) as heard:
                    audio = dataclasses.replace(audio, words=heard.words())
        return self._request(job, options, audio)

    def _request(self, job: BatchJob, options: Options, audio: Audio | AudioStream) -> Request:
        render = dataclasses.replace(options.render, transcript="")  # it is aligned by now
        if job.background is not None:
            render = dataclasses.replace(render, background=load_image(job.background, self._settings))
        return Request(audio, self._read(job.source), job.engine, options.framing, options.controls, render)

    def _read(self, path: Path) -> Source:
        """The last one is kept: rows that follow each other often show the same person."""
        changed_ns = path.stat().st_mtime_ns if path.is_file() else 0
        if self._source is None or self._source[:2] != (path, changed_ns):
            self._source = None  # before the next one is in memory
            self._source = (path, changed_ns, load_source(path, self._settings))
        return self._source[2]


def _options(job: BatchJob) -> Options:
    return read_options(with_seed(job.options))
