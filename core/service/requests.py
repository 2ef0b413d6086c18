"""Turns what pages and server hand in into jobs; the cheapest checks come first."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, OptionError, TalkingHeadError
from core.option_checks import check_stream_options
from core.request import Avatar
from core.service import options
from core.service.decoded_photos import DecodedPhotos
from core.service.errors import without_folders
from core.service.job_inputs import held_bytes
from core.service.job_store import JobKind
from core.service.job_views import JobView
from core.service.job_work import read_audio, read_picture, read_source, told_captions, video_request
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.recorded_words import RecordedWords
from core.service.sent_pictures import check_one_background
from core.service.spoken_texts import SpokenTexts
from core.service.threads import on_thread
from core.service.transcripts import check_transcript
from core.settings import Settings
from core.speech_synthesis.recording import SpokenAudio
from core.studio import Studio
from core.types import Audio, Photo, Source
from core.visemes.document import add_words
from core.visemes.files import beside

READERS = 2
"""Uploads decoded at the same time: each may hold a large photo in memory."""


@dataclass(frozen=True)
class VideoInputs:
    """What was handed in for a video, as it came: files by path, the rest unchecked.

    image: a new photo; avatar: the token of a known one instead. text: what is said, plain or SSML, in place of `audio`; "" is an empty
    text, None none. voice: the id of the one that speaks it, "" the default. speed: relative to the voice's usual one. captions: the words
    are kept with their times, those of a text where the voice tells them, those of a recording as they are recognised; None: of a
    recording where there is a recogniser and the deployment wants it. options: by name, as `core.service.options` settles them. consent:
    the person shown agreed (asked for where the deployment requires it). preview: the first seconds can be seen while the rest is made.
    background: a picture that is shown behind the person, instead of the option `background`. client_state: what the adapter notes for
    itself.
    """

    audio: Path | None
    image: Path | None = None
    avatar: str = ""
    engine: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    consent: bool = False
    client_state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    text: str | None = field(default=None, repr=False)
    voice: str = ""
    speed: Any = 1.0
    captions: bool | None = None
    preview: bool = False
    background: Path | None = None


@dataclass(frozen=True)
class AvatarInputs:
    """What was handed in for an avatar, as it came. options: those of the framing count."""

    image: Path | None
    name: str = ""
    engine: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    consent: bool = False


class Requests:
    """Accepts jobs. Thread-safe; used on one event loop at a time."""

    def __init__(
        self, studio: Studio, settings: Settings, jobs: Jobs, outputs: OutputFolder, photos: DecodedPhotos, texts: SpokenTexts,
        recorded_words: RecordedWords,
    ) -> None:  # fmt: skip
        self._studio, self.settings, self._jobs, self._outputs, self._photos = studio, settings, jobs, outputs, photos
        self._texts, self._recorded_words = texts, recorded_words
        self._readers = asyncio.Semaphore(READERS)

    async def video(
        self, inputs: VideoInputs, owner: str, *, kind: JobKind = "video", kept: bool = True, idempotency_key: str = "",
        keep_stream: bool = False,
    ) -> JobView:  # fmt: skip
        """Accepts a video. kind: "stream" where it is read while it is made, "idle" where it is no result of its own. kept,
        idempotency_key: as in `NewJob`. keep_stream: a stream that is complete is one of the owner's videos.

        Raises what is known to fail: InputError, OptionError, AvatarError, BusyError, EngineUnavailable. Error messages name files, never
        folders.
        """
        with self._outputs.using(inputs.audio, inputs.image, inputs.background):
            return await self._video(inputs, owner, kind, kept, idempotency_key, keep_stream)

    async def _video(
        self, inputs: VideoInputs, owner: str, kind: JobKind, kept: bool, idempotency_key: str, keep_stream: bool
    ) -> JobView:
        self._check_inputs(inputs)
        options.check_engine(inputs.engine, self._studio.engines.names)
        settled = options.settled(inputs.options, self.settings, avatar=bool(inputs.avatar))
        await asyncio.to_thread(self._jobs.check_room, owner)
        request: dict[str, Any] = {"avatar": inputs.avatar, "engine": inputs.engine, "options": settled, "image": "", "audio": ""}
        if inputs.preview:
            request["preview"] = True
        audio: Audio | SpokenAudio | None = None
        burned, transcript = bool(settled.get("burn_captions")), bool(settled.get("transcript"))
        if transcript:
            check_transcript(inputs.text is not None)
        if inputs.text is None and kind != "idle" and self._recognised(inputs.captions, burned):
            request["captions"] = True
        if inputs.text is not None:
            said = await on_thread(self._texts.settled, inputs.text, inputs.voice, inputs.speed, inputs.captions is not False, burned)
            audio = self._texts.coming(said, owner)
            request["speech"] = dataclasses.asdict(said)
        try:
            source: Source | Avatar
            if inputs.avatar:
                source = await asyncio.to_thread(self._studio.avatar, inputs.avatar, owner)
            else:
                source = await self.source(inputs.image, owner)
            background = None if inputs.background is None else await self.picture(inputs.background, owner)
            if audio is None:
                async with self._readers:
                    audio = await on_thread(read_audio, inputs.audio or Path(), self.settings)
        except TalkingHeadError as error:
            raise without_folders(error, inputs.audio, inputs.image, inputs.background) from error
        decoded = video_request(request, owner, audio, source, background)
        if kind == "stream":
            check_stream_options(decoded.options)
        nbytes = held_bytes(source, background, audio if isinstance(audio, Audio) else None)
        given = {"audio": inputs.audio, "image": inputs.image, "background": inputs.background}
        files = {name: path for name, path in given.items() if path is not None}

        def accept() -> JobView:
            output, done = None, None
            if kind != "stream" or keep_stream:
                output = self._outputs.new_video(owner)
            try:
                captions = self._known_captions(audio, owner, burned) if request.get("captions") else {}
                if kind == "stream" or output is None or not isinstance(audio, Audio) or captions is None:
                    self._studio.check(decoded)
                else:
                    known = self._studio.find_result(decoded, output)
                    done = None if known is None else {"info": known.info.to_dict(), **captions}
                    if done is not None and decoded.options.visemes and captions:
                        add_words(beside(output), self._recorded_words.known(audio, owner) or ())
                new = NewJob(
                    owner, kind, request, files, decoded, nbytes, output, done, kept, idempotency_key, client_state=inputs.client_state
                )  # fmt: skip
                return self._jobs.submit(new)
            except BaseException as error:
                if output is not None:
                    self._outputs.discard(output)
                if isinstance(error, TalkingHeadError):
                    raise options.naming_preset(error, inputs.options) from error
                raise

        return await asyncio.to_thread(accept)

    def _recognised(self, asked: bool | None, burned: bool) -> bool:
        """Whether the words of a recording are to be found. Raises OptionError where they are asked for and cannot be."""
        if burned or asked:
            self._recorded_words.check()
        return burned or (self.settings.caption_recordings and self._recorded_words.available if asked is None else asked)

    def _known_captions(self, audio: Audio | SpokenAudio, owner: str, burned: bool) -> dict[str, Any] | None:
        """What the result of a job tells about the captions of a recording whose words are known already; None where its job has to run."""
        words = self._recorded_words.known(audio, owner) if isinstance(audio, Audio) and not burned else None
        return None if words is None else told_captions(words, audio.duration_s)

    async def avatar(self, inputs: AvatarInputs, owner: str, *, kept: bool = True, idempotency_key: str = "") -> JobView:
        """Accepts the registration of a person. Raises as `video`."""
        with self._outputs.using(inputs.image):
            return await self._avatar(inputs, owner, kept, idempotency_key)

    async def _avatar(self, inputs: AvatarInputs, owner: str, kept: bool, idempotency_key: str) -> JobView:
        if inputs.image is None:
            raise InputError("A photo or video is missing.", "Choose one with a face.", code="no_photo")
        check_file(inputs.image)
        self.check_consent(inputs.consent)
        options.check_engine(inputs.engine, self._studio.engines.names)
        settled = options.settled(inputs.options, self.settings, avatar=False)
        await asyncio.to_thread(self._jobs.check_room, owner)
        try:
            source = await self.source(inputs.image, owner)
        except TalkingHeadError as error:
            raise without_folders(error, inputs.image) from error
        request = {"name": inputs.name, "engine": inputs.engine, "options": settled, "consent": inputs.consent, "image": ""}
        held = held_bytes(source)
        new = NewJob(owner, "avatar", request, {"image": inputs.image}, source, held, kept=kept, idempotency_key=idempotency_key)

        def accept() -> JobView:
            self._studio.check_avatar(source, owner, inputs.name, options.read(settled).framing, inputs.engine, inputs.consent)
            return self._jobs.submit(new)

        return await asyncio.to_thread(accept)

    async def source(self, path: Path | None, owner: str) -> Source:
        """A photo, or a video, decoded; a photo whose faces the owner was shown need not be decoded again. Raises InputError."""
        async with self._readers:
            return await on_thread(self._read_source, path or Path(), owner)

    async def picture(self, path: Path, owner: str, kept: bool = False) -> Photo:
        """One that is shown behind a person, decoded within the bounds of photos; it needs no face. Raises ImageError.

        kept: it will be asked for again soon, and is then not decoded again.
        """
        async with self._readers:
            return await on_thread(self._read_picture, path, owner, kept)

    def _read_source(self, path: Path, owner: str) -> Source:
        return self._known(path, owner) or read_source(path, self.settings)

    def _read_picture(self, path: Path, owner: str, kept: bool) -> Photo:
        picture = self._known(path, owner)
        if picture is None:
            picture = read_picture(path, self.settings)
            if kept:
                self._photos.keep(owner, picture)
        return picture

    def _known(self, path: Path, owner: str) -> Photo | None:
        try:
            return self._photos.find(owner, path)
        except OSError:
            return None  # why it cannot be read is said by who reads it

    def check_consent(self, given: bool) -> None:
        """Raises OptionError where it is required and was not declared."""
        if self.settings.require_consent and not given:
            raise OptionError(
                "The consent of the person shown was not declared.", "Declare it (consent=true) if they gave it.", code="consent_missing"
            )

    def _check_inputs(self, inputs: VideoInputs) -> None:
        if inputs.image and inputs.avatar:
            raise InputError("Both a photo and an avatar are given.", "Give one of the two.", code="avatar_and_photo")
        if inputs.audio and inputs.text is not None:
            raise InputError("Both a recording and a text are given.", "Give one of the two.", code="audio_and_text")
        if inputs.text is None and (inputs.voice or inputs.speed != 1.0):
            raise InputError(
                "A voice or a speed is given without a text.", "Give the text, or leave them out.", code="voice_without_text"
            )  # fmt: skip
        speech = inputs.audio or inputs.text is not None
        person = inputs.image or inputs.avatar
        if not speech and not person:
            raise InputError("The person and the recording are missing.", "Give a photo, video or avatar, and speech.", code="no_inputs")
        if not person:
            raise InputError("A photo or video is missing.", "Give one, or the token of an avatar.", code="no_photo")
        if not speech:
            raise InputError("The recording is missing.", "Give a recording of speech, or a text.", code="no_audio")
        check_one_background(inputs.background, inputs.options)
        for path in filter(None, (inputs.image, inputs.audio, inputs.background)):
            check_file(path)
        if not inputs.avatar:
            self.check_consent(inputs.consent)


def check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(
            f"The file {path.name} is gone.", "Uploads are kept for a while only: choose it again.",
            code="upload_gone", parameters={"name": path.name},
        )  # fmt: skip
