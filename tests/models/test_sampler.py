"""The sampler: every step count, noise that is given or drawn, and errors."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.errors import OptionError  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.modules import diffusion  # noqa: E402
from tests.support.parity_networks import tiny, tiny_arguments  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_step_count_has_finite_numbers_and_ends_without_noise() -> None:
    for steps in range(1, 1001):
        run = diffusion.plan(steps)
        assert len(run) == steps
        assert all(math.isfinite(v) for step in run for v in step)
        times = [step.time for step in run]
        assert times[0] == 999
        assert times == sorted(set(times), reverse=True)
        assert times[-1] >= 0


def test_three_steps_are_where_the_published_formula_fails() -> None:
    """What noise is left after the first of 3 steps rounds below zero in float32, and its root to NaN; the same in float64 is 4e-5."""
    first = diffusion.plan(3)[0]
    assert 0 < first.noise_gain < 1e-3


@pytest.mark.parametrize("steps", [26, 38, 60])
def test_times_follow_the_float32_line(steps: int) -> None:
    """A float64 line is one level off at these step counts."""
    times = diffusion.timesteps(steps)
    for index, level in {26: {13: 498}, 38: {19: 499}, 60: {33: 448, 45: 248}}[steps].items():
        assert level == times[index]


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_step_counts_out_of_range_are_named(steps: int) -> None:
    given = tiny_arguments("lmdm", 1)
    with pytest.raises(OptionError, match=f"sampling steps is {steps}"):
        tiny("lmdm").sample(given["cond_frame"], given["cond"], steps)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 70])
def test_prepared_sampling_equals_plain(steps: int) -> None:
    """70 steps reach the second block of modulations of the prepared form."""
    net = tiny("lmdm")
    prepared = prepare_for_inference(net)
    given = tiny_arguments("lmdm", 3)
    for n in (1, 3):
        frame, cond = given["cond_frame"][:n], given["cond"][:n]
        plain, fast = (form.sample(frame, cond, steps, generator=torch.Generator().manual_seed(3)) for form in (net, prepared))
        assert torch.isfinite(plain).all()
        assert (plain - fast).abs().max() < 5e-5


def test_prepared_sampling_can_change_its_step_count() -> None:
    net = prepare_for_inference(tiny("lmdm"))
    given = tiny_arguments("lmdm", 1)

    def run(steps: int) -> torch.Tensor:
        return net.sample(given["cond_frame"], given["cond"], steps, generator=torch.Generator().manual_seed(3))

    before = run(5)
    run(7)
    assert torch.equal(run(5), before)


def test_noise_is_what_is_given_or_what_the_generator_draws() -> None:
    net = tiny("lmdm")
    given = tiny_arguments("lmdm", 2)
    frame, cond = given["cond_frame"], given["cond"]
    generator = torch.Generator().manual_seed(11)
    x_T = torch.randn(2, 8, 9, generator=generator)
    noises = torch.stack([torch.randn(2, 8, 9, generator=generator) for _ in range(3)])
    drawn = net.sample(frame, cond, 4, generator=torch.Generator().manual_seed(11))
    assert torch.equal(net.sample(frame, cond, 4, x_T=x_T, noises=noises), drawn)
    assert torch.equal(net.sample(frame, cond, 4, x_T=x_T, noises=list(noises)), drawn)
    assert not torch.equal(net.sample(frame, cond, 4, generator=torch.Generator().manual_seed(12)), drawn)
    # The same step noises for every window of a batch.
    shared = net.sample(frame, cond, 4, x_T=x_T, noises=noises[:, :1])
    alone = net.sample(frame[1:], cond[1:], 4, x_T=x_T[1:], noises=noises[:, :1])
    assert torch.allclose(shared[1:], alone, atol=1e-5)


def test_sampling_leaves_the_global_generator_alone() -> None:
    given = tiny_arguments("lmdm", 1)
    net = tiny("lmdm")
    state = torch.get_rng_state()
    first = net.sample(given["cond_frame"], given["cond"], 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(net.sample(given["cond_frame"], given["cond"], 3), first)


def test_a_wrong_number_of_noises_is_refused() -> None:
    given = tiny_arguments("lmdm", 1)
    with pytest.raises(ValueError, match="4 steps take 3 noises between them, not 4"):
        tiny("lmdm").sample(given["cond_frame"], given["cond"], 4, noises=torch.zeros(4, 1, 8, 9))
