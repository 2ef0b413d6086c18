"""Reads what a video from anywhere says about its origin, and verifies its signature without network access."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from core.errors import InputError
from core.media.formats import VIDEO_FORMATS
from core.media.sniff import HEAD_BYTES, identify
from core.media.video_decoding import open_video
from core.provenance.container import C2PA_UUID, boxes, read_metadata
from core.provenance.disclosure import SYNTHETIC_TYPES, says_synthetic
from core.provenance.library import MAX_MANIFEST_MIB, context, load
from core.provenance.mark_detection import MarkReading
from core.provenance.mark_reading import read_mark

MAX_FILE_BYTES = 16 * 2**30
_MAX_TEXT, _MAX_ITEMS = 400, 32
_NO_LIST = "signingCredential.untrusted"
"""The library's status of every signer where no list of authorities was given."""

State = Literal["trusted", "intact", "broken"]


@dataclass(frozen=True)
class Manifest:
    """A C2PA manifest.

    state: "trusted" (intact, and the signer leads to one of the authorities given), "intact" (nothing was changed since somebody with this
    certificate signed it; who that is was not checked) or "broken". signer, organisation: of the certificate. signed_at: from a
    time-stamping service, "" without one. generator: the program that made the claim. source_types: IPTC terms of its actions.
    actions: what was done, by what. problems: why it is broken.
    """

    state: State
    signer: str = ""
    organisation: str = ""
    signed_at: str = ""
    generator: str = ""
    source_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """The result of reading a file. metadata: of the container, unsigned unless there is a manifest. mark: in the pictures; None where it
    was not looked for, or the pictures could not be read, and then mark_error says why.
    """

    metadata: Mapping[str, str]
    manifest: Manifest | None
    mark: MarkReading | None = None
    mark_error: InputError | None = None

    @property
    def synthetic(self) -> bool:
        """Whether the file is marked as synthetic; a broken manifest marks nothing."""
        if self.mark is not None and self.mark.found:
            return True
        signed = () if self.manifest is None or self.manifest.state == "broken" else self.manifest.source_types
        return not SYNTHETIC_TYPES.isdisjoint(signed) or says_synthetic(self.metadata)

    @property
    def good(self) -> bool:
        """Marked as synthetic, and whatever is signed verifies."""
        return self.synthetic and (self.manifest is None or self.manifest.state != "broken")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        manifest = None if self.manifest is None else dataclasses.asdict(self.manifest)
        mark = None if self.mark is None else self.mark.to_dict()
        said = None if self.mark_error is None else str(self.mark_error)
        marks = {"manifest": manifest, "mark": mark, "mark_problem": said}
        return {"good": self.good, "synthetic": self.synthetic, "metadata": dict(self.metadata), **marks}


def read_provenance(path: Path, anchors: str | None = None) -> Provenance:
    """Reads an MP4. anchors: PEM certificates; with them, a signer that does not lead to one breaks the manifest.

    Raises InputError for what is not a readable MP4.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path} is not a file.", "Give an MP4.")
            if status.st_size > MAX_FILE_BYTES:
                raise InputError(f"{path} has {status.st_size} bytes.", f"At most {MAX_FILE_BYTES} are read.")
            return _read(path, file, status.st_size, anchors)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).", "Check the path.") from error


def read_all(path: Path, anchors: str | None = None, mark_key: bytes | None = None) -> Provenance:
    """As `read_provenance`, and looks for the mark in the pictures; also of the other videos that are read, which hold no manifest.

    mark_key: of the deployment whose number is looked for. Raises InputError for what is no readable video.
    """
    mark: MarkReading | None = None
    problem: InputError | None = None
    try:
        mark = read_mark(path, mark_key)
    except InputError as error:
        if not _is_mp4(path):
            raise
        problem = error
    found = read_provenance(path, anchors) if _is_mp4(path) else _read_tags(path)
    return dataclasses.replace(found, mark=mark, mark_error=problem)


def _read_tags(path: Path) -> Provenance:
    """What another video than an MP4 says of itself. Raises InputError."""
    with open(path, "rb", opener=_open) as file, open_video(file, path.name) as container:
        tags = itertools.islice(container.metadata.items(), _MAX_ITEMS)
        return Provenance({plain(name.lower()): plain(text) for name, text in tags}, None)


def _is_mp4(path: Path) -> bool:
    try:
        with open(path, "rb", opener=_open) as file:
            return identify(file.read(HEAD_BYTES)).decoder == "mov"
    except (OSError, ValueError):
        return False


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe must not make us wait


def _read(path: Path, file: BinaryIO, size: int, anchors: str | None) -> Provenance:
    top = boxes(file, 0, size)
    first = next(top, None)
    if first is None or first.kind != b"ftyp":
        raise InputError(
            f"{path} is not a video that can be read.", f"Give a {VIDEO_FORMATS} file.", code="not_a_video",
            parameters={"name": path.name},
        )  # fmt: skip
    metadata: dict[str, str] = {}
    manifest: Manifest | None = None
    for box in top:
        if box.kind == b"moov" and not metadata:
            metadata = {plain(key): plain(text) for key, text in read_metadata(file, box).items()}
        elif box.kind == b"uuid" and manifest is None:
            file.seek(box.start)
            if file.read(16) == C2PA_UUID:
                manifest = _verify(file, box.end - box.start, anchors)
    return Provenance(metadata, manifest)


def _verify(file: BinaryIO, nbytes: int, anchors: str | None) -> Manifest:
    """The manifest of a file that has one, of `nbytes` in its box."""
    if nbytes > MAX_MANIFEST_MIB * 2**20:
        return Manifest("broken", problems=(f"the manifest has {nbytes} bytes; at most {MAX_MANIFEST_MIB} MiB are read",))
    c2pa = load()
    file.seek(0)
    try:
        with context(anchors=anchors) as how, c2pa.Reader("video/mp4", file, None, how) as reader:
            found = json.loads(reader.json())
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        return Manifest("broken", problems=(plain(str(error)),))
    state = {"Valid": "intact", "Trusted": "trusted"}.get(str(found.get("validation_state")), "broken")
    failures = _dicts(_dig(found, "validation_results", "activeManifest", "failure"))
    problems = [f"{failure.get('code')}: {failure.get('explanation')}" for failure in failures if failure.get("code") != _NO_LIST]
    if anchors is not None and state == "intact":
        state = "broken"
        problems.append("the signer does not lead to any of the authorities given")
    claim = _dig(found, "manifests", found.get("active_manifest"))
    actions = [
        action
        for assertion in _dicts(_dig(claim, "assertions"))
        if str(assertion.get("label")).startswith("c2pa.actions")
        for action in _dicts(_dig(assertion, "data", "actions"))
    ]
    return Manifest(
        state=cast(State, state),
        signer=plain(_dig(claim, "signature_info", "common_name")),
        organisation=plain(_dig(claim, "signature_info", "issuer")),
        signed_at=plain(_dig(claim, "signature_info", "time")),
        generator=", ".join(_few(_named(program) for program in _dicts(_dig(claim, "claim_generator_info")))),
        source_types=_few(action.get("digitalSourceType") for action in actions),
        actions=_few(f"{action.get('action', '')} by {_named(action.get('softwareAgent')) or 'unknown'}" for action in actions),
        problems=_few(problems),
    )


def _dig(value: Any, *keys: Any) -> Any:
    """value[key][key]..., None where there is no such thing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _dicts(value: Any) -> list[dict[str, Any]]:
    """The mappings in a list; nothing of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _named(program: Any) -> str:
    """Name and version of a program, as claims give them: in two fields, or in one text."""
    if not isinstance(program, dict):
        return plain(program)
    return " ".join(filter(None, (plain(program.get("name")), plain(program.get("version")))))


def _few(texts: Iterable[Any]) -> tuple[str, ...]:
    return tuple(filter(None, (plain(text) for text in itertools.islice(texts, _MAX_ITEMS))))


def plain(text: Any) -> str:
    """Fit for a terminal and a log: one short line without control characters."""
    shown = "" if text is None else str(text)[:_MAX_TEXT]
    return "".join(character if character.isprintable() else "?" for character in shown)
