"""Goldens of Ditto's source side, and stand-ins of the networks that look at a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.atomic_components.crop import Crop
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.landmarks import LAYOUT_106, LAYOUT_203, Landmarks
from core.types import Frame
from tests.support.golden_io import SEED, load, meta
from tests.support.synthetic import synthetic_input

Array = NDArray[np.float32]
PARTS = {"pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 63, "scale": 1, "kp": 63}
RANGES = {"pitch": (-6, 6), "yaw": (-6, 6), "roll": (-6, 6), "t": (-0.2, 0.2), "exp": (-0.1, 0.1), "scale": (1, 1.5), "kp": (-0.6, 0.6)}


def golden_crop(name: str, **more: Any) -> tuple[Any, Crop, Landmarks]:
    golden = load("crop")
    n, options = meta(golden)["cases"][name]
    landmarks = Landmarks(golden[f"pts{n}"], LAYOUT_106 if n == 106 else LAYOUT_203)
    crop = Crop.around(
        landmarks, options["dsize"], options["scale"], vy_ratio=options["vy_ratio"], rotate=options.get("flag_do_rot", True), **more
    )
    return golden, crop, landmarks


def golden_render() -> Array:
    noise = np.clip(synthetic_input("render", (512, 512, 3), SEED, -3, 258), 0, 255)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigmaX=2, borderType=cv2.BORDER_REFLECT_101)
    return np.clip((blurred - 127.5) * 6 + 127.5, 0, 255).astype(np.float32)


class MeshAs203:
    """Stands in for the 203-landmark network: the mesh's eyes and mouth in their places, its outline everywhere else; like the network it
    always says something."""

    def __init__(self, mesh: FaceMesh) -> None:
        self._mesh = mesh

    def __call__(self, crop: Frame) -> Array:
        meshes = self._mesh.meshes(crop)
        if not meshes:
            return np.linspace(60, 160, 406, dtype=np.float32).reshape(203, 2)
        mesh = min(meshes, key=lambda mesh: float(np.linalg.norm(mesh[1, :2] - 0.5)))[:, :2] * np.float32(224)
        outline = mesh[[10, 338, 284, 356, 454, 361, 397, 378, 152, 149, 172, 132, 234, 127, 54, 109]]
        points = outline[np.arange(203) % len(outline)]
        points[[0, 6, 12, 18]] = mesh[[33, 159, 133, 145]]
        points[[24, 30, 36, 42]] = mesh[[362, 386, 263, 374]]
        points[[48, 66]] = mesh[[61, 291]]
        return points


class Info:
    """Motion that tells which crop it came from: kp[0] is the mean of the picture."""

    def __init__(self, image: torch.Tensor) -> None:
        mean = image.mean(dim=(1, 2, 3))[:, None]
        for name, width in PARTS.items():
            setattr(self, name, mean.expand(-1, width) * (1 if name == "kp" else 0.5))


class Counted:
    def __init__(self, network: Callable[[torch.Tensor], Any]) -> None:
        self.network, self.inputs = network, list[torch.Tensor]()

    def __call__(self, image: torch.Tensor) -> Any:
        self.inputs.append(image)
        return self.network(image)


def small_volume(image: torch.Tensor) -> torch.Tensor:
    return image.mean(dim=1)[:, None, None, ::4, ::4]


def moved_by(pixels: Frame, dx: float, dy: float = 0.0) -> Frame:
    shifted: Frame = cv2.warpAffine(
        pixels, np.array([[1, 0, dx], [0, 1, dy]], np.float64), pixels.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    )
    return shifted
