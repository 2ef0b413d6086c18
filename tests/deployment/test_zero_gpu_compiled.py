"""Ditto compiled ahead of time for a GPU that is lent, by the rules of the `spaces` package: applied, exact, bounded, and replaceable."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import core.web.zero_gpu as adapter
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_pieces import LentDevice
from core.types import Frame
from tests.support.ditto_sessions import same, session, sound, spoken
from tests.support.lent_host import Host

pytestmark = pytest.mark.slow

SPOKEN = 640 * 3
NAMES = ("decoder", "warp network", "step of motion")


@pytest.fixture(scope="module")
def plain(near: DittoEngine, registered: DittoRegistered) -> list[Frame]:
    """What the engine itself makes of it."""
    return spoken(session(near, registered), sound(SPOKEN))


def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the networks themselves refuse: whatever is drawn is drawn by compiled code. Calls have what was here when they began."""

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a network ran uncompiled")

    assert adapter._device is not None
    for call in adapter._device.compilable:
        monkeypatch.setattr(call, "eager", refuse)


def close(frames: list[Frame], others: list[Frame]) -> bool:
    """At most one in 255 apart, and hardly anywhere."""
    apart = [np.abs(a.astype(int) - b.astype(int)) for a, b in zip(frames, others, strict=True)]
    return max(int(one.max()) for one in apart) <= 2 and max(float(one.mean()) for one in apart) < 0.05


def test_calls_run_compiled_code_alone(
    host: Callable[..., Host], registered: DittoRegistered, plain: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = host(compile_s=600.0)
    assert lent.engine.compiled == NAMES
    assert [call["token"] for call in lent.calls] == [None] * 3  # on nobody's account
    assert 0 < lent.calls[2]["seconds"] <= lent.calls[1]["seconds"] <= lent.calls[0]["seconds"] <= 600
    without_networks(monkeypatch)
    assert close(spoken(lent.session(registered), sound(SPOKEN)), plain)
    assert lent.engine.revision != host(compile_s=0.0).engine.revision  # frames may differ in their last bit


def test_what_cannot_be_loaded_in_a_call_is_drawn_by_the_network(
    host: Callable[..., Host], registered: DittoRegistered, plain: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    warp_only(monkeypatch)
    lent = host(compile_s=600.0, FAKE_SPACES_AOTI="broken")
    assert lent.engine.compiled == ("warp network",)
    assert same(spoken(lent.session(registered), sound(SPOKEN)), plain)


def test_what_cannot_be_compiled_runs_as_it_is_and_the_log_says_why(
    host: Callable[..., Host], registered: DittoRegistered, plain: list[Frame], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    warp_only(monkeypatch)
    with caplog.at_level(logging.WARNING, logger="core.web.zero_gpu"):
        lent = host(compile_s=600.0, FAKE_SPACES_AOTI="off")
    assert "ditto's warp network runs uncompiled: RuntimeError: no compiler was found" in caplog.messages
    assert lent.engine.compiled == ()
    assert lent.engine.revision.endswith(".lent")
    assert same(spoken(lent.session(registered), sound(SPOKEN)), plain)


def test_code_that_computes_something_else_is_not_used(host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    warp_only(monkeypatch)
    monkeypatch.setattr("core.engines.ditto_pieces.apart", lambda *given: 0.5)
    assert host(compile_s=600.0).engine.compiled == ()
    assert "its results are 5.0e-01 off" in caplog.text


def test_no_gpu_for_compiling(host: Callable[..., Host], caplog: Any) -> None:
    lent = host(compile_s=600.0, FAKE_SPACES_LEFT="0")
    assert lent.engine.compiled == ()
    assert all(f"ditto's {name} runs uncompiled: ZeroGPU quota exceeded" in caplog.text for name in NAMES)


def test_time_for_compiling_is_bounded(host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Also where the host ends no call: the process that compiles ends itself."""
    monkeypatch.setattr(LentDevice, "compile", lambda *given: time.sleep(600))
    monkeypatch.setattr(adapter, "LEAST_COMPILE_S", 1.0)
    lent = host(compile_s=1.5)
    assert lent.engine.compiled == ()
    assert "decoder runs uncompiled: ZeroGPU worker error: GPU task aborted" in caplog.text
    assert "step of motion runs uncompiled: of 2 s for compiling" in caplog.text
    assert len(lent.calls) == 1


def test_nothing_is_compiled_where_it_is_switched_off(host: Callable[..., Host]) -> None:
    lent = host(compile_s=0.0)
    assert lent.engine.compiled == ()
    assert lent.calls == []


def warp_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exported in the least time."""
    compilable = LentDevice.compilable.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(LentDevice, "compilable", property(lambda device: compilable(device)[1:2]))


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="AOTInductor needs a C++ compiler")
def test_compiled_by_a_compiler(
    host: Callable[..., Host], registered: DittoRegistered, plain: list[Frame], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AOTInductor's machine code for this CPU: generated, compiled, sent out of the call, loaded in others, and as exact."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    lent = host(compile_s=3000.0, FAKE_SPACES_AOTI="inductor")
    assert lent.engine.compiled == NAMES
    without_networks(monkeypatch)
    assert close(spoken(lent.session(registered), sound(SPOKEN)), plain)
