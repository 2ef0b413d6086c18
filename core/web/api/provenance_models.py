"""The JSON bodies of what is told about the origin of videos."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_MARK: dict[str, Any] = {
    "found": True, "confidence": 0.9999999999, "chance": 3.1e-37, "id": None, "mirrored": False, "scale": 1.0, "frames": 250,
}  # fmt: skip
_METADATA: dict[str, Any] = {
    "synthetic_media": "true",
    "engine": "lite 9",
    "visible_label": "AI",
    "imperceptible_mark": "talking-head.mark.1",
}
_DETECTED: dict[str, Any] = {
    "good": True, "synthetic": True, "metadata": _METADATA, "manifest": None, "mark": _MARK, "mark_problem": None,
}  # fmt: skip


class MarkFound(BaseModel):
    """What the pictures say."""

    model_config = ConfigDict(extra="forbid")

    found: bool = Field(description="The public mark is in the pictures")
    confidence: float = Field(ge=0, le=1, description="1 - chance")
    chance: float = Field(ge=0, le=1, description="Bound on the probability that a video without the mark gives as much")
    id: str | None = Field(
        description="The number of this deployment's own mark, eight hexadecimal digits; null where it has none, or it is not read"
    )
    mirrored: bool | None
    scale: float | None = Field(description="Below 1: the marked picture is a part of what is shown; above 1: it was cut")
    frames: int = Field(description="How many were looked at")


class ManifestFound(BaseModel):
    """Content Credentials (C2PA)."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["trusted", "intact", "broken"] = Field(description="intact: not changed since it was signed, by whom was not checked")
    signer: str
    organisation: str
    signed_at: str
    generator: str
    source_types: list[str]
    actions: list[str]
    problems: list[str]


class Detected(BaseModel):
    """How a video is marked as synthetic."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": _DETECTED},
    )

    good: bool = Field(description="Marked as synthetic in some way, and whatever is signed verifies")
    synthetic: bool = Field(description="Marked as synthetic, by the pictures, the metadata or a manifest that is not broken")
    metadata: dict[str, str] = Field(description="Of an MP4; unsigned unless there is a manifest")
    manifest: ManifestFound | None
    mark: MarkFound | None = Field(description="null where the pictures could not be read")
    mark_problem: str | None = Field(description="Why they could not")


class LiveProvenance(BaseModel):
    """What a live session says of its video, as a whole: its pieces are not signed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"session": "q3Jf0rJ8pXl2bq0YtV5d7w", "synthetic": True, "running_s": 12.5, "metadata": _METADATA}},
    )

    session: str
    synthetic: Literal[True]
    running_s: float = Field(description="Since the session began")
    metadata: dict[str, str] = Field(description="As in the first piece of its stream")
