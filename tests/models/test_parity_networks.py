"""The networks of the published size against the published code's numbers, on the same synthetic weights; `golden_io` says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models.inference import prepare_for_gpu, prepare_for_inference  # noqa: E402
from core.models.modules import diffusion  # noqa: E402
from tests.support.golden_io import check, load  # noqa: E402
from tests.support.parity_networks import KINDS, manifest, normal, published, uniform  # noqa: E402

FORMS = ["plain", "prepared"]
LOGITS = ("pitch", "yaw", "roll")


def network(name: str, form: str) -> Any:
    plain = published(name)
    forms: dict[str, Any] = {"plain": lambda net: net, "prepared": prepare_for_inference, "fused": prepare_for_gpu}
    return forms[form](plain)


def among_three(x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(1, ...) and (2, ...) -> (3, ...), the first in the middle."""
    return torch.cat([others[:1], x, others[1:]])


def outputs_of(net: Any, modules: dict[str, str], run: Callable[[], Any]) -> dict[str, torch.Tensor]:
    """What the named modules gave while `run` ran; {golden key: module}."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [net.get_submodule(m).register_forward_hook(lambda _m, _i, o, k=k: seen.__setitem__(k, o)) for k, m in modules.items()]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", KINDS)
def test_parity_default_sizes_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        net = KINDS[name]()
    expected = {k: (tuple(v["shape"]), v["dtype"]) for k, v in manifest()[name]["state_dict"].items()}
    assert {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in net.state_dict().items()} == expected
    assert sum(p.numel() for p in net.parameters()) == manifest()[name]["parameters"]


def test_parity_stitch_network() -> None:
    golden, net = load("stitch_network"), published("stitch_network")
    pairs = [(torch.from_numpy(golden[f"kp_source_{i}"]), torch.from_numpy(golden[f"kp_driving_{i}"])) for i in range(4)]
    with torch.no_grad():
        for i, (source, driving) in enumerate(pairs):
            check(golden, f"out_{i}", net(source, driving), 1e-6)
        batch = net(*(torch.cat(kp) for kp in zip(*pairs[:3], strict=True)))
    for i in range(3):
        check(golden, f"out_{i}", batch[i : i + 1], 1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_parity_motion_extractor(form: str) -> None:
    golden, net = load("motion_extractor"), network("motion_extractor", form)
    image = uniform("image256", (1, 3, 256, 256), 0, 1)
    with torch.no_grad():
        one, three = net(image), net(among_three(image, torch.rand(2, 3, 256, 256)))
    for key, value in one._asdict().items():
        tolerance = 2e-5 if key in LOGITS else 2e-6
        check(golden, key, value, tolerance)
        check(golden, key, getattr(three, key)[1:2], tolerance)
    if form == "plain":
        with torch.no_grad():
            check(golden, "features_768", net.detector.features(image), 2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_parity_appearance_extractor(form: str) -> None:
    golden, net = load("appearance_extractor"), network("appearance_extractor", form)
    image = uniform("image256", (1, 3, 256, 256), 0, 1)
    seen = outputs_of(net, {"first": "first", "second": "second", "f_s": "resblocks_3d"}, lambda: net(image))
    for key, value in seen.items():
        check(golden, key, value, 1e-5)
    with torch.no_grad():
        check(golden, "f_s", net(among_three(image, torch.rand(2, 3, 256, 256)))[1:2], 1e-5)


def lmdm_arguments() -> dict[str, torch.Tensor]:
    return {
        "cond_frame": uniform("lmdm_cond_frame", (1, 265), -0.5, 0.5),
        "cond": uniform("lmdm_cond", (1, 80, 1103), -1, 1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_parity_lmdm_step(form: str) -> None:
    golden, net = load("lmdm_step"), network("lmdm", form)
    arguments = {"x": normal("lmdm_x", (1, 80, 265)), **lmdm_arguments()}
    rest = {k: torch.randn(2, *v.shape[1:]) for k, v in arguments.items()}
    three = {k: among_three(v, rest[k]) for k, v in arguments.items()}
    with torch.no_grad():
        for time in (999, 479, 19):
            amplified = max(1.0, 1 / float(diffusion.noise_gains()[1][time]))
            for n, given in ((1, arguments), (3, three)):
                pred_noise, x_start = net.denoise(**given, time_cond=torch.full((n,), time))
                check(golden, f"x_start_t{time}", x_start[n // 2 :][:1], 5e-5)
                check(golden, f"pred_noise_t{time}", pred_noise[n // 2 :][:1], 5e-5 * amplified)
        if form == "plain":
            time_cond = torch.tensor([479])
            free, bound = net.both_passes(**arguments, time_cond=time_cond)
            check(golden, "uncond_t479", free[0, ::4], 5e-5)
            check(golden, "cond_t479", bound[0, ::4], 5e-5)
            check(golden, "cond_tokens", net.cond_tokens(arguments["cond"]), 5e-5)
            check(golden, "t_hidden_t479", net.time_hidden(time_cond), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_parity_lmdm_sampling(form: str) -> None:
    golden, net = load("lmdm_ddim10"), network("lmdm", form)
    x_T = normal("ddim_x_T", (1, 80, 265))
    noises = [normal(f"ddim_step_noise_{i}", (1, 80, 265)) for i in range(9)]
    motion = net.sample(**lmdm_arguments(), steps=10, x_T=x_T, noises=noises)
    check(golden, "out", motion, 2e-4)
    check(golden, "out_first_last_frames", motion[0, [0, 1, 40, 78, 79]], 2e-4)


def test_parity_noise_schedule() -> None:
    step, ddim = load("lmdm_step"), load("lmdm_ddim10")
    assert np.array_equal(diffusion.signal_levels(), step["alphas_cumprod"])
    # Relative: the square roots of two libraries differ in the last bit.
    for table, key in zip(diffusion.noise_gains(), ("sqrt_recip1m", "sqrt_recipm1"), strict=True):
        np.testing.assert_allclose(table, step[key], rtol=2.5e-7)
    for steps in (2, 5, 10, 25, 50, 1000):
        run = diffusion.plan(steps)
        assert diffusion.timesteps(steps) == ddim[f"times_{steps}"].tolist()
        assert [s.time for s in run] == ddim[f"times_{steps}"].tolist()[:-1]
        for key, values in (
            ("alpha_next_sqrt", [s.start_gain for s in run]),
            ("c", [s.noise_gain for s in run]),
            ("sigma", [s.fresh_gain for s in run]),
        ):
            # One bit more or less in sigma near 1 is all there is of c in a first step: both are noise there.
            check(ddim, f"{key}_{steps}", np.array(values[:-1]), 2e-7)


def warp_arguments(golden: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        "feature_3d": normal("feature_3d", (1, 32, 16, 64, 64), 0.7),
        "kp_source": torch.from_numpy(golden["kp_source"]),
        "kp_driving": torch.from_numpy(golden["kp_driving"]),
    }


def other_warps(arguments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Three items, the golden in the middle, its neighbours with other features and other keypoints."""
    return {k: among_three(v, torch.cat([v.flip(-1), v * 0.8])) for k, v in arguments.items()}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_parity_warp_network(form: str) -> None:
    golden, net = load("warp_network"), network("warp_network", form)
    arguments = warp_arguments(golden)
    seen = outputs_of(net, {"motion": "dense_motion_network", "out": "fourth"}, lambda: net(**arguments))
    motion = seen["motion"]
    check(golden, "deformation", motion.deformation, 2e-5)
    check(golden, "occlusion_map", motion.occlusion, 2e-5)
    check(golden, "mask", motion.mask, 2e-5)
    check(golden, "out", seen["out"] * motion.occlusion, 2e-5)
    with torch.no_grad():
        check(golden, "out", net(**other_warps(arguments))[1:2], 2e-5)


@pytest.mark.slow
def test_parity_fused_forms() -> None:
    """Warp network and decoder as they run on a GPU; what lies within them has another layout there."""
    golden, net = load("warp_network"), network("warp_network", "fused")
    arguments = warp_arguments(golden)
    with torch.no_grad():
        check(golden, "out", net(**arguments), 2e-5)
        check(golden, "out", net(**other_warps(arguments))[1:2], 2e-5)
    golden, net = load("decoder"), network("decoder", "fused")
    feature = normal("feature", (1, 256, 64, 64), 0.7)
    with torch.no_grad():
        check(golden, "output", net(feature), 1e-5)
        check(golden, "output", net(among_three(feature, torch.cat([feature.flip(-1), feature * 0.8])))[1:2], 1e-5)


@pytest.mark.slow
def test_parity_warp_network_takes_source_before_driving() -> None:
    golden, net = load("warp_network"), network("warp_network", "prepared")
    arguments = warp_arguments(golden)
    swapped = {**arguments, "kp_source": arguments["kp_driving"], "kp_driving": arguments["kp_source"]}
    with torch.no_grad():
        assert (net(**swapped) - net(**arguments)).abs().max() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_parity_decoder(form: str) -> None:
    golden, net = load("decoder"), network("decoder", form)
    feature = normal("feature", (1, 256, 64, 64), 0.7)
    middle = "G_middle_" if form == "plain" else "middle."
    modules = {"fc": "fc", "G_middle_0": f"{middle}0", "G_middle_5": f"{middle}5", "up_0": "up_0", "up_1": "up_1"}
    outputs = []
    seen = outputs_of(net, modules, lambda: outputs.append(net(feature)))
    for key, value in seen.items():
        check(golden, key, value, 1e-5)
    check(golden, "output", outputs[0], 1e-5)
    check(golden, "conv_img", torch.logit(outputs[0].double()), 2e-5)
    check(golden, "wrapper_hwc_255", outputs[0][0].permute(1, 2, 0).clip(0, 1) * 255, 2.6e-3)
    with torch.no_grad():
        check(golden, "output", net(among_three(feature, torch.cat([feature.flip(-1), feature * 0.8])))[1:2], 1e-5)
