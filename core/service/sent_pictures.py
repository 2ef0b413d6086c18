"""Pictures that come within a message and not as a file, such as the background of a live session: small ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from core.errors import InputError
from core.request import RenderOptions
from core.settings import Settings
from core.types import Photo

MAX_PICTURE_BYTES = 256 * 2**10
"""Of the file of one."""
MAX_PICTURE_PIXELS = 2**22
"""So few bytes can stand for hundreds of times as many pixels, which a live session holds as long as it lasts."""
_SIDES_PX = (1024, 768, 512, 256)


def check_one_background(picture: object, options: Mapping[str, Any]) -> None:
    """picture: one for the background, or what stands for none. Raises InputError where `options` have another background."""
    if picture and "background" in options:
        raise InputError("Both a picture and another background are given.", "Give one of the two.", code="background_twice")


def background_of(data: bytes, settings: Settings) -> Photo:
    """The picture in a file, of MAX_PICTURE_PIXELS at most. Raises ImageError."""
    from core.media.image import load_image  # imported when first needed: an entry point must answer before it is loaded

    limits = settings.model_copy(update={"max_image_pixels": min(settings.max_image_pixels, MAX_PICTURE_PIXELS)})
    return load_image(data, limits, "The background")


def with_background(render: RenderOptions, data: bytes, settings: Settings) -> RenderOptions:
    """data: the file of a picture, b"" for none. Raises ImageError."""
    return dataclasses.replace(render, background=background_of(data, settings)) if data else render


def square_file(picture: Photo) -> bytes:
    """The middle of the picture that fills a square, as a JPEG file that can be sent: of at most MAX_PICTURE_BYTES."""
    from core.lite.background import covering
    from core.media.jpeg import as_jpeg

    for side in _SIDES_PX:
        data = as_jpeg(covering(picture.pixels, side, side))
        if len(data) <= MAX_PICTURE_BYTES:
            break
    return data
