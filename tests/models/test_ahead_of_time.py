"""Calls compiled ahead of time: exported at the published size, and taken only for tensors that lie as they were compiled for."""

from __future__ import annotations

import logging
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models import LMDM, Decoder, WarpNetwork  # noqa: E402
from core.models.ahead_of_time import CompilableCall, apart, layout_of, stand_in  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.optimization.gpu_optimization import GPU_BATCH  # noqa: E402


def results(program: Any) -> list[tuple[int, ...]]:
    (nodes,) = next(node.args for node in program.graph.nodes if node.op == "output")
    return [tuple(node.meta["val"].shape) for node in nodes]


def test_decoder_and_warp_export_at_the_published_size() -> None:
    n = GPU_BATCH
    with torch.device("meta"), torch.no_grad():
        warp, decoder = (prepare_for_inference(network.eval()) for network in (WarpNetwork(), Decoder()))
        source = warp.source(torch.empty(1, 32, 16, 64, 64), torch.empty(1, 21, 3))
        frames = CompilableCall("warp network", warp, "from_source").program((source, torch.empty(n, 21, 3)))
        pictures = CompilableCall("decoder", decoder).program((torch.empty(n, 256, 64, 64),))
    assert results(frames) == [(n, 256, 64, 64)]
    assert results(pictures) == [(n, 3, 512, 512)]


def test_a_step_of_motion_exports_at_the_published_size() -> None:
    """With the arguments that the sampling loop gives it."""
    with torch.device("meta"), torch.no_grad():
        lmdm = prepare_for_inference(LMDM().eval().to("meta"))
        step, given = CompilableCall("step of motion", lmdm, "x_start"), []
        lmdm.x_start = lambda *arguments: given.append(arguments) or step(*arguments)
        shapes = (1, 265), (1, 80, 1103), (1, 80, 265), (4, 1, 80, 265)
        lmdm.sampler(5)(*(torch.empty(shape) for shape in shapes))
        program = step.program(given[0])
    assert results(program) == [(1, 80, 265)]
    assert len({layout_of(arguments) for arguments in given}) == 1  # one code for all steps


@pytest.fixture
def decoder() -> Any:
    return torch.nn.Conv2d(8, 3, 3, padding=1).requires_grad_(False)


@pytest.fixture
def feature() -> Any:
    return torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(1))


def ready(network: Any, code: Any, *arguments: Any) -> CompilableCall:
    call = CompilableCall("decoder", network)
    call.slot.forward = code
    call.use(layout_of(arguments))
    return call


def test_an_exported_call_computes_what_the_network_does(decoder: Any, feature: Any) -> None:
    call = CompilableCall("decoder", decoder)
    code = call.program((feature,)).module()
    assert apart(call, code, (feature,)) < 1e-5
    call.slot.forward = lambda *tensors: code(*tensors)
    call.use(layout_of((feature,)))
    call.eager = lambda *given: pytest.fail("the network ran")
    with torch.inference_mode():
        assert torch.allclose(call(feature), decoder(feature), atol=1e-5)


@pytest.mark.parametrize("change", [lambda x: x[:1], lambda x: x.transpose(2, 3), lambda x: x.double()])
def test_tensors_that_lie_otherwise_go_to_the_network(decoder: Any, feature: Any, change: Any) -> None:
    """Also where only strides differ: compiled code would read them in the wrong order and say nothing."""
    call = ready(decoder, lambda x: pytest.fail("compiled code ran"), feature)
    other = change(feature)
    call.eager = lambda x: x.sum()
    assert call(other) == other.sum()


def test_code_that_fails_is_replaced_by_the_network_and_said_once(decoder: Any, feature: Any, caplog: Any) -> None:
    calls = []

    def broken(x: Any) -> Any:
        calls.append(x)
        raise RuntimeError("no kernel image is available\nmore")

    call = ready(decoder, broken, feature)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(call(feature), decoder(feature))
    assert len(calls) == 1
    assert caplog.messages == ["ditto's decoder runs uncompiled from now on: RuntimeError: no kernel image is available"]


def test_a_device_without_room_is_not_hidden(decoder: Any, feature: Any) -> None:
    """Who draws halves the batch then."""

    def full(x: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    call = ready(decoder, full, feature)
    with pytest.raises(torch.OutOfMemoryError):
        call(feature)
    assert call.layout is not None


def test_stand_ins_share_memory_as_their_models_do() -> None:
    column = torch.randn(3, 1, 4)
    for tensor in (column, column.expand(3, 5, 4), column.permute(2, 0, 1), torch.empty(0, 3)):
        other = stand_in(tensor)
        assert layout_of((other,)) == layout_of((tensor,))
        assert not other.any()
    with torch.inference_mode():
        inner = torch.randn(2)
    assert not stand_in(inner).is_inference()


def test_results_that_are_no_numbers_are_far_off(decoder: Any, feature: Any) -> None:
    call = CompilableCall("decoder", decoder)
    assert apart(call, lambda x: decoder(x) * float("nan"), (feature,)) == float("inf")
    assert apart(call, lambda x: 1.1 * decoder(x), (feature,)) == pytest.approx(0.1, rel=1e-3)
