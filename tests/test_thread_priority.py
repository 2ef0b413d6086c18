"""Threads that nobody waits for give way to others."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import pytest

import api_server
import app
from core.thread_priority import PATIENT, SWITCH_S, be_patient, by_patient_thread


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have priorities of their own on Linux alone")
def test_a_patient_thread_and_those_it_starts_give_way_and_no_others() -> None:
    seen: dict[str, int] = {}

    def niceness(name: str) -> None:
        seen[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> None:
        be_patient()
        niceness("patient")
        child = threading.Thread(target=niceness, args=("child",))
        child.start()
        child.join()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    niceness("main")
    assert seen["patient"] == seen["child"] == min(19, seen["main"] + PATIENT)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have priorities of their own on Linux alone")
def test_what_is_made_by_a_patient_thread_comes_back_and_the_caller_stays_as_it_was() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    assert by_patient_thread(niceness, 3) == min(19, before + 3)
    assert niceness() == before
    with pytest.raises(ZeroDivisionError):
        by_patient_thread(lambda: 1 // 0)


@pytest.mark.parametrize("program", [api_server.main, lambda argv: app.main(argv, everything=True)], ids=["server", "full page"])
def test_programs_with_live_faces_let_threads_take_turns_often(program: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    usual_s, seen = sys.getswitchinterval(), list[float]()
    for module in (api_server, app):
        monkeypatch.setattr(module, "run", lambda *_: seen.append(sys.getswitchinterval()))
    try:
        assert program([]) == 0
    finally:
        sys.setswitchinterval(usual_s)
    assert seen == [pytest.approx(SWITCH_S)]
    assert usual_s > SWITCH_S
