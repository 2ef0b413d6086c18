"""Ditto on TensorRT engines, by a stand-in: they are found, draw the same frames, and are replaced where they do not load."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.engines import ditto_backends, ditto_networks
from core.engines.ditto import DittoEngine
from core.errors import EngineUnavailable
from core.models.trt import files
from core.models.trt.build import build_engines
from core.optimization.gpu_optimization import place, place_tensorrt
from core.request import Framing
from core.types import Photo
from manager.published_folder import published_checkpoints
from tests.support.ditto_sessions import session, sound, spoken
from tests.support.fake_tensorrt import fake_tensorrt
from tests.support.synthetic_checkpoints import FILES, ONNX_FILES, TINY, checkpoints, write_checkpoints, write_onnx_checkpoints

pytestmark = pytest.mark.usefixtures("tiny_ditto")


def frames(engine: DittoEngine, portrait: Photo) -> np.ndarray:
    return np.stack(spoken(session(engine, engine.register(portrait, Framing())), sound(640 * 4)))


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_engines_beside_the_graphs_draw_and_are_replaced_where_they_do_not_load(
    tmp_path: Path, portrait: Photo, monkeypatch: pytest.MonkeyPatch, tiny_ditto: None
) -> None:
    root = write_onnx_checkpoints(write_checkpoints(tmp_path, TINY), TINY)
    paths = checkpoints(root, ONNX_FILES)
    expected = DittoEngine(paths, "cpu")
    # A machine with a GPU, which computes as its CPU does.
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Test GPU")
    monkeypatch.setattr(files, "driver_version", lambda: "595.58")
    monkeypatch.setattr(ditto_backends, "gpu_obstacle", lambda device=None: None)
    monkeypatch.setattr(ditto_networks, "place_tensorrt", lambda device: place("cpu"))
    monkeypatch.setattr(ditto_networks, "place_onnx", lambda device, provider: place("cpu"))
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("11.4.0"))
    engines = root / "ditto_trt_custom"
    build_engines(paths["decoder"].parent, engines, torch.device("cpu"), lambda line: None)

    engine = DittoEngine(paths, None)
    assert engine.placement.reason.startswith("TensorRT 11.4.0, ")
    assert engine.limitation == ""
    assert engine.revision != expected.revision
    found, wanted = frames(engine, portrait).astype(float), frames(expected, portrait)
    assert 10 * np.log10(255**2 / np.square(found - wanted).mean()) > 45
    # As published: the folder of engines, with the configuration of TensorRT.
    assert published_checkpoints(engines, root / FILES["cfg"])["decoder"] == paths["decoder"]

    broken = next(engines.glob("decoder_*.engine"))
    broken.write_bytes(b"nothing")
    replaced = DittoEngine(paths, None)
    assert "do not run with tensorrt" in replaced.limitation
    assert "magic tag" in replaced.limitation
    assert np.array_equal(frames(replaced, portrait), wanted)
    with pytest.raises(EngineUnavailable, match="do not run with tensorrt"):
        DittoEngine(paths, None, backend="tensorrt")
    broken.unlink()
    with pytest.raises(EngineUnavailable, match=r"no TensorRT engine of decoder for Test GPU.*cvt_onnx_to_trt\.py --onnx_dir"):
        DittoEngine(paths, None, backend="tensorrt")
    assert "There is no TensorRT engine of decoder" in DittoEngine(paths, None).limitation
    shutil.rmtree(engines)
    assert DittoEngine(paths, None).limitation == ""  # nobody made any, so nobody misses any


def test_tensorrt_needs_a_gpu() -> None:
    with pytest.raises(EngineUnavailable, match="TensorRT needs a GPU"):
        place_tensorrt("cpu")
