"""What can be said of one face of a photo before a video is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from core.aux_models.face_mesh import Face
from core.aux_models.landmarks import check_whole
from core.aux_models.upright import UprightPhoto
from core.errors import FaceError
from core.lite.photo_quality import face_warnings
from core.optimization.resolution_optimization import Box, cut_pixels, face_cut, framed, kept_box
from core.picture_options import Aspect, Crop
from core.request import RenderOptions
from core.types import Frame

PREVIEW_PX = 320


@dataclass(frozen=True, eq=False)
class FacePreview:
    """One face of a photo before a video is made. cut: what the video would show, (320, 320, 3). error: why it cannot be animated.

    place: of the face in the photo, kept: what every crop holds of it, parts: what is shown at each `aspect` where no crop is chosen; all
    left, top, width and height in shares of the photo as it was given, which may lie on its side.
    """

    cut: Frame
    warnings: tuple[str, ...]
    error: FaceError | None
    place: Crop
    kept: Crop
    parts: Mapping[str, Crop]


def preview_of(photo: UprightPhoto[Face], face: Face) -> FacePreview:
    """face: one of the photo's."""
    pixels = photo.pixels
    height, width = pixels.shape[:2]
    error = None
    if face.opening_unit_px is None:  # all that is known of a marked face is in the photo
        try:
            check_whole(face.points, pixels)
        except FaceError as cut_off:
            error = cut_off
    parts = {aspect: framed(width, height, face.box, RenderOptions(aspect=aspect)).cut for aspect in get_args(Aspect) if aspect != "auto"}
    return FacePreview(
        cut_pixels(pixels, face_cut(width, height, face.box), PREVIEW_PX, PREVIEW_PX),
        (*photo.warnings, *face_warnings(pixels, face)),
        error,
        photo.given(_share(face.box, width, height)),
        photo.given(_share(kept_box(width, height, face.box), width, height)),
        {
            name: photo.given((part.x / width, part.y / height, part.width / width, part.height / height)) for name, part in parts.items()
        },
    )


def _share(box: Box, width: int, height: int) -> Crop:
    """x0, y0, x1, y1 in pixels as a part of a photo of that size."""
    x0, y0, x1, y1 = box
    return x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height
