"""The values that a request becomes on its way to a session."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Literal

from core.engines.base import Engine, Registration
from core.media.source import Clip
from core.provenance.disclosure import NO_MARK, dated, disclosure
from core.provenance.marking import PUBLIC_MARKER, Marker
from core.request import Avatar, Controls, Framing, RenderOptions, is_video
from core.types import Source


@dataclasses.dataclass(frozen=True, eq=False)
class RunRequest:
    """Whom to show, by which engine, and how: a request without its recording. n_frames: of the video, where that is known."""

    source: Source | Avatar
    owner: str
    engine: str = "auto"
    framing: Framing = Framing()
    controls: Controls = Controls()
    options: RenderOptions = RenderOptions()
    n_frames: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedEngine:
    """The engine that serves a request, why this one, the request completed for it, how long the request waited for it, and what marks
    the frames.
    """

    engine: Engine
    reason: str
    request: RunRequest
    load_ms: float = 0.0
    marker: Marker = PUBLIC_MARKER

    @property
    def disclosure(self) -> dict[str, str]:
        """The metadata of the videos that the request gives, without their date."""
        kind: Literal["video", "photo"] = "video" if is_video(self.request.source) else "photo"
        options = self.request.options
        mark = self.marker.statement if options.mark else NO_MARK
        return disclosure(self.engine.name, self.engine.revision, kind, options.label, mark)


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedRun:
    """The loaded engine and the person registered with it.

    started_s: by time.perf_counter, when the registration began. register_ms: how long it took. clip: the video source, where its sound
    is kept under the speech.
    """

    loaded: LoadedEngine
    registration: Registration
    started_s: float
    register_ms: float
    clip: Clip | None = None

    @property
    def engine(self) -> Engine:
        return self.loaded.engine

    @property
    def avatar(self) -> str | None:
        """The token, where one was given."""
        source = self.loaded.request.source
        return source.token if isinstance(source, Avatar) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of source and registration."""
        source = self.loaded.request.source
        return tuple(dict.fromkeys((*source.warnings, *self.registration.warnings)))  # an avatar's source has those of its first engine

    def metadata(self) -> dict[str, str]:
        """The metadata of a video or stream that is made now."""
        return dated(self.loaded.disclosure, datetime.datetime.now(datetime.UTC).date())
