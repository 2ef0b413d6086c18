"""Does one job with the studio: reads its inputs again where they are not in memory, and waits for what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from core.errors import BusyError, Cancelled, EngineUnavailable
from core.generation import Generation, GenerationInfo, Progress, ProgressCallback
from core.generation_run import whole
from core.media.captions import captions
from core.notices import notice
from core.request import Avatar, Request
from core.scheduler import Job
from core.service import options
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import JobRecord
from core.service.leases import made_room
from core.service.outputs import PREVIEW_NAME
from core.service.recorded_words import RecordedWords
from core.service.spoken_texts import SpokenText, SpokenTexts, in_record
from core.service.transcripts import with_transcript
from core.settings import Settings
from core.speech_synthesis.recording import SpokenAudio
from core.studio import Studio
from core.types import Audio, AudioStream, Photo, Source, Word
from core.visemes.document import add_words
from core.visemes.files import beside

logger = logging.getLogger(__name__)

T = TypeVar("T")


def read_source(path: Path, settings: Settings) -> Source:
    """A visitor's photo or video. Raises InputError."""
    from core.media.source import load_source  # imported when first needed: an entry point must answer before it is loaded

    return load_source(path, settings)


def read_picture(path: Path, settings: Settings) -> Photo:
    """A visitor's picture of a background. Raises ImageError."""
    from core.media.image import load_image

    return load_image(path, settings)


def read_audio(path: Path, settings: Settings) -> Audio:
    """Raises AudioError."""
    from core.media.audio import load_audio

    return load_audio(path, settings)


def video_request(
    record: Mapping[str, Any], owner: str, audio: Audio | AudioStream, source: Source | Avatar, background: Photo | None = None
) -> Request:
    """The request that a recorded one stands for. background: the picture of its own, where it has one."""
    chosen = options.read(record["options"])
    render = chosen.render if background is None else dataclasses.replace(chosen.render, background=background)
    return Request(audio, source, record["engine"], chosen.framing, chosen.controls, render, owner=owner)


class JobWork:
    """texts: speaks those given in place of recordings. recorded: recognises the words of recordings.
    handles: gives the future through which a stream is handed to its reader.
    """

    def __init__(
        self, studio: Studio, settings: Settings, inputs: JobInputs, texts: SpokenTexts, recorded: RecordedWords,
        handles: Callable[[str], Future[Any]],
    ) -> None:  # fmt: skip
        self._studio, self._settings, self._inputs, self._texts, self._handles = studio, settings, inputs, texts, handles
        self._recorded = recorded

    def __call__(self, running: Running, decoded: Any | None) -> Mapping[str, Any]:
        record = running.record
        if record.kind == "avatar":
            return self._avatar(running, decoded if decoded is not None else self._source(record))
        request: Request = decoded if decoded is not None else self._request(record)
        running.check()
        said = in_record(record.request)
        if said is not None:
            return self._of_text(running, request, said)
        if request.options.transcript:
            request, about = self._transcribed(running, request)
            if whole(request.audio).words:
                return {**self._made(running, request), **about}
        if request.options.burn_captions:
            request, about = self._recognised(running, request)
            return {**self._made(running, request), **about}
        if record.request.get("captions"):
            return self._with_captions(running, request)
        return self._made(running, request)

    def _of_text(self, running: Running, request: Request, said: SpokenText) -> Mapping[str, Any]:
        if running.record.kind == "stream":
            return self._spoken_stream(running, request, said)
        request, about = self._spoken(running, request, said)
        return {**self._made(running, request), **about}

    def _made(
        self, running: Running, request: Request, stop: Callable[[], None] = lambda: None, told: ProgressCallback | None = None
    ) -> Mapping[str, Any]:
        """The video or the stream. stop: called too where the job is cancelled. told: hears of the progress of a video, in place of
        `running`.
        """
        record = running.record
        if record.kind == "stream":
            return self._stream(running, request, stop)
        output = Path(record.output)
        preview = output.with_name(PREVIEW_NAME) if record.request.get("preview") else None
        with made_room(output.parent):
            made: Generation = self._awaited(running, self._studio.submit(request, output, told or running.report, preview), stop)
            if preview is not None:
                with contextlib.suppress(OSError):
                    preview.unlink(missing_ok=True)
        return {"info": made.info.to_dict()}

    def _with_captions(self, running: Running, request: Request) -> Mapping[str, Any]:
        """The words of the recording are found while the video is made, on this machine not before its first seconds can be seen; it can be
        seen while they are still missing. Where they cannot be found, it is done without them, and says so.
        """
        previewed, output = threading.Event(), running.record.output
        if not running.record.request.get("preview"):
            previewed.set()

        def told(progress: Progress) -> None:
            running.report(progress)
            if progress.preview:
                previewed.set()

        recognition = self._recorded.begin(whole(request.audio), request.owner, after=previewed)
        total_s = whole(request.audio).duration_s
        recognition.when_known(lambda words: running.note(told_captions(words, total_s)))
        try:
            with made_room(Path(output).parent) if output else nullcontext():  # the video stays while only the words are missing
                result = self._made(running, request, recognition.cancel, told)
                previewed.set()  # of a short video there is no preview
                if running.record.kind == "video":
                    running.note_made(result)
                try:
                    words = recognition.words()
                    if request.options.visemes and output:
                        add_words(beside(Path(output)), words)
                    return {**result, **told_captions(words, total_s)}
                except Cancelled:
                    if running.record.kind != "stream":
                        raise
                    return result  # its reader has had all of it, and left before the words were known
                except (EngineUnavailable, BusyError) as error:
                    logger.warning("job %s has no captions: %s", running.record.id[:6], error)
                    info = result["info"]
                    return {"info": {**info, "warnings": [*info["warnings"], notice("captions_failed")]}}
        finally:
            recognition.cancel()

    def _recognised(self, running: Running, request: Request) -> tuple[Request, dict[str, Any]]:
        """The request with the words of its recording, and what the result tells about them."""
        recognition = self._recorded.begin(whole(request.audio), request.owner)
        running.stop_with(recognition.cancel)
        running.report(Progress("recognising"))
        audio = dataclasses.replace(whole(request.audio), words=recognition.words())
        about = told_captions(audio.words, audio.duration_s)
        running.note(about)
        return dataclasses.replace(request, audio=audio), about

    def _transcribed(self, running: Running, request: Request) -> tuple[Request, dict[str, Any]]:
        """The request with its transcript aligned with the recording, and what the result tells about its words."""
        cancel = threading.Event()
        running.stop_with(cancel.set)
        running.report(Progress("recognising"))
        audio = with_transcript(whole(request.audio), request.options.transcript, cancel)
        about = told_captions(audio.words, audio.duration_s) if running.record.request.get("captions") else {}
        running.note(about)
        return dataclasses.replace(request, audio=audio, options=dataclasses.replace(request.options, transcript="")), about

    def _spoken(self, running: Running, request: Request, said: SpokenText) -> tuple[Request, dict[str, Any]]:
        """The request with its text as a recording, and what the result tells about it."""
        cancel = threading.Event()
        running.stop_with(cancel.set)
        audio, speech = self._texts.speak(said, request.owner, cancel, running.report)
        return dataclasses.replace(request, audio=audio), _spoken_captions(said, speech.words, audio.duration_s)

    def _spoken_stream(self, running: Running, request: Request, said: SpokenText) -> Mapping[str, Any]:
        """It is spoken while it is shown."""

        def told(audio: SpokenAudio) -> None:
            running.note(_spoken_captions(said, audio.words, audio.spoken_s))

        running.report(Progress("speech"))
        with closing(self._texts.coming(said, request.owner, told)) as audio:
            audio.start()
            result = self._stream(running, dataclasses.replace(request, audio=audio), audio.close)
            return {**result, **_spoken_captions(said, audio.words, audio.spoken_s)}

    def _stream(self, running: Running, request: Request, stop: Callable[[], None] = lambda: None) -> Mapping[str, Any]:
        """stop: called too where the job is cancelled."""
        output = Path(running.record.output) if running.record.output else None
        with nullcontext() if output is None else made_room(output.parent):
            pieces = self._studio.stream(request, running.report, output)
            self._handles(running.record.id).set_result(pieces)
            info: GenerationInfo = self._awaited(running, pieces.job, stop)
        return {"info": info.to_dict()}

    def _avatar(self, running: Running, source: Source) -> Mapping[str, Any]:
        record = running.record
        request = record.request
        job = self._studio.submit_avatar(
            source,
            record.owner,
            name=request["name"],
            framing=options.read(request["options"]).framing,
            engine=request["engine"],
            consent=request["consent"],
            on_progress=running.report,
        )
        token = self._awaited(running, job).token
        self._studio.share_avatar(token, record.owner)
        return {"avatar": token}

    def _awaited(self, running: Running, job: Job[T], stop: Callable[[], None] = lambda: None) -> T:
        def end() -> None:
            job.cancel()
            stop()

        running.stop_with(end)
        return job.result()

    def _request(self, record: JobRecord) -> Request:
        request = record.request
        source: Source | Avatar
        source = self._studio.avatar(request["avatar"], record.owner) if request["avatar"] else self._source(record)
        picture = request.get("background", "")
        background = read_picture(self._inputs.path(record.id, picture), self._settings) if picture else None
        said, audio = in_record(request), request["audio"]
        if said is not None:
            return video_request(request, record.owner, self._texts.coming(said, record.owner), source, background)
        recording = read_audio(self._inputs.path(record.id, audio), self._settings)
        return video_request(request, record.owner, recording, source, background)

    def _source(self, record: JobRecord) -> Source:
        return read_source(self._inputs.path(record.id, record.request["image"]), self._settings)


def _spoken_captions(said: SpokenText, words: Sequence[Word], total_s: float) -> dict[str, Any]:
    """What the result of a job tells about its text. total_s: of its speech, as far as it was spoken."""
    return {"voice": said.voice, **told_captions(words if said.captions else (), total_s)}


def told_captions(words: Sequence[Word], total_s: float) -> dict[str, Any]:
    """What the result of a job tells about the words that are said."""
    return {"captions": [[each.start_s, each.end_s, list(each.lines)] for each in captions(words, total_s=total_s)]}
