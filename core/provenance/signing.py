"""Content Credentials: a C2PA manifest, signed with the deployment's key, embedded into every finished video.

The manifest binds the whole file (C2PA's BMFF hash), so any later change of picture, sound or metadata shows.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import OptionError, SigningError
from core.provenance.disclosure import DIGITAL_SOURCE_TYPE, GENERATOR, GENERATOR_VERSION
from core.provenance.library import context, load
from core.settings import Settings

_MAX_PEM_BYTES = 2**20


class Signer:
    """Signs finished files. Thread-safe; key and certificates are read once.

    certificates: PEM chain, the signer's first, its authorities after it. key: PEM, not encrypted. algorithm: C2PA's name for it.
    timestamp_url: RFC 3161 service that certifies when a file was signed; without one a signature is good only until the certificate
    expires, and nothing goes over the network.
    Raises OptionError when they cannot be read, do not belong together, or are expired; TalkingHeadError without c2pa-python.
    """

    def __init__(self, certificates: Path, key: Path, algorithm: str = "es256", timestamp_url: str | None = None) -> None:
        self._certificates, self._key = _read("C2PA_CERT", certificates), _read("C2PA_KEY", key)
        self._algorithm, self._timestamp_url = algorithm, timestamp_url
        load()
        _check_pair(self._certificates, self._key)
        self.fingerprint = hashlib.sha256(self._certificates).hexdigest()
        """Differs between certificates: what one signed is not what another would have."""

    def sign(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Puts the signed file in the place of the MP4 at `path`, in one step. metadata: as in `disclosure`.

        Raises SigningError, with the file at `path` as it was and nothing else left behind.
        """
        c2pa = load()
        signed = path.with_name(f".{secrets.token_hex(8)}.mp4.part")
        try:
            who = c2pa.C2paSignerInfo(self._algorithm, self._certificates, self._key, self._timestamp_url)
            with (
                context(self._timestamp_url) as how,
                c2pa.Signer.from_info(who) as signer,
                c2pa.Builder(json.dumps(_claim(metadata)), how) as builder,
                path.open("rb") as source,
                signed.open("x+b") as target,
            ):
                builder.sign(signer, "video/mp4", source, target)
            os.replace(signed, path)
        except (c2pa.C2paError, OSError, ValueError) as error:
            hint = "No video was made: unsigned ones are not wanted here. Check the TALKING_HEAD_C2PA_ settings and the disk."
            raise SigningError(f"The video could not be signed ({error}).", hint) from error
        finally:
            signed.unlink(missing_ok=True)


def open_signer(settings: Settings) -> Signer | None:
    """The deployment's signer, None where none is configured. Raises as `Signer` does, and OptionError for half a configuration."""
    if settings.c2pa_cert is None and settings.c2pa_key is None:
        return None
    if settings.c2pa_cert is None or settings.c2pa_key is None:
        raise OptionError("Only one of TALKING_HEAD_C2PA_CERT and TALKING_HEAD_C2PA_KEY is set.", "Set both to sign videos, or neither.")
    return Signer(settings.c2pa_cert, settings.c2pa_key, settings.c2pa_alg, settings.c2pa_tsa_url)


def _claim(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What is signed, in C2PA's terms. Whether others may train on it is for its owner to say, so no such assertion is made."""
    engine, _, revision = metadata["engine"].partition(" ")
    created = {
        "action": "c2pa.created",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "softwareAgent": {"name": f"{GENERATOR} {engine}", "version": revision},
        "description": metadata["comment"],
    }
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": GENERATOR_VERSION}],
        "title": "Synthetic video",
        "format": "video/mp4",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}, "created": True}],
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


def _check_pair(certificates: bytes, key: bytes) -> None:
    """At the start, not at the end of the first video: do they belong together, and is it their time?"""
    from cryptography import x509  # comes with c2pa-python
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        first = x509.load_pem_x509_certificates(certificates)[0]
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = "The first must hold PEM certificates, the signer's first; the second its private key in PEM, not encrypted."
        raise OptionError(f"TALKING_HEAD_C2PA_CERT and _KEY cannot be used ({error}).", hint) from error
    if first.public_key() != private.public_key():
        hint = "The first certificate in the file must be the one made for this key."
        raise OptionError("TALKING_HEAD_C2PA_CERT and TALKING_HEAD_C2PA_KEY do not belong together.", hint)
    now = datetime.datetime.now(datetime.UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        when = f"from {first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}"
        raise OptionError(f"The certificate in TALKING_HEAD_C2PA_CERT is valid {when} only.", "Configure one that is valid today.")
