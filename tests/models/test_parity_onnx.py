"""The networks in ONNX Runtime: tiny ones against torch on every run, those of the published size against the published code's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript, which is not installed")

from core.models.export import example_arguments, export_network  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.modules import diffusion  # noqa: E402
from core.models.onnx_files import SIGNATURES, OnnxNetwork, sample_motion  # noqa: E402
from tests.support.golden_io import check, load  # noqa: E402
from tests.support.parity_networks import KINDS, as_tuple, normal, published, tiny, tiny_arguments, uniform  # noqa: E402

THREADS = 2
CASES = [(name, form) for name in KINDS for form in ("plain", "prepared") if (name, form) != ("stitch_network", "prepared")]
"""The stitch network has one form."""


@pytest.fixture(scope="module")
def tiny_exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], OnnxNetwork]:
    """Tiny networks in ONNX Runtime, each exported once."""
    folder = tmp_path_factory.mktemp("tiny")

    def exported(name: str, form: str) -> OnnxNetwork:
        path = folder / f"{name}_{form}.onnx"
        if not path.exists():
            net = tiny(name) if form == "plain" else prepare_for_inference(tiny(name))
            export_network(net, name, path, tuple(tiny_arguments(name, 2).values()), optimize=False)
        return OnnxNetwork(name, path, threads=THREADS)

    return exported


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), CASES)
def test_parity_tiny_network_in_onnx_runtime_equals_torch(
    name: str, form: str, tiny_exported: Callable[[str, str], OnnxNetwork]
) -> None:  # fmt: skip
    plain, network = tiny(name), tiny_exported(name, form)
    for n in (1, 3):
        arguments = tiny_arguments(name, n)
        with torch.no_grad():
            expected = as_tuple(plain(**arguments))
        found = network(**{k: v.numpy() for k, v in arguments.items()})
        for output, a, b in zip(SIGNATURES[name].outputs, expected, found, strict=True):
            scale = max(1.0, float(a.abs().max()))
            worst = float(np.abs(a.numpy() - b).max())
            assert worst <= 1e-5 * scale, f"{output}, batch {n}: max error {worst:.3g} of {scale:.3g}"


def test_parity_tiny_sampling_in_onnx_runtime_equals_torch(tiny_exported: Callable[[str, str], OnnxNetwork]) -> None:
    net, network = tiny("lmdm"), tiny_exported("lmdm", "plain")
    given = tiny_arguments("lmdm", 3)
    x_T, noises = given["x"], [torch.randn(3, 8, 9) for _ in range(4)]
    expected = net.sample(given["cond_frame"], given["cond"], 5, x_T=x_T, noises=noises)
    found = sample_motion(
        network, given["cond_frame"].numpy(), given["cond"].numpy(), 5, x_T=x_T.numpy(), noises=[n.numpy() for n in noises]
    )  # fmt: skip
    assert np.abs(expected.numpy() - found).max() < 1e-5
    with pytest.raises(ValueError, match="5 steps take 4 noises"):
        sample_motion(network, given["cond_frame"].numpy(), given["cond"].numpy(), 5, x_T=x_T.numpy(), noises=[])


class Exported:
    """Networks of the published size in ONNX Runtime; the last one is kept."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, name: str, form: str) -> OnnxNetwork:
        path = self.folder / f"{name}_{form}.onnx"
        if not path.exists():
            for old in self.folder.iterdir():
                old.unlink()
            net = published(name)
            # The optimised LMDM takes a minute to export: once is enough.
            optimize = (name, form) != ("lmdm", "plain")
            example = tuple(example_arguments(net).values())
            export_network(net if form == "plain" else prepare_for_inference(net), name, path, example, optimize=optimize)
        return OnnxNetwork(name, path, threads=THREADS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("onnx")
    yield Exported(folder)
    for path in folder.iterdir():
        path.unlink()


def three(x: np.ndarray) -> np.ndarray:
    """The golden item between two others."""
    return np.concatenate([x * np.float32(0.8), x, x * np.float32(0.9)])


@pytest.mark.slow
def test_parity_stitch_network_in_onnx_runtime(exported: Exported) -> None:
    golden, net = load("stitch_network"), exported("stitch_network", "plain")
    for i in range(4):
        check(golden, f"out_{i}", net(golden[f"kp_source_{i}"], golden[f"kp_driving_{i}"])[0], 1e-6)
    check(golden, "out_0", net(three(golden["kp_source_0"]), three(golden["kp_driving_0"]))[0][1:2], 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "prepared"])
def test_parity_motion_extractor_in_onnx_runtime(exported: Exported, form: str) -> None:
    golden, net = load("motion_extractor"), exported("motion_extractor", form)
    image = uniform("image256", (1, 3, 256, 256), 0, 1).numpy()
    for given, row in ((image, slice(0, 1)), (three(image), slice(1, 2))):
        for key, value in zip(SIGNATURES["motion_extractor"].outputs, net(given), strict=True):
            check(golden, key, value[row], 2e-5 if key in ("pitch", "yaw", "roll") else 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "prepared"])
def test_parity_appearance_extractor_in_onnx_runtime(exported: Exported, form: str) -> None:
    golden, net = load("appearance_extractor"), exported("appearance_extractor", form)
    image = uniform("image256", (1, 3, 256, 256), 0, 1).numpy()
    check(golden, "f_s", net(image)[0], 1e-5)
    check(golden, "f_s", net(three(image))[0][1:2], 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "prepared"])
def test_parity_lmdm_in_onnx_runtime(exported: Exported, form: str) -> None:
    step, ddim, net = load("lmdm_step"), load("lmdm_ddim10"), exported("lmdm", form)
    x = normal("lmdm_x", (1, 80, 265)).numpy()
    frame = uniform("lmdm_cond_frame", (1, 265), -0.5, 0.5).numpy()
    cond = uniform("lmdm_cond", (1, 80, 1103), -1, 1).numpy()
    for time in (999, 479, 19):
        amplified = max(1.0, 1 / float(diffusion.noise_gains()[1][time]))
        for given, row in (((x, frame, cond), slice(0, 1)), (tuple(map(three, (x, frame, cond))), slice(1, 2))):
            pred_noise, x_start = net(*given, np.full(len(given[0]), time))
            check(step, f"x_start_t{time}", x_start[row], 5e-5)
            check(step, f"pred_noise_t{time}", pred_noise[row], 5e-5 * amplified)
    noises = [normal(f"ddim_step_noise_{i}", (1, 80, 265)).numpy() for i in range(9)]
    motion = sample_motion(net, frame, cond, 10, x_T=normal("ddim_x_T", (1, 80, 265)).numpy(), noises=noises)
    check(ddim, "out", motion, 2e-4)
    check(ddim, "out_first_last_frames", motion[0, [0, 1, 40, 78, 79]], 2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "prepared"])
def test_parity_warp_network_in_onnx_runtime(exported: Exported, form: str) -> None:
    golden, net = load("warp_network"), exported("warp_network", form)
    given = normal("feature_3d", (1, 32, 16, 64, 64), 0.7).numpy(), golden["kp_source"], golden["kp_driving"]
    check(golden, "out", net(*given)[0], 1e-3)
    check(golden, "out", net(*map(three, given))[0][1:2], 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "prepared"])
def test_parity_decoder_in_onnx_runtime(exported: Exported, form: str) -> None:
    golden, net = load("decoder"), exported("decoder", form)
    feature = normal("feature", (1, 256, 64, 64), 0.7).numpy()
    image = net(feature)[0]
    check(golden, "output", image, 1e-5)
    check(golden, "wrapper_hwc_255", image[0].transpose(1, 2, 0).clip(0, 1) * 255, 2.6e-3)
    check(golden, "output", net(three(feature))[0][1:2], 1e-5)
