"""The metadata by which every video says that it is synthetic, for people and for programs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Literal

GENERATOR, GENERATOR_VERSION = "talking-head", "0.1.0"

_TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = _TERMS + "compositeSynthetic"
"""IPTC's term for what these videos are: "Mix or composite of several elements, at least one of which is Generative AI"
(cv.iptc.org/newscodes/digitalsourcetype): a real photo, motion from trained models, a real recording, together a new work.

Not trainedAlgorithmicMedia ("created algorithmically using an Artificial Intelligence model"): face and voice are captured. Not
compositeWithTrainedAlgorithmicMedia ("Augmentation, correction or enhancement using a Generative AI model"): that is an edit of
something that was there before, which in C2PA opens the original as an ingredient; this video never existed without the AI.
"""
NO_MARK = "none"
_COMMENT = "Synthetic media: "
"""How the comment begins, which is all that a GIF says of itself."""
SYNTHETIC_TYPES = frozenset(
    _TERMS + term
    for term in (
        "compositeSynthetic",
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicMedia",
        "algorithmicMedia",
        "virtualRecording",
    )
)
"""Terms that a reader takes for "made or altered by AI"."""


def disclosure(engine: str, revision: str, kind: Literal["photo", "video"], label: bool, mark: str = NO_MARK) -> dict[str, str]:
    """Metadata for the container of a video or stream; `dated` completes it.

    kind: of the source. label: whether the visible label is in the frames. mark: what the imperceptible one is called (`Marker.statement`).
    """
    what = "a still photo" if kind == "photo" else "a video of a face"
    return {
        "comment": f"{_COMMENT}{what} animated by {GENERATOR}, engine {engine} {revision}",
        "synthetic_media": "true",
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "generator": f"{GENERATOR} {GENERATOR_VERSION}",
        "engine": f"{engine} {revision}",
        "visible_label": "AI" if label else "none",
        "imperceptible_mark": mark,
    }


def dated(metadata: Mapping[str, str], date: datetime.date) -> dict[str, str]:
    """With the day on which the video is made; no time, so that the same request gives the same bytes again on the same day."""
    return {**metadata, "date": date.isoformat()}


def says_synthetic(metadata: Mapping[str, str]) -> bool:
    """Whether metadata under these keys calls the video synthetic."""
    if metadata.get("comment", "").startswith(_COMMENT):
        return True
    return metadata.get("synthetic_media") == "true" or metadata.get("digital_source_type") in SYNTHETIC_TYPES
