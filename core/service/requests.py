"""The desk between a page and the studio: takes what a visitor handed in, watches the job, and stops it when the visitor goes.

Knows nothing of Gradio: plain values in, snapshots and at last a `Generation` out.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.engines.capabilities import CAPABILITIES
from core.errors import BusyError, Cancelled, EngineUnavailable, InputError, OptionError, TalkingHeadError
from core.optimization.cold_start_optimization import LoadState
from core.options import Options, read_options
from core.service.options import labelled, with_preset
from core.service.outputs import OutputFolder
from core.service.streams import Streams
from core.service.tickets import Snapshot, Ticket, Tickets, Visitor
from core.service.videos import History
from core.settings import Settings
from core.studio import Studio
from core.types import Avatar, Framing, Generation, Photo, RenderOptions, Request, Source
from core.web.pages.texts import Texts

READERS = 2
"""Uploads decoded at the same time: each may hold a large photo in memory."""
_PATH = re.compile(r"(?<![\w./:])/(?:[^\s/:,;]+/)*([^\s/:,;]+)")
MAX_OPTIONS_BYTES = 64 * 1024
"""Of the options of one request, written as JSON."""
MAX_DIGITS = 9
"""Of a size that is written as text: what is longer is no number of pixels."""


@dataclass(frozen=True)
class Wish:
    """What a visitor handed in, as it came: files by path, the rest unchecked.

    image: a new photo; avatar: the token of a known one instead. options: by name, as `core.options` reads them; also "preset".
    consent: the person shown agreed (asked for where the deployment requires it).
    """

    audio: str | None
    image: str | None = None
    avatar: str = ""
    engine: str | None = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    consent: bool = False


class Desk:
    """Serves the visitors of the pages. Thread-safe."""

    def __init__(self, studio: Studio, outputs: OutputFolder, history: History) -> None:
        self.studio = studio
        self.outputs = outputs
        self.history = history
        self.tickets = Tickets()
        self.streams = Streams()
        self.visited = threading.Event()
        """Set when the first visitor has the page before them."""
        self._readers = asyncio.Semaphore(READERS)

    @property
    def settings(self) -> Settings:
        return self.studio.settings

    def engines(self) -> list[str]:
        """Engines a visitor can ask for by name."""
        return self.studio.engines.names

    def loading(self) -> dict[str, LoadState]:
        """The engines that are on their way, by name."""
        states = {name: self.studio.engines.state(name) for name in self.engines()}
        return {name: state for name, state in states.items() if state.under_way}

    def capabilities(self, engine: str | None) -> frozenset[str]:
        """What the engine that would serve `engine` (also "auto") honours; nothing where none can."""
        try:
            return CAPABILITIES[self.studio.choose_engine(engine or "auto")[0]]
        except (OptionError, EngineUnavailable):
            return frozenset()

    async def serve(self, wish: Wish, visitor: Visitor, texts: Texts) -> AsyncGenerator[Snapshot | Generation, None]:
        """Snapshots while it goes, then the finished video. Closing the iterator stops the job.

        Raises TalkingHeadError, in words for the visitor: file names, never paths.
        """
        video: Path | None = None
        delivered = False
        try:
            with self.tickets.new(visitor.tab) as ticket:
                options = self._checked(wish, visitor, texts)
                yield Snapshot("reading")
                request = await self._read(wish, visitor, options)
                ticket.check()
                video = self.outputs.new_video()
                job = await asyncio.to_thread(self.studio.submit, request, video)
                async for snapshot in ticket.follow(job, self.studio.scheduler):
                    yield snapshot
                generation = job.result()
                self.history.add(generation, visitor.owner)
                delivered = True
            yield generation
        except TalkingHeadError as error:
            raise without_paths(error, wish.audio, wish.image, video) from error
        finally:
            if video is not None and not delivered:
                self.outputs.discard(video)

    async def stream(self, wish: Wish, visitor: Visitor, texts: Texts) -> str:
        """Begins a video that plays while it is made; the address, relative to the page, where it comes. Raises as `serve`."""
        try:
            with self.tickets.new(visitor.tab) as ticket:
                request = await self._read(wish, visitor, self._checked(wish, visitor, texts))
                ticket.check()
                pieces = await asyncio.to_thread(self.studio.stream, request)
                try:
                    ticket.check()
                except Cancelled:
                    pieces.close()
                    raise
            return self.streams.open(pieces, visitor.tab)
        except TalkingHeadError as error:
            raise without_paths(error, wish.audio, wish.image) from error

    def leave(self, tab: str | None = None) -> None:
        """A visitor goes (None: all): what this tab has under way is stopped."""
        self.tickets.cancel(tab)
        self.streams.stop(tab)

    async def load_photo(self, path: str, ticket: Ticket | None = None) -> Source:
        """A visitor's photo, or their video where Ditto is offered, which can move one. Raises InputError."""
        from core.media.image import load_image  # imported when first needed: the page must answer before they are loaded
        from core.media.source import load_source

        load = load_source if "ditto" in self.engines() else load_image
        async with self._readers:
            if ticket is not None:
                ticket.check()
            source: Source = await asyncio.to_thread(load, Path(path), self.settings)
        return source

    async def faces(self, path: str | None) -> list[bytes]:
        """The cut of each face of a photo as JPEG, the largest first; nothing where the photo cannot be used: that is said later."""
        if not path or not Path(path).is_file():
            return []
        try:
            photo = await self.load_photo(path)
            return await asyncio.to_thread(self._faces, photo) if isinstance(photo, Photo) else []
        except TalkingHeadError:
            return []

    def _faces(self, photo: Photo) -> list[bytes]:
        from core.engines.lite import LiteEngine
        from core.media.jpeg import as_jpeg

        engine = self.studio.engine("lite")
        with self.studio.scheduler.device_turn():
            cuts = engine.faces(photo) if isinstance(engine, LiteEngine) else []
        return [as_jpeg(cut) for cut in cuts]

    def check_file(self, path: str, texts: Texts) -> None:
        if not Path(path).is_file():
            raise InputError(texts.upload_gone.format(name=Path(path).name))

    def check_consent(self, given: bool, texts: Texts) -> None:
        if self.settings.require_consent and not given:
            raise OptionError(texts.consent_missing)

    def _checked(self, wish: Wish, visitor: Visitor, texts: Texts) -> Options:
        """What can be known before the files are read: a full house must not fill the memory as well."""
        self._check_inputs(wish, texts)
        options = self._options(wish, texts)
        self._check_room(visitor.owner, texts)
        return options

    def _check_inputs(self, wish: Wish, texts: Texts) -> None:
        if wish.image and wish.avatar:
            raise InputError(texts.avatar_and_photo)
        person = wish.image or wish.avatar
        if not wish.audio or not person:
            both = not wish.audio and not person
            raise InputError(texts.no_photo_no_speech if both else texts.no_photo if not person else texts.no_speech)
        for path in filter(None, (wish.image, wish.audio)):
            self.check_file(path, texts)
        if not wish.avatar:
            self.check_consent(wish.consent, texts)

    def _options(self, wish: Wish, texts: Texts) -> Options:
        given = dict(wish.options)
        try:
            if len(json.dumps(given)) > MAX_OPTIONS_BYTES:
                raise OptionError(texts.bad_options.format(problem=f"> {MAX_OPTIONS_BYTES} bytes"), texts.bad_options_hint)
        except (TypeError, ValueError, RecursionError) as error:
            raise OptionError(texts.bad_options.format(problem=error), texts.bad_options_hint) from None
        values = with_preset(given, avatar=bool(wish.avatar))
        values["size"] = _size(values.get("size"), texts)
        values["seed"] = _seed(values.get("seed", RenderOptions.seed), texts)
        if "face_index" in values:
            values["face_index"] = whole_number(values["face_index"], texts.face_named.format(number="").strip(), Framing.face_index, texts)
        options = read_options(values)
        options.render.verify()
        return labelled(options, self.settings)

    def _check_room(self, owner: str, texts: Texts) -> None:
        scheduler = self.studio.scheduler
        try:
            scheduler.ensure_room(owner)
        except BusyError as error:
            raise BusyError(texts.busy.format(waiting=scheduler.stats()["waiting"]), texts.busy_hint) from error

    async def _read(self, wish: Wish, visitor: Visitor, options: Options) -> Request:
        from core.media.audio import load_audio

        source: Source | Avatar
        if wish.avatar:
            source = await asyncio.to_thread(self.studio.avatar, wish.avatar, visitor.owner)
        else:
            source = await self.load_photo(wish.image or "")
        async with self._readers:
            audio = await asyncio.to_thread(load_audio, Path(wish.audio or ""), self.settings)
        return Request(
            audio, source, wish.engine or "auto", options.framing, options.controls, options.render, owner=visitor.owner
        )  # fmt: skip


def without_paths(error: TalkingHeadError, *paths: str | Path | None) -> TalkingHeadError:
    """The same error with every path of ours shortened to the file's name: a visitor knows the name, and must not learn the path."""
    message, hint = error.message, error.hint
    for path in paths:
        for long in (str(path), str(Path(path).parent)) if path else ():
            message, hint = message.replace(long, Path(long).name), hint.replace(long, Path(long).name)
    return type(error)(message, hint)


def hide_paths(sentence: str) -> str:
    """The sentence with every absolute path shortened to its last part."""
    return _PATH.sub(lambda found: found[1], sentence)


def _size(value: Any, texts: Texts) -> Any:
    size = str(value if value not in (None, "") else RenderOptions.size).strip()
    if size != "source" and not (size.isascii() and size.isdigit() and len(size) <= MAX_DIGITS):
        raise OptionError(texts.bad_size.format(value=size), texts.bad_size_hint)
    return "source" if size == "source" else int(size)


def _seed(value: Any, texts: Texts) -> int:
    if value is None or value == "random":
        return random.SystemRandom().randrange(2**32)
    return whole_number(value, texts.seed, 0, texts)


def whole_number(value: Any, name: str, default: int, texts: Texts) -> int:
    """`value` as an int: browsers send whole numbers as 3.0 as well. None: `default`. Raises OptionError that calls it `name`."""
    if value is None:
        return default
    try:
        if not isinstance(value, str | bool) and int(value) == value:
            return int(value)
    except (ValueError, OverflowError, TypeError):  # infinite, or no number at all
        pass
    raise OptionError(texts.bad_whole_number.format(name=name.lower(), value=value), texts.bad_whole_number_hint)
