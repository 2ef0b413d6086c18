"""The manifest of a data set: where each clip comes from and lies, what was dropped and why, and the statement it is used under."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from core.atomic_components.pose import MOTION_DIM
from core.types import FPS
from training.files import DataError, digest_of, read_json, write_json

NAME = "manifest.json"
SHARDS = "shards"
RECORDS = "records"
ShardName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}-\d{3}\.safetensors$")]
"""A bare name: a manifest from elsewhere must not lead out of its folder."""
OneForEach = Annotated[tuple[FiniteFloat, ...], Field(min_length=MOTION_DIM, max_length=MOTION_DIM)]
"""Of the numbers of motion."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClipEntry(_Strict):
    """key: what the names of its arrays begin with in the shard. start_s: of the source."""

    shard: ShardName
    key: Annotated[str, StringConstraints(pattern=r"^\d{5}$")]
    frames: int = Field(gt=0)
    start_s: float = Field(ge=0)


class DroppedEntry(_Strict):
    from_s: float
    to_s: float
    reason: str


class SourceEntry(_Strict):
    """One video. error: why it could not be read; "" otherwise. seconds: of all of it."""

    name: str
    sha256: Digest
    seconds: float = Field(ge=0)
    clips: tuple[ClipEntry, ...] = ()
    dropped: tuple[DroppedEntry, ...] = ()
    error: str = ""
    shards: dict[ShardName, Digest] = Field(default_factory=dict)


class Options(_Strict):
    """What decides what is written of a video. networks: fingerprint of those that were used."""

    networks: str
    min_frames: int
    max_frames: int
    check_sync: bool


class Record(_Strict):
    """What is kept beside the shards of one source, so that work that was stopped goes on."""

    options: Options
    source: SourceEntry


class StatementEntry(_Strict):
    consent: str
    licence: str


class Moments(_Strict):
    """Of the 265 numbers, over all frames: as rows of `v_min_max_for_clip`."""

    minimum: OneForEach
    maximum: OneForEach
    mean: OneForEach
    scale: OneForEach


class Manifest(_Strict):
    format: Literal[1] = 1
    statement: StatementEntry
    options: Options
    sources: tuple[SourceEntry, ...]
    motion: Moments

    @property
    def clips(self) -> tuple[tuple[SourceEntry, ClipEntry], ...]:
        return tuple((source, clip) for source in self.sources for clip in source.clips)

    @property
    def seconds(self) -> float:
        """Of all clips."""
        return sum(clip.frames for _, clip in self.clips) / FPS

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest:
    """Raises DataError for a folder that `training.prepare` did not make, or a manifest that was damaged."""
    path = folder / NAME
    try:
        return Manifest.model_validate(read_json(path, "The manifest"))
    except ValidationError as error:
        raise DataError(f"The manifest {path} is damaged: {first_fault(error)}.", "Run python -m training.prepare again.") from error


def check_shards(folder: Path, manifest: Manifest, whole: bool = False) -> None:
    """That all shards are there; whole: and have their hashes. Raises DataError."""
    for source in manifest.sources:
        for name, digest in source.shards.items():
            path = folder / SHARDS / name
            if not path.is_file():
                raise DataError(f"The shard {path} of {source.name} is missing.", "Run python -m training.prepare again.")
            if whole and digest_of(path) != digest:
                raise DataError(f"The shard {path} of {source.name} is not what was written.", "Run python -m training.prepare again.")


def record_path(folder: Path, sha256: str) -> Path:
    return folder / RECORDS / f"{sha256[:16]}.json"


def write_record(folder: Path, record: Record) -> None:
    write_json(record_path(folder, record.source.sha256), record.model_dump(mode="json"))


def finished_record(folder: Path, sha256: str, options: Options) -> Record | None:
    """The record of a source that was done with these options and whose shards are whole; None: it is to be done (again)."""
    path = record_path(folder, sha256)
    if not path.is_file():
        return None
    try:
        record = Record.model_validate(read_json(path, "The record"))
        whole = all(digest_of(folder / SHARDS / name) == digest for name, digest in record.source.shards.items())
    except (DataError, ValidationError):
        return None
    return record if whole and record.options == options and record.source.sha256 == sha256 else None


def first_fault(error: ValidationError) -> str:
    """Where, and what."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place or 'it'}: {fault['msg']}"
