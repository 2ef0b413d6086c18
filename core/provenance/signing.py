"""Embeds a signed C2PA manifest (Content Credentials) into a finished video.

The manifest binds the whole file (C2PA's BMFF hash), so any later change of picture, sound or metadata shows.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import OptionError, SigningError, disk_error, is_disk_full
from core.provenance.disclosure import DIGITAL_SOURCE_TYPE, GENERATOR, GENERATOR_VERSION, NO_MARK
from core.provenance.library import context, load
from core.settings import Settings

_MAX_PEM_BYTES = 2**20
_EMPTY_VIDEO = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512) + struct.pack(">I4s", 8, b"moov") + struct.pack(">I4s", 8, b"mdat")
_NEEDED = (
    "Needed: first the signer's own certificate (not a self-signed one), valid today and made for digital signatures with e-mail "
    "protection or document signing as its use, then its authorities'; the private key of the first, in PEM without a password; and the "
    "algorithm that fits the key."
)


class Signer:
    """Signs finished files. Thread-safe; key and certificates are read once, and tried at once on an empty video.

    certificates: PEM chain, the signer's first, its authorities after it. key: PEM, not encrypted. algorithm: C2PA's name for it.
    timestamp_url: RFC 3161 service that certifies when a file was signed; without one a signature is good only until the certificate
    expires, and nothing goes over the network.
    Raises OptionError when nothing can be signed with them; TalkingHeadError without c2pa-python.
    """

    def __init__(self, certificates: Path, key: Path, algorithm: str = "es256", timestamp_url: str | None = None) -> None:
        self._certificates, self._key = _read("C2PA_CERT", certificates), _read("C2PA_KEY", key)
        self._algorithm, self._timestamp_url = algorithm, timestamp_url
        self.fingerprint = hashlib.sha256(self._certificates + f"{algorithm} {timestamp_url}".encode()).hexdigest()
        """Identifies the signing configuration: videos of another one differ."""
        try:
            self._embed(io.BytesIO(_EMPTY_VIDEO), io.BytesIO(), _claim("trial", "0", "trial"), None)
        except load().C2paError as error:
            message = f"TALKING_HEAD_C2PA_CERT, _KEY and _ALG ({algorithm}) cannot sign: {error}."
            raise OptionError(message, _NEEDED) from error

    def sign(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Puts the signed file in the place of the MP4 at `path`, in one step. metadata: as in `disclosure`.

        Raises SigningError (DiskFull where there is no room), with the file at `path` as it was and nothing else left behind.
        """
        engine, _, revision = metadata["engine"].partition(" ")
        signed = path.with_name(f".{secrets.token_hex(8)}.mp4.part")
        try:
            with path.open("rb") as source, signed.open("x+b") as target:
                self._embed(
                    source, target, _claim(engine, revision, metadata["comment"], metadata["imperceptible_mark"]), self._timestamp_url
                )
            os.replace(signed, path)
        except (load().C2paError, OSError) as error:
            if isinstance(error, OSError) and is_disk_full(error):
                raise disk_error(error, "The video could not be signed", "") from error
            hint = "No video was made: unsigned ones are not wanted here. Check the TALKING_HEAD_C2PA_ settings and the disk."
            raise SigningError(f"The video could not be signed ({error}).", hint) from error
        finally:
            signed.unlink(missing_ok=True)

    def _embed(self, source: BinaryIO, target: BinaryIO, claim: dict[str, Any], timestamp_url: str | None) -> None:
        c2pa = load()
        who = c2pa.C2paSignerInfo(self._algorithm, self._certificates, self._key, timestamp_url)
        with context(timestamp_url) as how, c2pa.Signer.from_info(who) as signer, c2pa.Builder(json.dumps(claim), how) as builder:
            builder.sign(signer, "video/mp4", source, target)


def open_signer(settings: Settings) -> Signer | None:
    """The deployment's signer, None where none is configured. Raises as `Signer` does, and OptionError for half a configuration."""
    if settings.c2pa_cert is None and settings.c2pa_key is None:
        return None
    if settings.c2pa_cert is None or settings.c2pa_key is None:
        raise OptionError("Only one of TALKING_HEAD_C2PA_CERT and TALKING_HEAD_C2PA_KEY is set.", "Set both to sign videos, or neither.")
    return Signer(settings.c2pa_cert, settings.c2pa_key, settings.c2pa_alg, settings.c2pa_tsa_url)


def _claim(engine: str, revision: str, statement: str, mark: str = NO_MARK) -> dict[str, Any]:
    """The claims that are signed, in C2PA's terms. Whether others may train on it is for its owner to say, so no such assertion is made.

    mark: as in `disclosure`. It is the soft binding: what still binds the pictures to this manifest where a file has lost it.
    """
    created = {
        "action": "c2pa.created",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "softwareAgent": {"name": f"{GENERATOR} {engine}", "version": revision},
        "description": statement,
    }
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": [created]}, "created": True}]
    if mark != NO_MARK:
        algorithm, _, value = mark.partition(" ")
        binding = {"alg": algorithm, "blocks": [{"scope": {}, "value": value or "public"}]}
        assertions.append({"label": "c2pa.soft-binding", "data": binding, "created": True})
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": GENERATOR_VERSION}],
        "title": "Synthetic video",
        "format": "video/mp4",
        "assertions": assertions,
    }


def _read(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_PEM_BYTES + 1)
    except OSError as error:
        raise OptionError(f"TALKING_HEAD_{name} is {path}, which cannot be read ({error.strerror}).", "Check the path.") from error
    if len(content) > _MAX_PEM_BYTES or b"-----BEGIN " not in content:
        raise OptionError(f"TALKING_HEAD_{name} is {path}, which is not a PEM file.", "Convert it to PEM.")
    return content
