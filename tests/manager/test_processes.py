"""Two downloads at once, and processes that end early."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from core.errors import Cancelled
from manager.catalogue import Checkpoints
from manager.store import Store
from tests.support.hub_server import Fault, HubServer
from tests.support.small_hub import CATALOGUE, HUBERT, PYTORCH, assert_complete


def test_two_processes_download_once(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    first = command("download", "--json")
    assert fault.held.wait(30)
    second = command("download", "--json")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting\n"
    fault.release.set()
    outputs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(outputs[0]) == json.loads(outputs[1])
    assert hub.count("GET") == len(PYTORCH)


def test_two_threads_download_once(store: Store, hub: HubServer) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    waiting = threading.Event()
    got: list[Checkpoints] = []
    first = threading.Thread(target=lambda: got.append(store.ensure()))
    first.start()
    assert fault.held.wait(30)
    tell = lambda progress: waiting.set() if progress.stage == "waiting" else None  # noqa: E731
    second = threading.Thread(target=lambda: got.append(store.ensure(progress=tell)))
    second.start()
    assert waiting.wait(30)
    fault.release.set()
    first.join()
    second.join()
    assert got[0] == got[1]
    assert hub.count("GET") == len(PYTORCH)


def test_one_who_waits_can_be_cancelled(store: Store) -> None:
    store.folder.open()
    cancel = threading.Event()
    with store.folder.lock(), pytest.raises(Cancelled):
        store.ensure(progress=lambda progress: cancel.set(), cancel=cancel)


def test_a_process_that_is_killed_leaves_a_good_start(hub: HubServer, store: Store, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=262_144), times=1)
    process = command("download")
    assert fault.held.wait(30)
    partial = store.folder.partial(HUBERT, CATALOGUE.revision)
    while not partial.exists() or not partial.stat().st_size:  # what was sent is on its way through the loopback
        assert process.poll() is None
    process.kill()
    process.wait()
    arrived = partial.stat().st_size
    fault.release.set()
    hub.seen.clear()
    assert_complete(store.ensure())
    assert [s.range for s in hub.seen if s.file == HUBERT and s.server == "cdn" and s.method == "GET"] == [f"bytes={arrived}-"]


def test_ctrl_c_ends_with_130_and_keeps_what_has_arrived(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    fault = hub.fail(HUBERT, Fault(hold_after=100_000), times=1)
    process = command("download")
    assert fault.held.wait(30)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint.endswith("stopped; what has arrived is kept, the next download goes on from there\n")
    assert "Traceback" not in complaint
