"""The GPU forms of warp network and decoder: the same numbers as the plain networks, with PyTorch's passes and with Triton's kernels."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models.fused import kernel_check, passes  # noqa: E402
from core.models.fused.decoder import FusedDecoder  # noqa: E402
from core.models.fused.layers import distinct, doubled  # noqa: E402
from core.models.fused.warp import FusedWarpNetwork  # noqa: E402
from core.models.inference import prepare_for_gpu, prepare_for_inference  # noqa: E402
from core.models.modules.spade import repeat_pixels  # noqa: E402
from tests.support.operations import Kernel  # noqa: E402
from tests.support.parity_networks import KINDS, apart, as_tuple, tiny, tiny_arguments  # noqa: E402
from tests.support.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
FUSED = ["warp_network", "decoder"]
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", KINDS)
def test_the_form_for_a_gpu_equals_the_plain_form(name: str) -> None:
    plain = tiny(name)
    fused = prepare_for_gpu(plain)
    assert isinstance(fused, {"warp_network": FusedWarpNetwork, "decoder": FusedDecoder}.get(name, torch.nn.Module))
    for n in (1, 3):
        arguments = tiny_arguments(name, n)
        with torch.no_grad():
            for a, b in zip(as_tuple(plain(**arguments)), as_tuple(fused(**arguments)), strict=True):
                assert a.shape == b.shape
                assert apart(a, b) < 5e-6


@pytest.mark.parametrize("name", FUSED)
def test_items_of_a_batch_do_not_see_each_other(name: str) -> None:
    net = prepare_for_gpu(tiny(name))
    arguments = tiny_arguments(name, 3)
    with torch.no_grad():
        together = net(**arguments)
        for i in range(3):
            assert apart(together[i : i + 1], net(**{k: v[i : i + 1] for k, v in arguments.items()})) < 5e-6


def test_a_source_is_prepared_once_for_many_frames() -> None:
    plain = tiny("warp_network")
    fused = prepare_for_gpu(plain)
    arguments = tiny_arguments("warp_network", 3)
    feature, source = arguments["feature_3d"][:1], arguments["kp_source"][:1]
    with torch.no_grad():
        frames = fused.from_source(fused.source(feature, source), arguments["kp_driving"])
        for i in range(3):
            assert apart(plain(feature, source, arguments["kp_driving"][i : i + 1]), frames[i : i + 1]) < 5e-6


def test_keypoints_far_outside_the_volume_warp_the_same() -> None:
    plain = tiny("warp_network")
    fused = prepare_for_gpu(plain)
    arguments = tiny_arguments("warp_network", 3)
    arguments["kp_driving"] = arguments["kp_driving"] * torch.tensor([0.0, 3.0, -9.0])[:, None, None]
    with torch.no_grad():
        assert apart(plain(**arguments), fused(**arguments)) < 5e-6


@pytest.mark.parametrize("name", FUSED)
def test_halved_after_it_was_prepared_it_is_still_about_the_same(name: str) -> None:
    """As the engine loads it on a GPU: norms are folded in float32."""
    arguments = tiny_arguments(name, 2)
    with torch.no_grad():
        expected = tiny(name)(**arguments)
        found = prepare_for_gpu(tiny(name)).to(torch.bfloat16)(**arguments)
    assert found.dtype == torch.bfloat16
    assert float((expected.double() - found.double()).abs().mean()) < 0.25 * max(float(expected.double().std()), 0.05)


@pytest.mark.parametrize("form", [prepare_for_inference, prepare_for_gpu])
def test_a_variance_that_half_precision_cannot_hold_is_folded_in_float32(form: Any) -> None:
    """65504 is the largest half. Halved first, the norm would divide by infinity and its channel would be constant."""

    def network() -> Any:
        plain = tiny("warp_network")
        norm = plain.third.norm
        norm.running_var[0], norm.running_mean[0], norm.weight.data[0] = 4.0e6, 100.0, 2000.0
        return plain

    arguments = tiny_arguments("warp_network", 2)
    with torch.no_grad():
        expected = network()(**arguments)
        halved = form(network()).to(torch.float16)
        assert all(torch.isfinite(value).all() for value in halved.state_dict().values() if value.is_floating_point())
        assert apart(expected, halved(**arguments)) < 0.05
        assert apart(expected, form(network().to(torch.float16))(**arguments)) > 0.05  # what this is about


@pytest.mark.parametrize(("times", "rewrite"), [(2, doubled), (2, lambda w: distinct(w, 2)), (4, lambda w: distinct(w, 4))])
def test_convolution_of_repeated_pixels(times: int, rewrite: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(repeat_pixels(x, times), weight, padding=1)
    values = min(times, 3)
    shuffled = torch.nn.functional.conv2d(x, rewrite(weight), padding=1).permute(0, 2, 3, 1)
    found = passes.unshuffled(shuffled, values).permute(0, 3, 1, 2)
    index = torch.tensor([0, 1] if times == 2 else [0, 1, 1, 2])
    lines = (torch.arange(5)[:, None] * values + index).flatten()
    columns = (torch.arange(7)[:, None] * values + index).flatten()
    assert torch.allclose(found[:, :, lines][:, :, :, columns], expected, atol=1e-12)


# ---- kernels


def test_kernels_give_what_pytorch_gives() -> None:
    """As Triton's interpreter runs them, without a GPU."""
    pytest.importorskip("triton", reason="the kernels need Triton, which PyTorch brings along for GPUs only")
    command = [sys.executable, "-m", "tests.support.interpreted_kernels"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_kernels_on_a_gpu() -> None:
    assert kernel_check.enable_kernels(torch.device("cuda")) is None


def test_a_kernel_that_computes_something_else_is_found_out() -> None:
    wrong = SimpleNamespace(motion_stack_kernel=Kernel(lambda volume, a, b, out, *sizes, **options: out.fill_(7)))
    assert kernel_check.difference(wrong, CPU, torch.float32) == "the kernel of motion_stack gives other numbers than PyTorch"


def test_kernels_that_do_not_run_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Triton, or where it has no compiler, the reason is told, and PyTorch goes on computing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert kernel_check.enable_kernels(CPU) == "Triton is not installed"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "there")

    def broken(kernels: Any, device: Any, dtype: Any) -> str:
        raise RuntimeError("no C compiler\nmore lines")

    monkeypatch.setattr(kernel_check, "difference", broken)
    monkeypatch.setitem(sys.modules, "core.models.fused.kernels", ModuleType("kernels"))
    assert kernel_check.enable_kernels(CPU) == "Triton's kernels cannot run here (RuntimeError: no C compiler)"
    assert passes.enabled_devices == set()
