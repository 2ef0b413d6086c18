"""What every tab of a page is built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from core.errors import AvatarError
from core.service.clip_stills import shown_name, video_of
from core.service.examples import Example
from core.service.job_views import JobView
from core.service.owners import owner_of
from core.service.service import Service
from core.web.pages.texts import Texts
from core.zero_gpu import TOKEN_HEADER, visitor_tokens


@dataclass(frozen=True)
class PageContents:
    """What a page is made of. everything: avatars, past videos, status and their endpoints as well, not only the making of a video."""

    everything: bool = False
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class Context:
    """One page in one language."""

    service: Service
    contents: PageContents
    texts: Texts


def owner_of_request(request: gr.Request) -> str:
    """Whose a request is. Raises OptionError for a key that could be guessed.

    On a host that lends its GPU to visitors, the token that says who they are is kept for their jobs.
    """
    owner = owner_of(request.headers, str(request.session_hash or ""))
    visitor_tokens.note(owner, request.headers.get(TOKEN_HEADER))
    return owner


def from_phone(request: gr.Request) -> bool:
    """As browsers say it of themselves."""
    return "Mobi" in str(request.headers.get("user-agent", ""))


def person_of(service: Service, job: JobView) -> str:
    """What the person in a video is called: as the avatar, or else as the photo's file; "" where there is neither."""
    token = str(job.client_state.get("avatar", ""))
    if token:
        try:
            return service.studio.avatar(token, job.owner).name
        except AvatarError:  # deleted meanwhile
            return ""
    photo = job.client_state.get("photo")
    return shown_name(Path(photo)) if isinstance(photo, str) else ""


def uploaded(path: object) -> Path | None:
    """The file that a component handed over, or the video that it stands for; None where it is empty."""
    return video_of(Path(path)) if isinstance(path, str) and path else None
