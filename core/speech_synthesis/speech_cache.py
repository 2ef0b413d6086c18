"""The cache of synthesised speech, from which the same text of the same owner is answered.

    speech/<owner>/<key>/       about.json  samples.i16

The key is a digest of the text, the voice, the speed and the synthesiser's revision, made with the folder's key: it tells nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import OutputError
from core.optimization.cache_folder import CacheFolder, checked_json, read_checked
from core.speech_synthesis.base import Speech, Voice, from_int16, to_int16
from core.types import Phone, Word

log = logging.getLogger(__name__)

FORMAT = 2
MARKER, SAMPLES = "about.json", "samples.i16"
SUBFOLDER = "speech"


class SpeechCache:
    """Thread-safe, and safe with other processes. limit_bytes: of all entries together; those unused longest go first."""

    def __init__(self, folder: CacheFolder, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._counts = {"hits": 0, "misses": 0}
        self._lock = threading.Lock()

    def key(self, text: str, voice: Voice, speed: float, revision: str) -> str | None:
        """None where the folder cannot be used, so that nothing can be kept."""
        try:
            return self._folder.digest("speech", json.dumps([FORMAT, text, voice.id, repr(speed), revision]))
        except OutputError as error:
            log.warning("speech cannot be kept: %s", error)
            return None

    def find(self, owner: str, key: str) -> tuple[Speech, ...] | None:
        """The pieces as they were put; None where there are none (any more), or they are damaged."""
        entry = self._entry(owner, key)
        try:
            pieces = tuple(_read(entry))
        except OSError:
            pieces = None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("kept speech is dropped: %s", error)
            with contextlib.suppress(OutputError):
                self._folder.remove(entry)
            pieces = None
        if pieces is not None:
            self._folder.mark_used(self._folder.subfolder(SUBFOLDER), entry / MARKER)
        with self._lock:
            self._counts["misses" if pieces is None else "hits"] += 1
        return pieces

    def put(self, owner: str, key: str, pieces: Sequence[Speech]) -> None:
        """Keeps the speech of a whole text. That it cannot be kept is no error."""
        staged = None
        try:
            staged = self._folder.staged()
            data = b"".join(to_int16(piece.samples).astype("<i2").tobytes() for piece in pieces)
            about = [_about(piece) for piece in pieces]
            (staged / SAMPLES).write_bytes(data)
            (staged / MARKER).write_bytes(checked_json({"pieces": about, "sha256": hashlib.sha256(data).hexdigest()}))
            self._folder.make_subfolder(SUBFOLDER)
            entry = self._entry(owner, key)
            self._folder.publish(staged, entry)
            self._folder.mark_used(self._folder.subfolder(SUBFOLDER), entry / MARKER)
            self._folder.trim(self._folder.subfolder(SUBFOLDER), MARKER, self._limit_bytes, {entry})
        except (OSError, OutputError) as error:
            log.warning("speech cannot be kept: %s", error)
        finally:
            if staged is not None:
                shutil.rmtree(staged, ignore_errors=True)

    def clear(self, owner: str | None) -> int:
        """Removes the speech of one owner, or (None) all. Bytes freed."""
        subfolder = self._folder.subfolder(SUBFOLDER)
        paths = list(subfolder.glob("*")) if owner is None else [subfolder / self._folder.digest("owner", owner)]
        return sum(self._folder.remove(path) for path in paths if path.is_dir())

    def stats(self) -> dict[str, int]:
        """Counts are of this process, entries and bytes of the folder."""
        entries = self._folder.entries(self._folder.subfolder(SUBFOLDER), MARKER)
        with self._lock:
            counts = dict(self._counts)
        return {**counts, "entries": len(entries), "bytes": sum(entry.nbytes for entry in entries), "max_bytes": self._limit_bytes}

    def _entry(self, owner: str, key: str) -> Path:
        return self._folder.subfolder(SUBFOLDER) / self._folder.digest("owner", owner) / key


def _about(piece: Speech) -> dict[str, Any]:
    words = [dataclasses.astuple(word) for word in piece.words]
    phones = [dataclasses.astuple(phone) for phone in piece.phones]
    return {"n": len(piece.samples), "rate_hz": piece.sample_rate_hz, "text": piece.text, "words": words, "phones": phones}


def rounded(piece: Speech) -> Speech:
    """The same with samples of 16 bits, as the cache keeps them: speech from the cache and fresh speech are alike."""
    return dataclasses.replace(piece, samples=from_int16(to_int16(piece.samples)))


def _read(entry: Path) -> Iterator[Speech]:
    about = read_checked((entry / MARKER).read_bytes())
    data = (entry / SAMPLES).read_bytes()
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise ValueError("its samples do not fit their checksum")
    at = 0
    for piece in about["pieces"]:
        samples = from_int16(np.frombuffer(data, "<i2", piece["n"], 2 * at))
        at += piece["n"]
        words, phones = tuple(Word(*word) for word in piece["words"]), tuple(Phone(*phone) for phone in piece["phones"])
        yield Speech(samples, piece["rate_hz"], piece["text"], words, phones)
