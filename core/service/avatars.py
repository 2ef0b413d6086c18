"""Lists, renames and deletes an owner's avatars, and clears what is cached. Registering one is a job (requests.py)."""

from __future__ import annotations

from core.errors import OptionError
from core.request import Avatar
from core.service.job_topics import owner_topic
from core.service.topics import Topics
from core.service.videos import Videos
from core.speech_synthesis.speech_cache import SpeechCache
from core.studio import Studio

CLEARABLE = ("avatars", "results", "speech", "all")


class AvatarService:
    """Whatever changes is told to all who watch the owner. Thread-safe. speech: None keeps none."""

    def __init__(self, studio: Studio, videos: Videos, topics: Topics, speech: SpeechCache | None) -> None:
        self._studio, self._videos, self._topics, self._speech = studio, videos, topics, speech

    def of(self, owner: str) -> list[Avatar]:
        """The newest first."""
        return self._studio.list_avatars(owner)

    def thumbnail(self, token: str, owner: str) -> bytes:
        """JPEG, 256x256 pixels around the face. Raises AvatarError."""
        return self._studio.thumbnail(token, owner)

    def moving_thumbnail(self, token: str, owner: str) -> bytes | None:
        """Animated WebP, 96x96 pixels around the face; None of a photo. Raises AvatarError."""
        return self._studio.moving_thumbnail(token, owner)

    def rename(self, token: str, owner: str, name: str) -> Avatar:
        """Raises AvatarError, OptionError."""
        renamed = self._studio.rename_avatar(token, owner, name)
        self._topics.publish(owner_topic(owner))
        return renamed

    def delete(self, token: str, owner: str) -> int:
        """Gone for good, and every video made of it. Bytes freed. Raises AvatarError."""
        freed = self._studio.delete_avatar(token, owner) + self._videos.forget(owner, token)
        self._topics.publish(owner_topic(owner))
        return freed

    def clear(self, which: str, owner: str) -> int:
        """Clears the owner's "avatars" and the videos of them, "results", the synthesised "speech" or "all". Bytes freed.

        Raises OptionError.
        """
        if which not in CLEARABLE:
            raise OptionError(
                f"There is no cache {which!r}.", f"Choose one of: {', '.join(CLEARABLE)}.",
                code="unknown_cache", parameters={"value": repr(which)[:80]},
            )  # fmt: skip
        freed = self._speech.clear(owner) if self._speech is not None and which in ("speech", "all") else 0
        if which == "speech":
            return freed
        freed += self._studio.clear_cache(which, owner)
        freed += self._videos.forget_of_avatars(owner) if which == "avatars" else self._videos.forget(owner)
        self._topics.publish(owner_topic(owner))
        return freed
