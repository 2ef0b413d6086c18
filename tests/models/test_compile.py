"""Every network's forms in one graph of torch.compile, and at full size on tensors without content, without a GPU or a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models.inference import prepare_for_gpu, prepare_for_inference  # noqa: E402
from tests.support.parity_networks import KINDS, TINY, as_tuple, tiny, tiny_arguments  # noqa: E402

FORMS = [prepare_for_inference, prepare_for_gpu]
STEPS = 5


@pytest.fixture(autouse=True)
def compiled_anew(one_thread: None) -> None:
    torch._dynamo.reset()


def same_in_one_graph(call: Callable[..., Any], *given: Any, **named: Any) -> None:
    compiled = torch.compile(call, backend="eager", fullgraph=True)
    with torch.no_grad():
        for a, b in zip(as_tuple(compiled(*given, **named)), as_tuple(call(*given, **named)), strict=True):
            assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", KINDS)
def test_a_network_is_one_graph(name: str, form: Any) -> None:
    same_in_one_graph(form(tiny(name)), **tiny_arguments(name, 2))


@pytest.mark.parametrize("form", FORMS)
def test_frames_of_a_prepared_source_are_one_graph(form: Any) -> None:
    network, arguments = form(tiny("warp_network")), tiny_arguments("warp_network", 2)
    feature, source = arguments["feature_3d"][:1], arguments["kp_source"][:1]
    same_in_one_graph(lambda feature, source: tuple(network.source(feature, source)), feature, source)
    with torch.no_grad():
        still = network.source(feature, source)
    same_in_one_graph(network.from_source, still, arguments["kp_driving"])


def window(n: int) -> dict[str, Any]:
    size = TINY["lmdm"]
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Any:
        return torch.randn(shape, generator=generator)

    frames, motion = size["frames"], size["motion_dim"]
    return {
        "cond_frame": normal(n, motion), "cond": normal(n, frames, size["cond_dim"]), "steps": STEPS,
        "x_T": normal(n, frames, motion), "noises": normal(STEPS - 1, n, frames, motion),
    }  # fmt: skip


@pytest.mark.parametrize("form", [lambda network: network, prepare_for_inference], ids=["plain", "prepared"])
def test_a_whole_window_of_motion_is_one_graph(form: Any) -> None:
    """The network was not sampled before: what depends on the number of steps alone is made within the graph."""
    same_in_one_graph(form(tiny("lmdm")).sample, **window(2))


def test_the_loop_of_a_number_of_steps_is_one_graph() -> None:
    given = window(2)
    given.pop("steps")
    same_in_one_graph(prepare_for_inference(tiny("lmdm")).sampler(STEPS), **given)


FULL_SIZE: dict[str, tuple[dict[str, tuple[int, ...]], list[tuple[int, ...]]]] = {
    "appearance_extractor": ({"image": (3, 256, 256)}, [(32, 16, 64, 64)]),
    "motion_extractor": ({"image": (3, 256, 256)}, [(66,), (66,), (66,), (3,), (63,), (1,), (63,)]),
    "warp_network": ({"feature_3d": (32, 16, 64, 64), "kp_source": (21, 3), "kp_driving": (21, 3)}, [(256, 64, 64)]),
    "decoder": ({"feature": (256, 64, 64)}, [(3, 512, 512)]),
    "stitch_network": ({"kp_source": (21, 3), "kp_driving": (21, 3)}, [(21, 3)]),
    "lmdm": ({"x": (80, 265), "cond_frame": (265,), "cond": (80, 1103)}, [(80, 265), (80, 265)]),
}
"""Shapes of arguments and results at the published size, without the batch."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_shapes_at_full_size(name: str, n: int, form: Any) -> None:
    takes, gives = FULL_SIZE[name]
    with torch.device("meta"), torch.no_grad():
        network = form(KINDS[name]().eval().to("meta"))  # its tables too, which are made of numbers
        arguments = {key: torch.empty(n, *shape) for key, shape in takes.items()}
        if name == "lmdm":
            arguments["time_cond"] = torch.empty(n, dtype=torch.int64)
        results = as_tuple(network(**arguments))
    assert [tuple(result.shape) for result in results] == [(n, *shape) for shape in gives]


@pytest.mark.parametrize("steps", [10])
def test_a_window_of_motion_at_full_size(steps: int) -> None:
    with torch.device("meta"), torch.no_grad():
        network = prepare_for_inference(KINDS["lmdm"]().eval().to("meta"))
        shapes = (2, 265), (2, 80, 1103), (2, 80, 265), (steps - 1, 2, 80, 265)
        assert network.sampler(steps)(*(torch.empty(shape) for shape in shapes)).shape == (2, 80, 265)
