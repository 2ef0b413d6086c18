"""Which options a photo, a video, a recording and a live session cannot have."""

from __future__ import annotations

import dataclasses

from core.clip_options import CLIP_OPTIONS
from core.errors import OptionError
from core.hand_landmarks import hand_points
from core.request import Avatar, Controls, Framing, RenderOptions, is_video
from core.types import Photo, Source


def check_hand_landmarks(source: Source | Avatar, framing: Framing, honoured: bool, engine: str) -> None:
    """Raises OptionError where a face was marked by hand and the source moves, or the engine needs one that it finds; FaceError where the
    points are no face. framing: verified.
    """
    if framing.landmarks is None:
        return
    if not honoured:
        text = f"The {engine} engine needs a face that it finds itself; here it was marked by hand (landmarks)."
        raise OptionError(text, "Choose the lite engine, or leave them out.", code="landmarks_not_honoured", parameters={"engine": engine})
    if is_video(source):
        text = "landmarks mark the face of a photo, and this is a video."
        raise OptionError(text, "Leave them out, or give a photo.", code="landmarks_video")
    if isinstance(source, Photo):
        height, width = source.pixels.shape[:2]
        hand_points(framing.landmarks, width, height)


def check_photo_options(options: RenderOptions) -> None:
    """Raises OptionError for the first option that a video source alone gives a meaning, where it differs from its default."""
    for name in CLIP_OPTIONS:
        if getattr(options, name) != getattr(RenderOptions, name):
            raise OptionError(
                f"{name} is for videos, and this is a photo.",
                "Leave it out, or give a video.",
                code="videos_only",
                parameters={"name": name},
            )


def check_moving_controls(source: Source | Avatar, controls: Controls, photo_only: frozenset[str], engine: str) -> None:
    """Raises OptionError for the first control that differs from its default, where the source moves and the engine honours the control
    for photos only.
    """
    for field in dataclasses.fields(controls) if is_video(source) else ():
        if field.name in photo_only and getattr(controls, field.name) != field.default:
            raise OptionError(
                f"{field.name} is for photos: of a video the {engine} engine changes the mouth and the jaw.",
                "Leave it out, or give a photo.",
                code="photo_option",
                parameters={"name": field.name, "engine": engine},
            )


def check_stream_options(options: RenderOptions) -> None:
    """Raises OptionError for what is told in a file beside a video, which a stream does not have."""
    if options.visemes:
        text = "A stream of a video is told no visemes."
        raise OptionError(text, "Leave visemes out, make a video, or use a live session.", code="visemes_stream")


def check_live_options(options: RenderOptions) -> None:
    """Raises OptionError for the first option that a live session, which has no end and 25 frames a second, cannot honour."""
    if options.burn_captions:
        raise OptionError("Live sessions have no captions in the picture.", "Leave burn_captions out.", code="captions_live")
    for name in ("fps", "shorter", "keep_background", "transcript"):
        if getattr(options, name) != getattr(RenderOptions, name):
            raise OptionError(f"Live sessions do not honour {name}.", "Leave it out.", code="not_live", parameters={"name": name})
