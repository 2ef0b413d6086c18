"""A visitor's avatars: registering, looking at, renaming and deleting them. Knows nothing of Gradio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from core.errors import InputError, OptionError, TalkingHeadError
from core.scheduler import Job
from core.service.requests import Desk, whole_number, without_paths
from core.service.tickets import Snapshot, Visitor
from core.types import Avatar, Framing
from core.web.pages.texts import Texts

CLEARABLE = ("avatars", "results", "all")


@dataclass(frozen=True)
class Card:
    """What is shown of an avatar. thumbnail: JPEG."""

    token: str
    name: str
    thumbnail: bytes


class Shelf:
    """The avatars behind the pages, each visitor's own. Thread-safe."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._studio = desk.studio

    async def register(
        self, image: str | None, name: str, face: object, consent: bool, visitor: Visitor, texts: Texts
    ) -> AsyncGenerator[Snapshot | Avatar, None]:
        """Snapshots while it goes, then the avatar. Closing the iterator stops the job. Raises TalkingHeadError without paths."""
        try:
            with self._desk.tickets.new(visitor.tab) as ticket:
                if not image:
                    raise InputError(texts.no_photo)
                self._desk.check_file(image, texts)
                self._desk.check_consent(consent, texts)
                face_index = whole_number(face, "face", Framing.face_index, texts)
                yield Snapshot("reading")
                source = await self._desk.load_photo(image, ticket)
                ticket.check()

                def submit() -> Job[Avatar]:
                    framing = Framing(face_index=face_index)
                    return self._studio.submit_avatar(source, visitor.owner, name=name, framing=framing, consent=consent)

                job = await asyncio.to_thread(submit)
                async for snapshot in ticket.follow(job, self._studio.scheduler):
                    yield snapshot
                avatar = job.result()
            yield avatar
        except TalkingHeadError as error:
            raise without_paths(error, image) from error

    def cards(self, owner: str) -> list[Card]:
        """The owner's avatars with their pictures."""
        return [Card(avatar.token, avatar.name, self._studio.thumbnail(avatar.token, owner)) for avatar in self.avatars(owner)]

    def avatars(self, owner: str) -> list[Avatar]:
        return self._studio.list_avatars(owner)

    def rename(self, token: str, owner: str, name: str) -> Avatar:
        return self._studio.rename_avatar(token, owner, name)

    def delete(self, token: str, owner: str) -> int:
        """Gone for good, and every video made of it; returns the freed bytes."""
        freed = self._studio.delete_avatar(token, owner)
        return freed + self._desk.history.forget(owner, token)

    def clear(self, which: str, owner: str, texts: Texts) -> int:
        """Clears the owner's "avatars", "results" or "all", and the past videos that belong to them; returns the freed bytes."""
        if which not in CLEARABLE:
            raise OptionError(texts.bad_which.format(value=repr(which)), texts.bad_which_hint)
        tokens = [avatar.token for avatar in self.avatars(owner)]
        freed = self._studio.clear_cache(which, owner)
        if which != "avatars":
            return freed + self._desk.history.forget(owner)
        return freed + sum(self._desk.history.forget(owner, token) for token in tokens)
