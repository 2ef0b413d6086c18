"""Loads the C2PA library (23 MB) when it is first needed, with network access off."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from core.errors import TalkingHeadError

MAX_MANIFEST_MIB = 16
_MEMORY_MIB = 32
"""A longer video goes through a temporary file while it is signed."""


def load() -> ModuleType:
    """The package `c2pa`. Raises TalkingHeadError where it is missing or does not run."""
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        hint = "pip install -r requirements-lite.txt brings c2pa-python; without it Content Credentials cannot be read or written."
        raise TalkingHeadError(f"The package c2pa-python cannot be loaded ({error}).", hint) from error
    module: ModuleType = c2pa
    return module


def context(timestamp_url: str | None = None, anchors: str | None = None) -> Any:
    """How to read or sign: without network but for the time-stamping service, with bounded memory.

    timestamp_url: the service, where signing uses one. anchors: PEM certificates of the authorities whose signers are trusted.
    """
    hosts = [] if timestamp_url is None else [urlsplit(timestamp_url).netloc.rpartition("@")[2]]
    settings: dict[str, Any] = {
        "core": {
            "allowed_network_hosts": hosts,
            "max_decompressed_manifest_size_in_mb": MAX_MANIFEST_MIB,
            "backing_store_memory_threshold_in_mb": _MEMORY_MIB,
        },
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors is not None:
        settings["trust"] = {"user_anchors": anchors}
    return load().Context.from_json(json.dumps(settings))
