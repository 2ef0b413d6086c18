"""Reads text aloud with the espeak-ng library: its sound, its phones in IPA, and which characters each of them comes from."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable
from core.speech_synthesis.base import check_cancel

_WORD, _END, _PHONE = 1, 5, 7
"""Types of events: a word begins, a clause ended, a phone begins."""
_SYNCHRONOUS, _PHONE_EVENTS_IN_IPA, _UTF8 = 2, 3, 1
_WORDS_A_MINUTE = 1
NORMAL_WPM = 175


@dataclass(frozen=True)
class SpokenWord:
    """A word as espeak-ng divides text (a number may be several). start, end: its characters; samples: from the start of the sound.

    phones: in IPA with stress marks, each with the sample that it begins at. ends_clause: a pause follows.
    """

    start: int
    end: int
    start_sample: int
    phones: tuple[str, ...]
    ends_clause: bool


@dataclass(frozen=True, eq=False)
class Spoken:
    """samples: (n,) int16 at `rate_hz`. phones: the name of each in IPA, "" or "_" of pauses, and the sample that it begins at."""

    samples: NDArray[np.int16]
    rate_hz: int
    words: tuple[SpokenWord, ...]
    phones: tuple[tuple[str, int], ...]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


class _VoiceEntry(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("languages", ctypes.POINTER(ctypes.c_char)), ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte), ("age", ctypes.c_ubyte), ("variant", ctypes.c_ubyte), ("_xx1", ctypes.c_ubyte),
        ("_score", ctypes.c_int), ("_spare", ctypes.c_void_p),
    ]  # fmt: skip


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
"""t_espeak_callback: samples, their number, and events up to one of type 0."""


def has_system_library() -> bool:
    return ctypes.util.find_library("espeak-ng") is not None


def _find() -> tuple[str, str | None]:
    """Paths of the library and of its data (None: where the library looks by itself)."""
    try:
        import espeakng_loader
    except ImportError:
        system = ctypes.util.find_library("espeak-ng")
        if system is None:
            raise EngineUnavailable(
                "espeak-ng, which speech is made with, is not installed.",
                "Run ./setup.sh speech, or pip install -r requirements-speech.txt (docs/usage.md).",
                code="speech_not_installed",
                parameters={"package": "espeakng-loader"},
            ) from None
        return system, None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


class EspeakLibrary:
    """The library has one global state, so a process has one of these (`espeak_library`). Thread-safe: one text at a time."""

    def __init__(self) -> None:
        path, data = _find()
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise EngineUnavailable(f"espeak-ng cannot be loaded: {error}.", "Install it again.", code="speech_not_installed") from error
        self.rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode() if data else None, _PHONE_EVENTS_IN_IPA))
        if self.rate_hz <= 0:
            raise EngineUnavailable("espeak-ng does not find its data.", "Install it again.", code="speech_not_installed")
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceEntry))
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._lock = threading.Lock()
        self._sound: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, int, int, int, str]] = []
        self._cancel = threading.Event()
        self._callback = CALLBACK(self._collect)  # kept: ctypes holds no reference
        self._library.espeak_SetSynthCallback(self._callback)
        self._voices = self._listed()

    @property
    def languages(self) -> dict[str, str]:
        """The name of each language by the shortest of its codes (BCP 47 in lower case), in their order."""
        shortest: dict[str, str] = {}
        for code, (_, identifier) in self._voices.items():
            shortest[identifier] = min(code, shortest.get(identifier, code), key=len)
        return {code: self._voices[code][0] for code in sorted(shortest.values())}

    @property
    def version(self) -> str:
        return bytes(self._library.espeak_Info(None) or b"").decode("ascii", "replace").split(" ")[0]

    def _listed(self) -> dict[str, tuple[str, str]]:
        """By every code of each language: its name, and what the library calls its voice. Without those that cannot speak."""
        data = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(data))
        folder = Path(os.fsdecode(data.value or b""))
        found: dict[str, tuple[str, str]] = {}
        entries = self._library.espeak_ListVoices(None)
        index = 0
        while entries[index]:
            entry = entries[index].contents
            index += 1
            identifier = (entry.identifier or b"").decode()
            if not identifier.startswith(("mb/", "!v/")) and _has_dictionary(folder, identifier):
                for code in _codes(ctypes.addressof(entry.languages.contents)):
                    found.setdefault(code, ((entry.name or b"").decode(), identifier))
        return found

    def read(self, text: str, language: str, speed: float, cancel: threading.Event) -> Spoken:
        """text: without "\\0". language: espeak-ng's code. speed: relative to usual. Raises EngineUnavailable for an unknown language."""
        raw = text.encode("utf-8", "replace")
        with self._lock:
            check_cancel(cancel)
            known = self._voices.get(language)
            if known is None or self._library.espeak_SetVoiceByName(known[1].encode()):
                raise EngineUnavailable(
                    f"espeak-ng here has no language {language!r}.", "Choose another voice.", code="speech_not_installed"
                )
            self._library.espeak_SetParameter(_WORDS_A_MINUTE, round(NORMAL_WPM * speed), 0)
            self._sound, self._events, self._cancel = [], [], cancel
            self._library.espeak_Synth(raw, ctypes.c_size_t(len(raw) + 1), 0, 0, 0, _UTF8, None, None)
            sound, events = self._sound, self._events
        check_cancel(cancel)
        samples = np.concatenate(sound) if sound else np.zeros(0, np.int16)
        # "(en)" says that the language changes
        phones = tuple((name, at) for kind, _, _, at, name in events if kind == _PHONE and not name.startswith("("))
        return Spoken(samples, self.rate_hz, _words(events, len(text)), phones)

    def _collect(self, sound: Any, n: int, events: Any) -> int:
        """Called by the library; anything but 0 ends its work."""
        if self._cancel.is_set():
            return 1
        if sound and n > 0:
            self._sound.append(np.ctypeslib.as_array(sound, (n,)).copy())
        index = 0
        while events[index].type:
            event = events[index]
            index += 1
            name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore") if event.type == _PHONE else ""
            self._events.append((event.type, event.text_position, event.length, event.sample, name))
        return 0


def _has_dictionary(data: Path, identifier: str) -> bool:
    """A few languages are listed whose dictionary is not there, without which nothing is said. True where that cannot be told."""
    try:
        named = re.search(r"^dictionary\s+(\S+)", (data / "lang" / identifier).read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        return True
    name = named[1] if named else identifier.rpartition("/")[2].partition("-")[0]
    return (data / f"{name}_dict").exists()


def _codes(address: int) -> list[str]:
    """What the library keeps of a voice's languages: a byte of priority, a code and "\\0" for each, and another "\\0"."""
    codes = []
    while ctypes.c_ubyte.from_address(address).value:
        code = ctypes.string_at(address + 1)
        codes.append(code.decode())
        address += 1 + len(code) + 1
    return [code for code in codes if code != "variant"]


def _words(events: list[tuple[int, int, int, int, str]], length: int) -> tuple[SpokenWord, ...]:
    """Words that are not heard by themselves, as "the" in "of the", are part of the one before."""
    words: list[SpokenWord] = []
    start = end = sample = 0
    phones: list[str] = []

    def finish(ends_clause: bool) -> None:
        if phones:
            words.append(SpokenWord(start, min(max(end, start), length), sample, tuple(phones), ends_clause))
            phones.clear()
        elif ends_clause and words:
            last = words[-1]
            words[-1] = SpokenWord(last.start, last.end, last.start_sample, last.phones, True)

    for kind, position, n, at, name in events:
        if kind == _WORD:
            finish(False)
            start, end, sample = max(0, position - 1), position - 1 + n, at
        elif kind == _PHONE and name and not name.startswith("("):  # "(en)": the language changes
            phones.append(name)
        elif kind == _END:
            finish(True)
    finish(True)
    return tuple(words)


_loading = threading.Lock()
_loaded: list[EspeakLibrary] = []


def espeak_library() -> EspeakLibrary:
    """The one of this process, loaded at the first call. Raises EngineUnavailable."""
    with _loading:
        if not _loaded:
            _loaded.append(EspeakLibrary())
        return _loaded[0]
