"""The Ditto engine on a small set of checkpoints with synthetic weights, and sources registered with it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from core.atomic_components.motion_stitch import StitchedFrame
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_renderer import DittoRenderer
from core.media.source import load_source
from core.optimization.kept_arrays import KeptArrays
from core.request import Framing
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Photo
from tests.support.synthetic_checkpoints import TINY, checkpoints, tiny_networks, write_checkpoints


@pytest.fixture(scope="module")
def tiny_ditto() -> Iterator[None]:
    """The engine takes checkpoints of the small set while a file of tests that asks for this runs."""
    with tiny_networks():
        yield


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small set; tests change copies of its files only."""
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)


@pytest.fixture(scope="module")
def engine(root: Path, tiny_ditto: None) -> DittoEngine:
    return DittoEngine(checkpoints(root), "cpu")


@pytest.fixture(scope="module")
def studio(engine: DittoEngine, settings: Settings) -> Iterator[Studio]:
    """With this engine beside lite."""
    studio = open_studio(settings, lambda: engine)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def registered(engine: DittoEngine, portrait: Photo) -> DittoRegistered:
    return engine.register(portrait, Framing())


@pytest.fixture(scope="module")
def clip_bytes(portrait: Photo) -> bytes:
    """Six frames in which the face moves to the right."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for i in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(portrait.pixels, i, axis=1), "rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.fixture(scope="module")
def clip(engine: DittoEngine, clip_bytes: bytes, settings: Settings) -> DittoRegistered:
    return engine.register(load_source(clip_bytes, settings), Framing())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[StitchedFrame]:
    """What is drawn from here on; nothing is really drawn, and nothing is kept to be shown again."""
    frames: list[StitchedFrame] = []
    render = torch.zeros(1, 3, 512, 512)

    def draw(self: DittoRenderer, batch: Sequence[StitchedFrame]) -> Any:
        frames.extend(batch)
        return batch, render.expand(len(batch), -1, -1, -1)

    monkeypatch.setattr(DittoRenderer, "draw", draw)
    monkeypatch.setattr(KeptArrays, "get", lambda self, key: None)
    monkeypatch.setattr(KeptArrays, "put", lambda self, key, array: None)
    return frames
