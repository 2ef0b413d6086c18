"""Tasks of MediaPipe are closed once nobody uses them, also where one cannot be closed and where the program ends meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

from core.aux_models.task_lifetime import keep_until_unused
from tests.support.paths import ROOT

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from threading import Event, main_thread
from core.aux_models.task_lifetime import keep_until_unused

class User:
    pass

class Task:
    _handle = object()

    def close(self):
        if self._handle is None:
            return
        closing.set()
        while True:  # until the interpreter ends
            ThreadPoolExecutor(1).submit(int).result()

    __del__ = close

closing = Event()
user = User()
keep_until_unused(user, Task())
del user
closing.wait(10)
"""


class User:
    pass


class Task:
    def __init__(self, fault: str = "") -> None:
        self._handle: object | None = object()
        self.fault = fault
        self.closed = threading.Event()

    def close(self) -> None:
        if self.fault:
            raise RuntimeError(self.fault)
        self.closed.set()


def test_a_program_that_ends_while_a_task_is_closed_ends_without_a_word() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_task_that_cannot_be_closed_is_told_of_and_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = Task("It is stuck."), Task()
    with caplog.at_level(logging.WARNING, logger="core.aux_models.task_lifetime"):
        for task in (broken, whole):
            user = User()
            keep_until_unused(user, task)
            del user
        assert whole.closed.wait(20)
    assert "It is stuck." in caplog.text
    assert broken._handle is None
