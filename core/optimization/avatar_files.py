"""The files in an avatar's folder: its description as JSON, and each engine's registration as safetensors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from core.engines.base import Engine, Registration, Saved
from core.optimization.cache_folder import checked_json, read_checked
from core.request import Avatar, Default, Framing

FORMAT = 1
"""Version of the files in an avatar's folder."""


def registration_file(engine: str) -> str:
    """The name of the file of one engine."""
    return f"{engine}.safetensors"


def framing_values(framing: Framing) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    values = {field.name: getattr(framing, field.name) for field in dataclasses.fields(framing)}
    usual = (("face_index", 0), ("landmarks", None))
    return {name: value for name, value in values.items() if not isinstance(value, Default) and (name, value) not in usual}


def as_json(avatar: Avatar, source_sha256: str) -> bytes:
    """The description, with its own checksum and the digest of the source; without what the folder itself says."""
    kept = {field.name: getattr(avatar, field.name) for field in dataclasses.fields(avatar) if field.name not in ("owner", "nbytes")}
    return checked_json({**kept, "framing": framing_values(avatar.framing), "format": FORMAT, "source_sha256": source_sha256})


def from_json(data: bytes, token: str, owner: str, nbytes: int) -> Avatar:
    """Raises ValueError, KeyError, TypeError or AttributeError for a damaged description, one of another format or of another avatar."""
    values = read_checked(data)
    if values.pop("format") != FORMAT or values["token"] != token:
        raise ValueError("its description is of another format, or of another avatar")
    del values["source_sha256"]
    framing = Framing(**{name: _tuples(value) for name, value in values.pop("framing").items()})
    warnings = tuple(values.pop("warnings"))
    return Avatar(owner=owner, nbytes=nbytes, framing=framing, warnings=warnings, **values)


def _tuples(value: Any) -> Any:
    """JSON has lists in their place."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def packed(engine: Engine, registration: Registration) -> bytes:
    """A registration as a safetensors file with the engine's revision and a checksum."""
    tensors, meta = engine.save(registration)
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    about = json.dumps(meta)
    stamp = {"format": str(FORMAT), "revision": engine.revision, "meta": about, "digest": _digest(arrays, about)}
    data: bytes = safetensors.numpy.save(arrays, metadata=stamp)
    return data


def unpacked(path: Path, revision: str) -> Saved | None:
    """None of another revision. Raises OSError, and ValueError, KeyError or SafetensorError for a damaged file."""
    with safetensors.safe_open(path, framework="np") as file:
        stamp = file.metadata() or {}
        if stamp.get("format") != str(FORMAT) or stamp.get("revision") != revision:
            return None
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    if _digest(arrays, stamp["meta"]) != stamp["digest"]:
        raise ValueError("the checksum does not fit")
    return arrays, json.loads(stamp["meta"])


def _digest(arrays: Mapping[str, Any], about: str) -> str:
    digest = hashlib.sha256(about.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes() if not array.flags.c_contiguous else memoryview(array).cast("B") if array.size else b"")
    return digest.hexdigest()
