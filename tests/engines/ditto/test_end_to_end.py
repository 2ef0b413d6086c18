"""The Ditto engine at the published size, against numbers of the published pipeline end to end (golden `e2e`). Five frames are rendered."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.atomic_components import avatar_registrar
from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.crop import Crop
from core.atomic_components.decode_f3d import as_picture
from core.atomic_components.source_options import SourceOptions
from core.aux_models.landmarks import LAYOUT_106, Landmarks
from core.engines import ditto
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_speech import Speech
from core.request import Controls, RenderOptions
from core.types import Frame, Photo
from tests.support.golden_io import SEED, check, load
from tests.support.synthetic import synthetic_input, synthetic_normal
from tests.support.synthetic_checkpoints import PUBLISHED, checkpoints, write_checkpoints

Array = NDArray[np.float32]
RENDERED = (0, 10, 37, 50, 74)
SIDE_PX = 320


def noise_in_order(seed: int, frames: int) -> Callable[[], Array]:
    numbers = itertools.count()
    return lambda: synthetic_normal(f"e2e_randn_{next(numbers)}", (1, frames, 265), SEED)


class Mesh:
    def meshes(self, pixels: Frame) -> list[Array]:
        return [load("eye_attr")["lmk478"][0]]


def speech_encoder(window: Array) -> Array:
    rows = np.stack([window[0, k * 320 : k * 320 + 400] for k in range(20)])
    return np.tanh(rows @ synthetic_input("hubert_stub_P", (400, 1024), SEED, -0.2, 0.2))


@pytest.mark.slow
def test_published_pipeline_end_to_end(tmp_path: Path, portrait: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = load("e2e")
    monkeypatch.setattr(ditto, "seeded_noise", noise_in_order)
    monkeypatch.setattr(avatar_registrar, "MAX_ASTRAY", np.inf)  # the golden's mesh is of another face than its landmarks
    engine = DittoEngine(checkpoints(write_checkpoints(tmp_path, PUBLISHED)), "cpu")
    engine._speech = Speech(lambda: speech_encoder)

    scale = np.float32(SIDE_PX / 512)
    face = load("crop")
    first = Landmarks(face["pts106"] * scale, LAYOUT_106)
    second = face["pts203"] * scale
    there = Crop.to_frame
    # To the crop and back would cost a millionth of a pixel, and the logits are compared to 2e-5.
    monkeypatch.setattr(Crop, "to_frame", lambda crop, points: second if len(points) == len(second) else there(crop, points))
    registrar: Any = engine._registrar
    standing_in = AvatarRegistrar(registrar._appearance, registrar._motion, lambda pixels: [first], lambda crop: second, Mesh())
    source = standing_in.register(portrait.pixels, SourceOptions(max_size=SIDE_PX, keep_detail=False))
    frame = source.frames[0]
    check(golden, "M_c2o", frame.m_c2o, 1e-4)
    check(golden, "eye_open", frame.eye_open, 1e-5)
    check(golden, "eye_ball", frame.eye_ball, 1e-5)
    for name, tolerance in {"pitch": 2e-5, "yaw": 2e-5, "roll": 2e-5, "t": 5e-6, "exp": 5e-6, "scale": 5e-6, "kp": 5e-6}.items():
        check(golden, f"x_s_info_{name}", getattr(frame.motion, name)[None], tolerance)
    check(golden, "f_s", source.feature(0).numpy(), 2e-5)

    time_s = np.arange(48000) / 16000
    wave = np.float32(synthetic_input("e2e_wav", (48000,), SEED, -0.3, 0.3) * np.abs(np.sin(2 * np.pi * 2 * time_s)))
    options = RenderOptions(size="source", max_size=SIDE_PX, sampling_timesteps=5)
    session = engine.session(DittoRegistered(source, ()), Controls(), options)
    session._begin()
    frames = list(session._spoken(session._features.push(wave)))
    frames += list(session._spoken(session._features.flush(), ended=True))
    check(golden, "x_s", frames[0].kp_source, 1e-5)
    check(golden, "x_d", np.concatenate([frame.kp_driving for frame in frames]), 1e-5)

    for number in RENDERED:
        feature = session._renderer._warp([frames[number]])
        check(golden, f"f3d_{number}", feature.numpy(), 1e-3)
        render = engine.decode(feature)
        check(golden, f"render_{number}", as_picture(render[0]), 0.05)
        ((_, picture),) = session._renderer.put_back(([frames[number]], render))
        check(golden, f"frame_{number}", picture, 1)
