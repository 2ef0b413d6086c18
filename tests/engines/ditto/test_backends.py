"""What runs Ditto's networks: which way is taken, what is said about it, and what happens where it does not run."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.engines import ditto_backends, ditto_networks
from core.engines.ditto import DittoEngine
from core.engines.ditto_backends import Attempt, attempts, first_that_runs
from core.engines.replicas import ReplicatedEngine
from core.errors import EngineUnavailable, OptionError
from core.models.checkpoint import CheckpointError
from core.optimization import cpu_precision
from core.request import Framing
from core.settings import Settings
from core.types import Photo
from manager.ditto import make_replicas
from tests.support.ditto_sessions import session, sound, spoken
from tests.support.synthetic_checkpoints import FILES, checkpoints


@pytest.fixture(autouse=True)
def small(tiny_ditto: None) -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("onnx", "device", "backend", "gpu", "expected"),
    [
        (False, None, "auto", True, [Attempt("torch", None), Attempt("torch", "cpu")]),
        (False, None, "auto", False, [Attempt("torch", None)]),
        (False, "cuda:1", "auto", True, [Attempt("torch", "cuda:1")]),
        (True, None, "auto", True, [Attempt("onnxruntime", None), Attempt("onnxruntime", "cpu")]),
        (False, None, "torch-compile", True, [Attempt("torch-compile", None)]),
        (True, "cpu", "onnxruntime", False, [Attempt("onnxruntime", "cpu")]),
    ],
)
def test_what_is_tried(
    onnx: bool, device: str | None, backend: str, gpu: bool, expected: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ditto_backends, "gpu_obstacle", lambda device=None: None if gpu else "no GPU was found")
    assert attempts(onnx, device, backend) == expected


@pytest.mark.parametrize(
    ("onnx", "backend", "error", "said"),
    [
        (False, "cuda", OptionError, "There is no backend 'cuda'"),
        (False, "onnxruntime", EngineUnavailable, "does not run PyTorch checkpoints"),
        (True, "torch-compile", EngineUnavailable, "does not run ONNX files"),
        (True, "openvino", EngineUnavailable, "has no OpenVINOExecutionProvider"),
        (False, "tensorrt", EngineUnavailable, "does not run PyTorch checkpoints"),
    ],
)
def test_what_cannot_be_is_refused(onnx: bool, backend: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        attempts(onnx, "cpu", backend)


def test_a_way_that_does_not_run_is_replaced_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    def load(attempt: Attempt) -> str:
        if attempt.device is None:
            raise RuntimeError("no kernel image is available\nmore lines")
        return "loaded"

    with caplog.at_level(logging.WARNING):
        loaded, said = first_that_runs([Attempt("torch", None), Attempt("torch", "cpu")], load)
    assert loaded == "loaded"
    assert "torch on the device of its choice (RuntimeError: no kernel image is available)" in said
    assert said in caplog.text
    with pytest.raises(EngineUnavailable, match="no kernel image"):
        first_that_runs([Attempt("torch", None)], load)


def test_engines_come_first_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ditto_backends, "gpu_obstacle", lambda device=None: None if device != "cpu" else "told to run on cpu")
    tensorrt, on_gpu, on_cpu = Attempt("tensorrt", None), Attempt("onnxruntime", None), Attempt("onnxruntime", "cpu")
    assert attempts(True, None, "auto", engines=True) == [tensorrt, on_gpu, on_cpu]
    assert attempts(True, "cuda:1", "auto", engines=True) == [Attempt("tensorrt", "cuda:1"), Attempt("onnxruntime", "cuda:1")]
    assert attempts(True, "cpu", "auto", engines=True) == [on_cpu]
    assert attempts(True, None, "tensorrt", engines=False) == [tensorrt]

    def load(attempt: Attempt) -> str:
        if attempt == tensorrt:
            raise EngineUnavailable("There is no engine for this GPU.")
        return attempt.backend

    assert first_that_runs([tensorrt, on_gpu], load) == ("onnxruntime", SAID)
    with pytest.raises(EngineUnavailable, match="no engine for this GPU"):
        first_that_runs([tensorrt], load)


SAID = (
    "ditto's networks do not run with tensorrt on the device of its choice (EngineUnavailable: There is no engine for this GPU.), "
    "so another way is taken"
)


def test_a_damaged_file_is_not_tried_again() -> None:
    tried = []

    def load(attempt: Attempt) -> str:
        tried.append(attempt)
        raise CheckpointError("It is damaged.", "Fetch it again.")

    with pytest.raises(CheckpointError):
        first_that_runs([Attempt("torch", None), Attempt("torch", "cpu")], load)
    assert len(tried) == 1


def test_an_engine_says_what_does_not_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device of its choice fails with the first frame; the CPU draws."""
    real = ditto_networks.place
    monkeypatch.setattr(ditto_backends, "gpu_obstacle", lambda device=None: None)

    def broken_place(device: str | None) -> Any:
        if device is None:
            raise RuntimeError("CUDA error: unknown error")
        return real(device)

    monkeypatch.setattr(ditto_networks, "place", broken_place)
    engine = DittoEngine(checkpoints(root), None)
    assert engine.placement.device.type == "cpu"
    assert "CUDA error: unknown error" in engine.limitation


# ---- the same frames


def frames(engine: DittoEngine, portrait: Photo) -> np.ndarray:
    return np.stack(spoken(session(engine, engine.register(portrait, Framing())), sound(640 * 4)))


def test_compiled_networks_draw_the_same(
    root: Path, engine: DittoEngine, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as a compiler would, and run by PyTorch: no compiler is needed here."""
    compiled: list[Any] = []
    real = torch.compile

    def traced(call: Any) -> Any:
        compiled.append(call)
        return real(call, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", traced)
    forced = DittoEngine(checkpoints(root), "cpu", backend="torch-compile")
    assert len(compiled) == 2
    assert np.abs(frames(forced, portrait).astype(int) - frames(engine, portrait).astype(int)).max() <= 1


def test_a_compiler_that_is_missing_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(call: Any) -> Any:
        def run(*given: Any) -> Any:
            raise RuntimeError("No working C++ compiler found")

        return run

    monkeypatch.setattr(torch, "compile", missing)
    with pytest.raises(EngineUnavailable, match=r"do not run with torch-compile on cpu \(RuntimeError: No working C\+\+ compiler"):
        DittoEngine(checkpoints(root), "cpu", backend="torch-compile")


@pytest.mark.parametrize(("times_s", "dtype"), [([2.8, 1.6], torch.bfloat16), ([2.8, 2.5], torch.float32)])
def test_bfloat16_is_taken_where_a_frame_takes_less_time(
    times_s: list[float], dtype: torch.dtype, root: Path, engine: DittoEngine, portrait: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_precision, "processor_flags", lambda: frozenset({"avx512_bf16"}))
    clock = iter([0.0, times_s[0], 10.0, 10.0 + times_s[1]])
    timed = functools.partial(cpu_precision.bfloat16_gain, clock=lambda: next(clock))
    monkeypatch.setattr(ditto_networks, "bfloat16_gain", timed)
    chosen = DittoEngine(checkpoints(root), "cpu")
    assert chosen.placement.dtype == dtype
    assert ("bfloat16 for warp and decoder" in chosen.placement.reason) == (dtype == torch.bfloat16)
    assert (chosen.revision != engine.revision) == (dtype == torch.bfloat16)
    error = np.square(frames(chosen, portrait).astype(float) - frames(engine, portrait)).mean()
    assert error == 0 if dtype == torch.float32 else 10 * np.log10(255**2 / error) > 45


def test_a_cpu_told_to_use_torch_does_not_measure(root: Path, engine: DittoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_precision, "processor_flags", lambda: frozenset({"amx_bf16"}))
    monkeypatch.setattr(ditto_networks, "bfloat16_gain", None)
    assert DittoEngine(checkpoints(root), "cpu", backend="torch").revision == engine.revision


def test_processors_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in (("fpu avx512f", False), ("fpu avx512_bf16", True), ("amx_bf16 amx_tile", True)):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nmodel name\t: A: 1\nflags\t\t: {flags}\nflags : amx_bf16\n")
        monkeypatch.setattr(cpu_precision, "CPU_INFO", tmp_path / "cpuinfo")
        assert bool(REAL_FLAGS() & cpu_precision.BFLOAT16_FLAGS) == expected
        assert cpu_precision.processor_name() == "A: 1"
    monkeypatch.setattr(cpu_precision, "CPU_INFO", tmp_path / "nowhere")
    assert REAL_FLAGS() == frozenset()
    assert cpu_precision.processor_name() == ""


REAL_FLAGS = cpu_precision.processor_flags
"""Taken before tests are given a processor without bfloat16."""


# ---- replicas


def test_a_replica_on_each_device(root: Path, portrait: Photo, settings: Settings, engine: DittoEngine) -> None:
    where: dict[str, Any] = {"data_root": root / "ditto_pytorch", "cfg_pkl": root / FILES["cfg"]}
    both = make_replicas(settings, None, threading.Event(), "cpu,cpu:0", **where)
    assert isinstance(both, ReplicatedEngine)
    people = [both.register(portrait, Framing()) for _ in range(2)]
    assert len({id(person.replica) for person in people}) == 2
    for person in people:
        found = np.stack(spoken(session(both, person), sound(640 * 4)))
        assert np.array_equal(found, frames(engine, portrait))


# ---- room


def test_half_as_many_frames_where_the_device_has_no_room(
    root: Path, engine: DittoEngine, portrait: Photo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    roomy = DittoEngine(checkpoints(root), "cpu", batch=4)
    decode, asked = roomy.decode, list[int]()

    def tight(features: torch.Tensor) -> torch.Tensor:
        asked.append(len(features))
        if len(features) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(features)

    monkeypatch.setattr(roomy, "decode", tight)
    with caplog.at_level(logging.WARNING):
        found = frames(roomy, portrait)
    assert asked[:3] == [4, 2, 2]
    assert max(asked[1:]) == 2  # it is not tried again
    assert "no room for more than 2 frames at once" in caplog.text
    assert np.abs(found.astype(int) - frames(engine, portrait).astype(int)).max() <= 1


def test_no_room_for_a_single_frame_is_an_error(root: Path, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    full = DittoEngine(checkpoints(root), "cpu")

    def never(features: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(full, "decode", never)
    with pytest.raises(torch.OutOfMemoryError):
        frames(full, portrait)
