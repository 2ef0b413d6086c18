"""The speech encoder in PyTorch: as ONNX Runtime, alone and with several sessions at once; ONNX Runtime where it cannot run so."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from core.atomic_components.wav2feat import SpeechEncoder
from core.aux_models.hubert import Hubert
from core.aux_models.onnx_model import OnnxModel
from core.engines import ditto_speech
from core.engines.ditto import DittoEngine
from core.engines.ditto_speech import Speech, load_speech, speech_in_torch
from core.errors import Cancelled, EngineUnavailable
from core.optimization.gpu_optimization import place
from core.request import Framing
from core.types import Photo
from tests.support.ditto_sessions import session, sound, spoken
from tests.support.hubert_graph import hubert_graph
from tests.support.synthetic_checkpoints import checkpoints

pytestmark = pytest.mark.usefixtures("tiny_ditto")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hubert") / "hubert.onnx"
    onnx.save(hubert_graph(), path)
    return path


def windows(n: int) -> list[np.ndarray]:
    return [np.random.default_rng(i).uniform(-0.3, 0.3, (1, 6480)).astype(np.float32) for i in range(n)]


def near(a: np.ndarray, b: np.ndarray, error: float = 1e-5) -> bool:
    return a.shape == b.shape and float(np.abs(a - b).max()) < error * float(np.abs(b).max())


def test_windows_of_several_sessions_at_once(hubert: Path) -> None:
    """Each session gets its own rows, whoever else asks; more ask than one batch takes."""
    speech = speech_in_torch(hubert, CPU, torch.float32, (1, 2, 4))
    speech.warmup()
    reference = Hubert(OnnxModel(hubert, "speech encoder"))
    n = 6
    wanted = [reference(window) for window in windows(n)]
    found: list[Any] = [None] * n

    def ask(i: int, encode: SpeechEncoder) -> None:
        for _ in range(2):
            found[i] = encode(windows(n)[i])

    threads = [threading.Thread(target=ask, args=(i, speech.encoder())) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(near(got, want) for got, want in zip(found, wanted, strict=True))
    speech.close()
    with pytest.raises(Cancelled):
        speech.encoder()(windows(1)[0])


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts are those of a GPU, in float32 and without the batches, which a CPU has no use for."""
    attempts, in_torch = ditto_speech.speech_attempts, ditto_speech.speech_in_torch
    monkeypatch.setattr(ditto_speech, "speech_attempts", lambda on_gpu: attempts(True))
    monkeypatch.setattr(ditto_speech, "speech_in_torch", lambda path, device, products, sizes: in_torch(path, device, torch.float32, sizes))


@pytest.mark.usefixtures("on_gpu")
def test_an_engine_hears_the_same_in_pytorch(
    root: Path, hubert: Path, portrait: Photo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    paths = {**checkpoints(root), "hubert": hubert}
    engine = DittoEngine(paths, "cpu")
    assert engine.limitation == ""
    assert "speech encoder: PyTorch, products in float32" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(ditto_speech, "speech_attempts", lambda on_gpu: [ditto_speech.Attempt("onnxruntime", None)])
        other = DittoEngine(paths, "cpu")
    assert engine.revision != other.revision
    engine.warmup()
    samples = sound(640 * 4)
    heard = [np.concatenate([*stage.push(samples), *stage.flush()]) for stage in (each.features(False) for each in (engine, other))]
    assert near(*heard)
    assert len(spoken(session(engine, engine.register(portrait, Framing())), samples)) == 4
    engine.close()


def with_an_odd_operation(hubert: Path, tmp_path: Path) -> Path:
    """A graph with an operation that is not known in PyTorch, which says the same."""
    model = onnx.load(hubert)
    last = model.graph.node[-1]
    model.graph.node.append(helper.make_node("Elu", [last.input[0]], ["unused"]))
    onnx.save(model, tmp_path / "odd.onnx")
    return tmp_path / "odd.onnx"


@pytest.mark.usefixtures("on_gpu")
def test_what_pytorch_cannot_run_runs_in_onnx_runtime_and_is_said(
    hubert: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd = with_an_odd_operation(hubert, tmp_path)
    engine = DittoEngine({**checkpoints(root), "hubert": odd}, "cpu")
    assert "ditto's speech encoder does not run with torch" in engine.limitation
    assert "has what is not known here: Elu" in engine.limitation
    assert engine.limitation in caplog.text
    assert near(engine.speech_encoder()(windows(1)[0]), Hubert(OnnxModel(odd, "speech encoder"))(windows(1)[0]))

    monkeypatch.setattr(ditto_speech, "MOST_APART", -1.0)  # nothing is near enough
    speech = load_speech(hubert, place("cpu"), False)
    assert "off those of ONNX Runtime" in speech.replaced
    assert speech.way == ""


def test_on_a_cpu_onnx_runtime_runs_it(hubert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(ditto_speech, "speech_in_torch", never)
    speech = load_speech(hubert, place("cpu"), True)
    assert (speech.way, speech.replaced) == ("", "")
    assert speech.encoder()(windows(1)[0]).shape == (20, 1024)


@pytest.mark.usefixtures("on_gpu")
def test_a_file_that_nothing_runs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "h.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineUnavailable, match=r"h\.onnx cannot be read"):
        load_speech(tmp_path / "h.onnx", place("cpu"), False)


def test_a_gpu_is_what_decides(monkeypatch: pytest.MonkeyPatch, hubert: Path) -> None:
    """In half precision, with batches where sessions share them."""
    asked: list[tuple[Any, ...]] = []
    speech = Speech(lambda: lambda samples: samples)
    monkeypatch.setattr(ditto_speech, "speech_in_torch", lambda *given: (asked.append(given), speech)[1])
    gpu = dataclasses.replace(place("cpu"), device=torch.device("cuda", 1))
    for shared in (False, True):
        load_speech(hubert, gpu, shared)
    assert [given[1:] for given in asked] == [(gpu.device, torch.float16, (1,)), (gpu.device, torch.float16, (1, 2, 4, 8))]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_in_half_precision(hubert: Path) -> None:
    speech = speech_in_torch(hubert, torch.device("cuda"), torch.float16, (1, 2))
    speech.warmup()
    reference = Hubert(OnnxModel(hubert, "speech encoder"))
    assert all(near(speech.encoder()(window), reference(window), 0.01) for window in windows(3))
    speech.close()
