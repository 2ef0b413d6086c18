"""What the person says: a recording once or again and again, raw sound from stdin, or lines of text from stdin."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.media.audio import load_audio
from core.settings import Settings
from core.types import SAMPLE_RATE_HZ
from integrations.broadcast.moments import PersonSession

CHUNK_S = 0.1
LONGEST_LINE_BYTES = 65_536

Speaking = Callable[[PersonSession, threading.Event], None]
"""Feeds a session until there is no more, or the event is set."""


def recording(path: Path, settings: Settings, loops: bool, pause_s: float) -> Speaking:
    """A recording; with `loops` again and again, `pause_s` of listening between. Raises AudioError."""
    audio = load_audio(path, settings)
    pcm = np.clip(np.rint(audio.samples * 32767), -32768, 32767).astype("<i2").tobytes()

    def speak(session: PersonSession, over: threading.Event) -> None:
        step = 2 * round(CHUNK_S * SAMPLE_RATE_HZ)
        while not over.is_set():
            began_s = time.monotonic()
            for at in range(0, len(pcm), step):
                _feed(session, pcm[at : at + step], over)
            session.end()
            if not loops:
                return
            over.wait(max(0.0, began_s + audio.duration_s + pause_s - time.monotonic()))  # it is fed faster than it is heard

    return speak


def raw_sound(source: BinaryIO, rate_hz: int) -> Speaking:
    """16-bit little-endian mono samples, as long as they come. Where none come for a moment the person listens."""

    def speak(session: PersonSession, over: threading.Event) -> None:
        step = 2 * round(CHUNK_S * rate_hz)
        while not over.is_set() and (chunk := source.read1(step)):  # type: ignore[attr-defined]
            _feed(session, chunk, over)
        session.end()

    return speak


def lines(source: BinaryIO) -> Speaking:
    """UTF-8; each line is a text, plain or SSML, and spoken after the one before."""

    def speak(session: PersonSession, over: threading.Event) -> None:
        while not over.is_set() and (line := source.readline(LONGEST_LINE_BYTES)):
            if text := line.decode("utf-8", "replace").strip():
                session.say(text)

    return speak


def text(said: str) -> Speaking:
    """One text."""

    def speak(session: PersonSession, over: threading.Event) -> None:
        session.say(said)

    return speak


def silence() -> Speaking:
    """Nothing: the person listens."""
    return lambda session, over: None


def _feed(session: PersonSession, chunk: bytes, over: threading.Event) -> None:
    while not over.is_set() and not session.feed(chunk):
        time.sleep(0.01)
