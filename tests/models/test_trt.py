"""TensorRT engines: what graphs they are built from, how they are named, found and run, and what goes wrong. By a stand-in for TensorRT."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")
onnx = pytest.importorskip("onnx", reason="ONNX files need onnx, which is not installed")

from core.errors import DiskFull, EngineUnavailable, OptionError  # noqa: E402
from core.models.onnx_files import OnnxNetwork  # noqa: E402
from core.models.trt import build, files  # noqa: E402
from core.models.trt.build import BuildError, build_engines  # noqa: E402
from core.models.trt.files import find_engine, machine_of  # noqa: E402
from core.models.trt.network import EngineNetwork  # noqa: E402
from core.models.trt.precision import in_half_precision  # noqa: E402
from core.models.trt.roles import PRECISION  # noqa: E402
from tests.support.fake_tensorrt import fake_tensorrt  # noqa: E402
from tests.support.paths import ROOT  # noqa: E402
from tests.support.small_graphs import small_graph, write_small_graphs  # noqa: E402

CPU = torch.device("cpu")
Install = Callable[..., ModuleType]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a stand-in in place of TensorRT, on a machine with one GPU."""

    def put(version: str = "11.4.0", **how: Any) -> ModuleType:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200 (test)")
        monkeypatch.setattr(files, "driver_version", lambda: "595.58.03")
        module = fake_tensorrt(version, **how)
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        return module

    return put


@pytest.fixture
def onnx_dir(tmp_path: Path) -> Path:
    return write_small_graphs(tmp_path / "ditto_onnx")


@pytest.mark.parametrize(
    ("version", "parses", "natively"), [("10.16.0", True, False), ("11.1.0", True, False), ("11.4.0", True, True), ("11.4.0", False, False)]
)
def test_engines_are_built_found_and_give_the_results_of_their_graphs(
    version: str, parses: bool, natively: bool, install: Install, onnx_dir: Path, tmp_path: Path
) -> None:
    trt, told = install(version, parses_volumes=parses), list[str]()
    made = build_engines(onnx_dir, tmp_path / "engines", CPU, told.append)
    machine = machine_of(CPU, trt)
    for (role, precision), path in zip(PRECISION.items(), made, strict=True):
        graph = onnx_dir / f"{path.name.split('_fp')[0]}.onnx"
        assert f"_{precision}_NVIDIA-H200-test_595.58.03_trt{version}_" in path.name
        assert find_engine(role, graph, machine) == path
        network = EngineNetwork(role, path.read_bytes(), CPU, trt)
        for n in (1, 3, 23):  # the last is more than any engine was built for
            arguments = network.example(n)
            expected = OnnxNetwork(role, graph)(*(argument.numpy() for argument in arguments))
            for got, wanted in zip(network(*arguments), expected, strict=True):
                assert got.dtype == torch.float32
                np.testing.assert_allclose(got.numpy(), wanted, atol=0 if precision == "fp32" else 5e-3)
    warp = next(path for path in made if "warp" in path.name)
    loaded = trt.Runtime(build.logger_of(trt)).deserialize_cuda_engine(warp.read_bytes())
    assert ("GridSample" in loaded.operations) == natively
    assert any("Building engine 50 %" in line for line in told)
    assert any("sampled by gathers" in line for line in told) == (version == "11.4.0" and not parses)
    # Once more: nothing is built, and nothing half made was left.
    builds = trt.Builder.builds
    assert build_engines(onnx_dir, tmp_path / "engines", CPU, told.append) == made
    assert trt.Builder.builds == builds
    assert {path.suffix for path in (tmp_path / "engines").iterdir()} == {".engine", ".cache"}


def test_half_precision_keeps_what_it_cannot_hold() -> None:
    halved = in_half_precision(small_graph("decoder"))
    kinds = {weight.name: weight.data_type for weight in halved.graph.initializer}
    assert kinds["variance"] == onnx.TensorProto.FLOAT
    assert kinds["w.half"] == onnx.TensorProto.FLOAT16
    assert {value.type.tensor_type.elem_type for value in (*halved.graph.input, *halved.graph.output)} == {onnx.TensorProto.FLOAT}


def test_graphs_of_one_frame_run_item_by_item(install: Install, tmp_path: Path) -> None:
    trt = install("10.16.0")
    made = build_engines(write_small_graphs(tmp_path, 1), tmp_path, CPU, print)
    network = EngineNetwork("warp_network", made[2].read_bytes(), CPU, trt)
    assert network.largest_batch == 1
    arguments = network.example(1)
    twice = network(*(torch.cat([argument, argument * 0.5]) for argument in arguments))[0]
    assert torch.equal(twice[:1], network(*arguments)[0])


def test_an_engine_is_not_for_another_machine_graph_or_version(install: Install, onnx_dir: Path, tmp_path: Path) -> None:
    install()
    made = build_engines(onnx_dir, tmp_path / "engines", CPU, lambda line: None)
    other = install("11.5.0")
    assert find_engine("decoder", onnx_dir / "decoder.onnx", machine_of(CPU, other)) is None
    with pytest.raises(RuntimeError, match=r"the engine is of TensorRT 11\.4\.0"):
        EngineNetwork("decoder", made[3].read_bytes(), CPU, other)
    trt = install()
    with pytest.raises(RuntimeError, match="magic tag"):
        EngineNetwork("decoder", b"nothing of the kind", CPU, trt)
    changed = small_graph("decoder")
    changed.producer_name = "another"
    onnx.save(changed, onnx_dir / "decoder.onnx")
    assert find_engine("decoder", onnx_dir / "decoder.onnx", machine_of(CPU, trt)) is None


def test_what_goes_wrong_is_said_and_leaves_nothing(
    install: Install, onnx_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt, engines = install(), tmp_path / "engines"

    def attempt() -> None:
        build_engines(onnx_dir, engines, CPU, lambda line: None)

    trt.Builder.failure = "out of memory"  # type: ignore[attr-defined]
    with pytest.raises(BuildError, match=r"builds no engine of appearance_extractor: out of memory"):
        attempt()
    trt.Builder.failure = ""  # type: ignore[attr-defined]
    monkeypatch.setattr(build, "compared", lambda *given: float("nan"))
    with pytest.raises(BuildError, match="differs from ONNX Runtime by nan"):
        attempt()
    monkeypatch.undo()
    install()
    assert not list(engines.glob("*.engine"))
    assert not list(engines.glob("*.part"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(DiskFull, match=r"has 0\.0 GB free"):
        attempt()
    monkeypatch.undo()
    odd = small_graph("appearance_extractor")
    odd.graph.node[0].domain = "odd"
    odd.graph.node[0].op_type = "Strange"
    odd.opset_import.append(onnx.helper.make_opsetid("odd", 1))
    onnx.save(odd, onnx_dir / "appearance_extractor.onnx")
    install()
    with pytest.raises(BuildError, match="no importer is registered for Strange"):
        attempt()
    (onnx_dir / "decoder.onnx").unlink()
    with pytest.raises(OptionError, match=r"There is no decoder\.onnx"):
        attempt()


def test_other_versions_are_refused(install: Install, onnx_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("8.6.1")
    with pytest.raises(EngineUnavailable, match=r"TensorRT 8\.6\.1 is installed; 10 or 11 is needed"):
        files.load_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineUnavailable, match="TensorRT is not installed"):
        build_engines(onnx_dir, onnx_dir, CPU, print)


def test_the_command(
    install: Install, onnx_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("cvt_onnx_to_trt", ROOT / "scripts/cvt_onnx_to_trt.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "end_like_ctrl_c", lambda: None)
    arguments = ["--onnx_dir", str(onnx_dir), "--trt_dir", str(tmp_path / "far" / "engines")]
    monkeypatch.setattr("core.optimization.gpu_optimization.gpu_obstacle", lambda: "no GPU was found")
    assert script.main(arguments) == 1
    assert "no GPU was found" in capsys.readouterr().err
    install()
    monkeypatch.setattr(build, "device_for_building", lambda: CPU)
    assert script.main(arguments) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(PRECISION)
    assert "in those beside it" in said.err  # too far away to be found
    assert script.main([*arguments[:2], "--trt_dir", str(tmp_path / "engines")]) == 0
    assert "in those beside it" not in capsys.readouterr().err


def test_the_driver_is_read_where_the_system_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DRIVER", tmp_path / "version")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert files.driver_version() == "unknown"
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.58.03  Release Build\n")
    assert files.driver_version() == "595.58.03"
