"""Tiny networks through every path: batches, the prepared form, half precision, one source for many frames."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models import MotionInfo  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.modules import folding  # noqa: E402
from core.models.modules.spade import repeat_pixels  # noqa: E402
from tests.support.parity_networks import KINDS, apart, as_tuple, tiny, tiny_arguments  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", KINDS)
def test_prepared_form_equals_plain_form(name: str) -> None:
    plain = tiny(name)
    prepared = prepare_for_inference(plain)
    for n in (1, 3):
        arguments = tiny_arguments(name, n)
        with torch.no_grad():
            for a, b in zip(as_tuple(plain(**arguments)), as_tuple(prepared(**arguments)), strict=True):
                assert a.shape == b.shape
                assert apart(a, b) < 5e-6


@pytest.mark.parametrize("name", ["appearance_extractor", "motion_extractor", "decoder"])
def test_prepared_form_is_exact_in_double_precision(name: str) -> None:
    """Rounding aside, nothing is approximated. (The other networks keep keypoints and noise in float32.)"""
    plain = tiny(name).double()
    prepared = prepare_for_inference(plain)
    arguments = {k: v.double() for k, v in tiny_arguments(name, 2).items()}
    with torch.no_grad():
        for a, b in zip(as_tuple(plain(**arguments)), as_tuple(prepared(**arguments)), strict=True):
            # Instance statistics of the prepared decoder are float32 whatever the weights are.
            assert apart(a, b) < (1e-6 if name == "decoder" else 1e-12)


@pytest.mark.parametrize("form", ["plain", "prepared"])
@pytest.mark.parametrize("name", KINDS)
def test_items_of_a_batch_do_not_see_each_other(name: str, form: str) -> None:
    net = tiny(name) if form == "plain" else prepare_for_inference(tiny(name))
    arguments = tiny_arguments(name, 3)
    with torch.no_grad():
        together = as_tuple(net(**arguments))
        for i in range(3):
            alone = as_tuple(net(**{k: v[i : i + 1] for k, v in arguments.items()}))
            for a, b in zip(together, alone, strict=True):
                assert apart(a[i : i + 1], b) < 5e-6


@pytest.mark.parametrize("form", ["plain", "prepared"])
@pytest.mark.parametrize("name", KINDS)
def test_bfloat16_weights_give_about_the_same(name: str, form: str) -> None:
    arguments = tiny_arguments(name, 2)
    with torch.no_grad():
        expected = as_tuple(tiny(name)(**arguments))
    half = tiny(name).to(torch.bfloat16)
    net = half if form == "plain" else prepare_for_inference(half)
    with torch.no_grad():
        found = as_tuple(net(**arguments))
    for a, b in zip(expected, found, strict=True):
        spread = float(a.double().std()) if a.numel() > 2 else 1.0
        assert float((a.double() - b.double()).abs().mean()) < 0.25 * max(spread, 0.05)


def test_motion_info_has_the_published_order() -> None:
    info = tiny("motion_extractor")(**tiny_arguments("motion_extractor", 2))
    assert isinstance(info, MotionInfo)
    assert [tuple(v.shape) for v in info] == [(2, 6), (2, 6), (2, 6), (2, 3), (2, 15), (2, 1), (2, 15)]
    assert MotionInfo._fields == ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")


def test_a_source_is_prepared_once_for_many_frames() -> None:
    plain = tiny("warp_network")
    prepared = prepare_for_inference(plain)
    arguments = tiny_arguments("warp_network", 3)
    feature, source = arguments["feature_3d"][:1], arguments["kp_source"][:1]
    with torch.no_grad():
        once = prepared.source(feature, source)
        frames = prepared.from_source(once, arguments["kp_driving"])
        for i in range(3):
            assert apart(plain(feature, source, arguments["kp_driving"][i : i + 1]), frames[i : i + 1]) < 5e-6


def test_keypoints_far_outside_the_volume_warp_the_same_in_both_forms() -> None:
    """Volumes shifted out of view read zeros, partly or wholly; the axis-wise form must drop the same samples."""
    plain = tiny("warp_network")
    prepared = prepare_for_inference(plain)
    arguments = tiny_arguments("warp_network", 3)
    arguments["kp_driving"] = arguments["kp_driving"] * torch.tensor([0.0, 3.0, -9.0])[:, None, None]
    with torch.no_grad():
        assert apart(plain(**arguments), prepared(**arguments)) < 5e-6


@pytest.mark.parametrize("times", [2, 4])
def test_convolution_of_repeated_pixels_is_a_transposed_one(times: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(repeat_pixels(x, times), weight, padding=1)
    taps = folding.repeated_taps(weight, times)
    found = torch.nn.functional.conv_transpose2d(x, taps, stride=times, padding=1)
    assert torch.allclose(found, expected, atol=1e-12)
    values = min(times, 3)
    distinct = torch.nn.functional.conv_transpose2d(x, folding.distinct_taps(weight, times), stride=values, padding=1)
    # a b b c of four pixels are three values.
    index = torch.tensor([0, 1] if times == 2 else [0, 1, 1, 2])
    rows = (torch.arange(5)[:, None] * values + index).flatten()
    columns = (torch.arange(7)[:, None] * values + index).flatten()
    assert torch.allclose(distinct[:, :, rows][:, :, :, columns], expected, atol=1e-12)


def test_only_known_networks_have_an_inference_form() -> None:
    with pytest.raises(TypeError, match="Linear has no inference form"):
        prepare_for_inference(torch.nn.Linear(1, 1))
    stitch = tiny("stitch_network")
    assert prepare_for_inference(stitch) is stitch
