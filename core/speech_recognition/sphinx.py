"""PocketSphinx: recognises American English on the CPU, with the time of every word; its network is in its package."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from core.errors import Cancelled, EngineUnavailable
from core.types import Samples, Word

LANGUAGE = "en"
CANCEL_POLL_S = 0.05
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = "core.speech_recognition.sphinx_process"
_lock = threading.Lock()


def is_installed() -> bool:
    return importlib.util.find_spec("pocketsphinx") is not None


def recognised(samples: Samples, cancel: threading.Event) -> tuple[Word, ...]:
    """The words of (n,) samples, as they are taken for, in order. By a process of its own.

    Raises Cancelled soon after `cancel` is set, EngineUnavailable where that process fails.
    """
    return tuple(Word(*each) for each in asked(samples, {"task": "words"}, cancel))


def asked(samples: Samples, task: Mapping[str, Any], cancel: threading.Event) -> Any:
    """What the process answers (`sphinx_process.py`). One recording at a time. Raises as `recognised`."""
    while not _lock.acquire(timeout=CANCEL_POLL_S):
        _check(cancel)
    try:
        _check(cancel)
        return json.loads(_answer((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), json.dumps(task).encode(), cancel))
    finally:
        _lock.release()


def _answer(pcm: bytes, task: bytes, cancel: threading.Event) -> bytes:
    """What the process says of the samples; it is ended where nobody wants to know any more."""
    with _process(len(pcm), len(task)) as process:
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
                cast("IO[bytes]", process.stdin).write(pcm + task)  # which it reads before anything else
            while True:
                try:
                    answer, complaints = process.communicate(timeout=CANCEL_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    _check(cancel)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = complaints.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise _failed(f"ended with {process.returncode}: {said[0][:300]}")
    return answer


def _process(*nbytes: int) -> subprocess.Popen[bytes]:
    """It will be given so many of samples and of the task. In a session of its own: Ctrl-C in the terminal ends the caller alone, which
    says what becomes of it.
    """
    command = [sys.executable, "-m", _PROGRAM, *map(str, nbytes)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)  # noqa: S603 - fixed
    except OSError as error:  # no memory, or too many processes
        raise _failed(f"cannot be started: {error.strerror}") from error


def _failed(what: str) -> EngineUnavailable:
    hint = "Leave captions out, or install requirements-recognition.txt anew."
    return EngineUnavailable(f"The speech recogniser of this machine {what}.", hint, code="recognition_failed")


def _check(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Cancelled("The recognition was cancelled.", code="cancelled")
