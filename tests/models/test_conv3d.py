"""Convolutions of volumes: every way gives the same, and the device's fastest one is chosen, said and used."""

from __future__ import annotations

import logging
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from torch.nn import functional as F  # noqa: E402

from core.models.inference import prepare_for_gpu, prepare_for_inference, use_conv3d  # noqa: E402
from core.models.modules.conv3d import WAYS, Way, arranged, convolved  # noqa: E402
from core.optimization import conv3d_choice  # noqa: E402
from core.optimization.conv3d_choice import chosen, fastest_conv3d, measured  # noqa: E402
from tests.support.parity_networks import tiny, tiny_arguments  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def normal(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [3, 5])
def test_every_way_is_the_same_convolution(way: Way, depth: int) -> None:
    x, weight, bias = normal(2, 3, 4, 6, 5), normal(7, 3, depth, 3, 3), normal(7)
    padding = (depth // 2, 1, 1)
    expected = F.conv3d(x, weight, bias, padding=padding)
    found = convolved(x, arranged(weight, way), bias, way, padding=padding)
    assert found.dtype == x.dtype
    assert torch.allclose(found, expected, atol=1e-5 if way == "float32" else 1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_the_same_transposed_convolution(way: Way) -> None:
    x, weight, bias = normal(2, 3, 4, 6, 5), normal(3, 7, 3, 4, 4), normal(7)
    expected = F.conv_transpose3d(x, weight, bias, stride=(1, 2, 2), padding=1)
    found = convolved(x, arranged(weight, way, True), bias, way, stride=(1, 2, 2), padding=1, transposed=True)
    assert torch.allclose(found, expected, atol=1e-5 if way == "float32" else 1e-12)


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 2)])
def test_what_slices_cannot_do_is_refused(padding: int, stride: int) -> None:
    with pytest.raises(ValueError, match="cannot be run by slices"):
        convolved(normal(1, 2, 4, 4, 4), arranged(normal(2, 2, 3, 3, 3), "slices"), None, "slices", padding=padding, stride=stride)


@pytest.mark.parametrize("form", [prepare_for_inference, prepare_for_gpu])
@pytest.mark.parametrize("way", WAYS)
def test_the_warp_network_is_the_same_in_every_way(form: Any, way: Way) -> None:
    arguments = tiny_arguments("warp_network", 2)
    with torch.no_grad():
        expected = tiny("warp_network")(**arguments)
        network = form(tiny("warp_network"))
        use_conv3d(network, way)
        assert torch.allclose(network(**arguments), expected, atol=1e-5)
        halved = network.to(torch.bfloat16)(**arguments)
    assert halved.dtype == torch.bfloat16
    assert float((halved.double() - expected.double()).abs().mean()) < 0.25 * max(float(expected.double().std()), 0.05)


# ---- the choice


class Timer:
    """Says of the calls one after another what it is told; what is None cannot run."""

    def __init__(self, times_ms: list[float | None]) -> None:
        self.times_ms = iter(times_ms)

    def __call__(self, call: Any) -> float:
        call()
        time_ms = next(self.times_ms)
        if time_ms is None:
            raise RuntimeError("no kernel\nmore lines")
        return time_ms


def test_every_way_is_measured_but_for_those_that_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv3d_choice, "SHAPE", (3, 4, 4))
    times = measured(CPU, torch.bfloat16, Timer([9.0, None, 2.0, 5.0]))
    assert times == {"channels last": 9.0, "slices": 2.0, "float32": 5.0}


@pytest.mark.parametrize(
    ("times_ms", "usual", "way", "said"),
    [
        ({"channels last": 1.0, "contiguous": 1.5, "slices": 1.2, "float32": 4.0}, "channels last", "channels last", ""),
        ({"channels last": 1.0, "contiguous": 1.2}, "contiguous", "contiguous", ""),  # not worth other frames
        ({"channels last": 1.0, "contiguous": 1.5}, "contiguous", "channels last", ""),
        (
            {"channels last": 30.0, "contiguous": 40.0, "slices": 2.0, "float32": 6.0},
            "channels last",
            "slices",
            "(slices), 15 times",
        ),
        ({"channels last": 30.0, "contiguous": 40.0, "float32": 6.0}, "contiguous", "float32", "(float32), 7 times"),
        ({"slices": 2.0}, "contiguous", "slices", "(slices), which is the fastest"),
        ({}, "contiguous", "contiguous", ""),
    ],
)
def test_the_fastest_way_is_taken_where_it_is_worth_it(
    times_ms: dict[Way, float], usual: Way, way: Way, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        choice = chosen(times_ms, usual)
    assert choice.way == way
    assert said in choice.note
    assert bool(choice.note) == bool(said) == bool(caplog.records)


def test_on_a_cpu_nothing_is_measured() -> None:
    assert fastest_conv3d(CPU, torch.float16, "contiguous") == conv3d_choice.Conv3dChoice("contiguous")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_every_way_is_measured() -> None:
    assert set(fastest_conv3d(torch.device("cuda"), torch.float16, "channels last").times_ms) == set(WAYS)
