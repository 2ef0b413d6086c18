"""The desk between a page and the studio: takes what a visitor handed in, watches the job, and stops it when the visitor goes.

Knows nothing of Gradio: plain values in, snapshots and at last a `Generation` out.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError, Cancelled, InputError, OptionError, TalkingHeadError
from core.scheduler import Job
from core.studio import Studio
from core.types import Framing, Generation, Progress, RenderOptions, Request
from core.web.outputs import OutputFolder
from core.web.texts import Texts

POLL_S = 0.15
"""How often a waiting page looks at its job."""
READERS = 2
"""Uploads decoded at the same time: each may hold a large photo in memory."""


@dataclass(frozen=True)
class Wish:
    """What a visitor handed in, as it came: files by path, the rest unchecked. `seed` None: a new one."""

    audio: str | None
    image: str | None
    engine: str | None = "auto"
    size: str | int | None = RenderOptions.size
    seed: float | None = RenderOptions.seed
    face: float | None = Framing.face_index


@dataclass(frozen=True)
class Snapshot:
    """Where a job stands now.

    position: place in the queue, 0 when it runs. fps, left_s: speed and time left; 0 and None while not known.
    """

    stage: str
    done: int = 0
    total: int = 0
    position: int = 0
    fps: float = 0.0
    left_s: float | None = None


class Ticket:
    """One wish on its way. It can be cancelled at any moment, also while its files are still being read."""

    def __init__(self) -> None:
        self._cancelled = False
        self._job: Job[Generation] | None = None

    def hold(self, job: Job[Generation]) -> None:
        self._job = job
        if self._cancelled:
            job.cancel()

    def cancel(self) -> None:
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    def check(self) -> None:
        if self._cancelled:
            raise Cancelled("The job was cancelled.")


class Desk:
    """Serves the visitors of one page. Thread-safe."""

    def __init__(self, studio: Studio, outputs: OutputFolder, texts: Texts) -> None:
        self._studio = studio
        self._outputs = outputs
        self._texts = texts
        self.visited = threading.Event()
        """Set when the first visitor has the page before them."""
        self._readers = asyncio.Semaphore(READERS)
        self._tickets: dict[str, set[Ticket]] = {}
        self._lock = threading.Lock()

    def engines(self) -> list[str]:
        """Engines a visitor can ask for by name."""
        names = self._studio.health()["engines"]
        return [str(name) for name in names] if isinstance(names, list) else []

    def cancel(self, owner: str) -> bool:
        """Stops whatever `owner` has under way; True if there was something. Does not wait."""
        with self._lock:
            tickets = list(self._tickets.get(owner, ()))
        for ticket in tickets:
            ticket.cancel()
        return bool(tickets)

    def cancel_all(self) -> None:
        with self._lock:
            owners = list(self._tickets)
        for owner in owners:
            self.cancel(owner)

    async def serve(self, wish: Wish, owner: str) -> AsyncGenerator[Snapshot | Generation, None]:
        """Snapshots while it goes, then the finished video. Closing the iterator stops the job.

        Raises TalkingHeadError, in words for the visitor: file names, never paths.
        """
        ticket = Ticket()
        with self._lock:
            self._tickets.setdefault(owner, set()).add(ticket)
        video: Path | None = None
        delivered = False
        try:
            self._check_files(wish)
            options, framing = self._options(wish), Framing(self._whole(wish.face, self._texts.face, Framing.face_index))
            self._check_room()  # before the files are read: a full house must not fill the memory as well
            yield Snapshot("reading")
            request = await self._read(wish, owner, options, framing)
            ticket.check()
            video = self._outputs.new_video()
            job = self._studio.submit(request, video)
            ticket.hold(job)
            watch = _Watch()
            while not job.wait(0):
                yield watch.look(job.progress, self._studio.scheduler.position(job))
                await asyncio.sleep(POLL_S)
            generation = job.result()
            delivered = True
            yield generation
        except TalkingHeadError as error:
            raise _without_paths(error, wish, video) from error
        finally:
            ticket.cancel()
            with self._lock:
                self._tickets[owner].discard(ticket)
                if not self._tickets[owner]:
                    del self._tickets[owner]
            if video is not None and not delivered:
                self._outputs.discard(video)

    def _check_files(self, wish: Wish) -> None:
        texts = self._texts
        if not wish.audio or not wish.image:
            both = not wish.audio and not wish.image
            raise InputError(texts.no_photo_no_speech if both else texts.no_photo if not wish.image else texts.no_speech)
        for path in (Path(wish.image), Path(wish.audio)):
            if not path.is_file():
                raise InputError(texts.upload_gone.format(name=path.name))

    def _options(self, wish: Wish) -> RenderOptions:
        size = str(wish.size if wish.size not in (None, "") else RenderOptions.size).strip()
        if size != "source" and not (size.isascii() and size.isdigit()):
            raise OptionError(self._texts.bad_size.format(value=size), self._texts.bad_size_hint)
        seed = random.SystemRandom().randrange(2**32) if wish.seed is None else self._whole(wish.seed, self._texts.seed, 0)
        return RenderOptions(size="source" if size == "source" else int(size), seed=seed)

    def _whole(self, value: float | None, name: str, default: int) -> int:
        if value is None:
            return default
        try:
            if int(value) == value:
                return int(value)
        except (ValueError, OverflowError, TypeError):  # not a number, infinite, or text
            pass
        raise OptionError(self._texts.bad_whole_number.format(name=name.lower(), value=value), self._texts.bad_whole_number_hint)

    def _check_room(self) -> None:
        queue = self._studio.scheduler.stats()
        if queue["running"] + queue["waiting"] >= queue["max_jobs"] + queue["max_queue"]:
            raise BusyError(self._texts.busy.format(waiting=queue["waiting"]), self._texts.busy_hint)

    async def _read(self, wish: Wish, owner: str, options: RenderOptions, framing: Framing) -> Request:
        from core.media.audio import load_audio  # imported when first needed: the page must answer before they are loaded
        from core.media.image import load_image

        settings = self._studio.settings
        async with self._readers:
            photo = await asyncio.to_thread(load_image, Path(wish.image or ""), settings)
            audio = await asyncio.to_thread(load_audio, Path(wish.audio or ""), settings)
        return Request(audio=audio, photo=photo, engine=wish.engine or "auto", framing=framing, options=options, owner=owner)


class _Watch:
    """Turns a job's progress into speed and time left."""

    def __init__(self) -> None:
        self._started_s: float | None = None
        self._started_at = 0

    def look(self, progress: Progress, position: int) -> Snapshot:
        now_s = time.monotonic()
        if self._started_s is None and progress.stage == "animating":
            self._started_s, self._started_at = now_s, progress.done
        fps, left_s = 0.0, None
        if self._started_s is not None and progress.done > self._started_at:
            fps = (progress.done - self._started_at) / (now_s - self._started_s)
            left_s = (progress.total - progress.done) / fps
        return Snapshot(progress.stage, progress.done, progress.total, position, fps, left_s)


def _without_paths(error: TalkingHeadError, wish: Wish, video: Path | None) -> TalkingHeadError:
    """The same error with every path of ours shortened to the file's name: a visitor knows the name, and must not learn the path."""
    message, hint = error.message, error.hint
    for path in (wish.audio, wish.image, video and str(video), video and str(video.parent)):
        if path:
            message, hint = message.replace(path, Path(path).name), hint.replace(path, Path(path).name)
    return type(error)(message, hint)
