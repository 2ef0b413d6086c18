"""What Ditto's networks need of an Apple GPU (MPS): neither float64 nor sampling of volumes, which PyTorch does not have there."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

import torch.nn.functional as F  # noqa: E402, N812
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from core.engines.ditto_backends import attempts  # noqa: E402
from core.errors import EngineUnavailable  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.modules import dense_motion  # noqa: E402
from core.models.modules.dense_motion import sample_by_gathers  # noqa: E402
from core.optimization.gpu_optimization import gpu_obstacle, place, place_onnx  # noqa: E402
from tests.support.parity_networks import as_tuple, tiny, tiny_arguments  # noqa: E402


class AppleGpu(TorchDispatchMode):
    """The CPU, refusing what an Apple GPU cannot do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if "grid_sampler_3d" in name:
            raise NotImplementedError(f"{name} is not implemented for the MPS device")
        out = func(*args, **(kwargs or {}))
        if any(isinstance(value, torch.Tensor) and value.dtype == torch.float64 for value in tree_leaves((args, kwargs, out))):
            raise TypeError(f"{name}: the MPS framework does not support float64")
        return out


@pytest.fixture
def cpu_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_motion, "WITHOUT_VOLUME_SAMPLING", frozenset({"cpu"}))


@pytest.mark.parametrize("reach", [0.9, 1.0, 1.6, 40.0], ids=["inside", "edge", "outside", "far"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 6, 5), (1, 1, 1, 2, 3)])
def test_gathers_sample_as_torch_does(shape: tuple[int, ...], reach: float) -> None:
    generator = torch.Generator().manual_seed(1)
    volume = torch.randn(shape, generator=generator)
    where = (2 * torch.rand(shape[0], 3, 4, 5, 3, generator=generator) - 1) * reach
    where[0, 0, 0] = torch.tensor([-1.0, 0.0, 1.0])
    want = F.grid_sample(volume, where, mode="bilinear", padding_mode="zeros", align_corners=False)
    assert (sample_by_gathers(volume, where) - want).abs().max() < 1e-5


@pytest.mark.usefixtures("cpu_stands_for_it")
@pytest.mark.parametrize("name", ["appearance_extractor", "motion_extractor", "warp_network", "decoder", "lmdm"])
def test_a_network_needs_nothing_that_is_missing_there(name: str) -> None:
    network, arguments = prepare_for_inference(tiny(name)), tiny_arguments(name, 1)
    with torch.no_grad():
        want = as_tuple(network(**arguments))
        with AppleGpu():
            got = as_tuple(network(**arguments))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(got, want, strict=True))


def test_the_stand_in_refuses_what_is_missing_there() -> None:
    network, arguments = prepare_for_inference(tiny("warp_network")), tiny_arguments("warp_network", 1)
    with torch.no_grad(), AppleGpu(), pytest.raises(NotImplementedError, match="grid_sampler_3d"):
        network(**arguments)
    with AppleGpu(), pytest.raises(TypeError, match="float64"):
        torch.zeros(1).double()


@pytest.mark.usefixtures("cpu_stands_for_it")
def test_a_window_of_motion_and_a_kept_source() -> None:
    warp, given = prepare_for_inference(tiny("warp_network")), tiny_arguments("warp_network", 2)
    lmdm, window = prepare_for_inference(tiny("lmdm")), (torch.zeros(1, 9), torch.zeros(1, 8, 11))
    with torch.no_grad(), AppleGpu():
        source = warp.source(given["feature_3d"][:1], given["kp_source"][:1])
        assert warp.from_source(source, given["kp_driving"]).isfinite().all()
        assert lmdm.sample(*window, 3, x_T=torch.zeros(1, 8, 9), noises=torch.zeros(2, 1, 8, 9)).isfinite().all()


def test_a_machine_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for built, reason in ((False, "was built without MPS"), (True, "has no Apple GPU with Metal")):
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda built=built: built)
        with pytest.raises(EngineUnavailable, match=f"There is no GPU mps for the ditto engine: .*{reason}"):
            place("mps")
        assert reason in (gpu_obstacle("mps") or "")


def test_a_machine_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    placement = place("mps")
    assert (placement.device.type, placement.dtype, placement.batch) == ("mps", torch.float32, 1)
    assert "Apple GPU" in placement.reason
    assert gpu_obstacle("mps") is None
    assert [attempt.device for attempt in attempts(onnx=False, device="mps", backend="auto")] == ["mps"]
    with pytest.raises(EngineUnavailable, match="ONNX Runtime does not run on mps"):
        place_onnx("mps")
