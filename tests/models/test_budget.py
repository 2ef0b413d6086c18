"""Budgets of a frame and of a window of motion at the published size, counted on tensors without content."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from core.models import LMDM, Decoder, WarpNetwork  # noqa: E402
from core.models.fused import passes  # noqa: E402
from core.models.inference import prepare_for_gpu, prepare_for_inference  # noqa: E402
from tests.support.operations import Launches, Operations  # noqa: E402


@pytest.mark.parametrize(("form", "most_gmacs"), [(prepare_for_inference, 503), (prepare_for_gpu, 606)])
def test_multiplications_of_a_frame_at_the_published_size(form: Any, most_gmacs: float) -> None:
    """A budget, on tensors without content. As published: 617 billion. The form for GPUs computes channels that are filled up."""
    with torch.device("meta"), torch.no_grad():
        warp, decode = (form(network.eval()) for network in (WarpNetwork(), Decoder()))
        arguments = torch.empty(1, 32, 16, 64, 64), torch.empty(1, 21, 3), torch.empty(1, 21, 3)
        with FlopCounterMode(display=False) as counter:
            picture = decode(warp(*arguments))
    assert picture.shape == (1, 3, 512, 512)
    assert counter.get_total_flops() / 2e9 < most_gmacs


def test_operations_of_a_batch_at_the_published_size() -> None:
    """What a GPU has to be given for a batch where each pass between convolutions is one kernel (two where it has statistics)."""
    with torch.device("meta"), torch.no_grad():
        warp, decode = (prepare_for_gpu(network.eval()) for network in (WarpNetwork(), Decoder()))
        source = warp.source(torch.empty(1, 32, 16, 64, 64), torch.empty(1, 21, 3)).repeated(5)
        kernels = Launches()
        with passes.using(kernels), Operations() as operations:
            decode(warp.from_source(source, torch.empty(5, 21, 3)))
    assert kernels.n <= 68
    assert operations.n <= 122


def test_operations_of_a_batch_on_a_cpu() -> None:
    with torch.device("meta"), torch.no_grad():
        warp, decode = (prepare_for_inference(network.eval()) for network in (WarpNetwork(), Decoder()))
        source = warp.source(torch.empty(1, 32, 16, 64, 64), torch.empty(1, 21, 3)).repeated(5)
        with Operations() as operations:
            decode(warp.from_source(source, torch.empty(5, 21, 3)))
    assert operations.n <= 500


@pytest.mark.parametrize("n", [1, 4])
def test_a_window_of_motion(n: int) -> None:
    """Ten steps. As published, every step encodes the condition anew and runs both passes one by one: 49 billion multiplications."""
    with torch.device("meta"), torch.no_grad():
        loop = prepare_for_inference(LMDM().eval().to("meta")).sampler(10)
        shapes = (n, 265), (n, 80, 1103), (n, 80, 265), (9, n, 80, 265)
        given = [torch.empty(shape) for shape in shapes]
        with Operations() as operations:
            loop(*given)
        with FlopCounterMode(display=False) as counter:
            loop(*given)
    assert operations.n <= 4750
    assert counter.get_total_flops() / 2e9 < 36.1 * n
