"""The simulated ZeroGPU host: Ditto on small networks, lent call by call by the double of `spaces`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import core.web.zero_gpu as adapter
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_zero_gpu import ZeroGpuDitto
from core.request import Framing
from core.settings import Settings
from core.types import Photo
from tests.support.lent_host import Host
from tests.support.synthetic_checkpoints import TINY, checkpoints, tiny_networks, write_checkpoints

FAKE = Path(__file__).resolve().parent.parent / "support" / "fake_spaces"


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DittoEngine]:
    with tiny_networks():
        yield DittoEngine(checkpoints(write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)), "cpu")


@pytest.fixture(scope="module")
def registered(near: DittoEngine, portrait: Photo) -> DittoRegistered:
    return near.register(portrait, Framing())


def forget_spaces() -> None:
    for name in ("spaces", "spaces.aoti"):
        sys.modules.pop(name, None)


@pytest.fixture
def host(near: DittoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Host]]:
    def start(call_s: float = 60.0, video_s: float = 600.0, compile_s: float = 0.0, **environment: str) -> Host:
        log = tmp_path / "calls"
        for name, value in {"SPACES_ZERO_GPU": "true", "FAKE_SPACES_LOG": str(log), **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(FAKE))
        forget_spaces()
        importlib.import_module("spaces")
        settings = Settings(zero_gpu_video_s=video_s, zero_gpu_compile_s=compile_s)
        monkeypatch.setattr(adapter, "DEVICE", "cpu")
        source = adapter.offer_lent_ditto(settings, lambda: near)
        assert source is not None
        engine = source.make()
        assert isinstance(engine, ZeroGpuDitto)
        engine.call_s = call_s  # shorter than a deployment may set it
        monkeypatch.setattr(engine.speed, "took", lambda *measured: None)  # how fast this machine is must not say where it is cut
        return Host(engine, log)

    import gradio as gr

    launch = gr.Blocks.launch
    yield start
    spaces = sys.modules.get("spaces")
    forget_spaces()
    for worker in getattr(spaces, "_workers", {}).values():
        worker.process.kill()
        worker.process.join()
    monkeypatch.setattr(gr.Blocks, "launch", launch)
    monkeypatch.setattr(adapter, "_engine", None)
    monkeypatch.setattr(adapter, "_device", None)
