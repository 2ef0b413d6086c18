"""The clients in examples/, run against a real server; the page in a real browser with a microphone that beeps."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from core.studio import Studio
from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.serving import KEY, Serving, serving, wait_for
from tests.support.streams import n_frames

AUTOPLAY = "autoplay-policy=no-user-gesture-required"
EXAMPLES = ROOT / "examples"


@contextlib.contextmanager
def files_of(folder: Path) -> Iterator[str]:
    """A folder served from an origin of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with files_of(EXAMPLES) as origin:
        yield origin


@pytest.fixture(scope="module")
def server(studio: Studio, origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), cors_origins=origin) as server:
        yield server


def run(
    server: Serving, name: str, output: Path, *more: str, key: str = KEY, recording: Path = SPEECH
) -> subprocess.CompletedProcess[str]:
    """As people type it: with a slash at the end of the address."""
    environment = {**os.environ, "TALKING_HEAD_KEY": key, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(EXAMPLES / name), str(recording), str(PORTRAIT), str(output), "--server", f"{server.url}/", *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("name", "more"), [("client_rest.py", ("--options", '{"size": 128}')), ("client_stream.py", ()), ("client_live.py", ())]
)
def test_the_client_writes_the_video(server: Serving, tmp_path: Path, name: str, more: tuple[str, ...]) -> None:
    ended = run(server, name, tmp_path / "video.mp4", *more)
    assert ended.returncode == 0, ended.stderr
    made = n_frames((tmp_path / "video.mp4").read_bytes())
    assert made > 75 if name == "client_live.py" else made == 75
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_the_client_has_a_text_spoken(server: Serving, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "client_rest.py"), str(PORTRAIT), str(tmp_path / "video.mp4"), "--server", server.url]
    options = ["--key", KEY, "--text", "Good morning.", "--voice", "espeak-en-us"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert 10 < n_frames((tmp_path / "video.mp4").read_bytes()) < 75


def test_blendshapes_are_driven_beside_a_live_session(server: Serving) -> None:
    with server.client() as client, PORTRAIT.open("rb") as photo:
        token = client.post("/avatars", files={"image": photo}).json()["token"]
    command = [sys.executable, str(EXAMPLES / "drive_blendshapes.py"), token, "Mama says hello.", "--server", server.url, "--key", KEY]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert len(lines) > 15
    assert np.diff([int(line[0]) for line in lines]) == pytest.approx(40, abs=1)
    assert {"PP", "aa", "sil"} <= {line[1] for line in lines}
    assert any("jawOpen" in word for line in lines for word in line)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".flac", {}), (".wav", {"samplerate": 192_000}), (".wav", {"samplerate": 4_000, "subtype": "FLOAT"}), (".mp3", {}), (".ogg", {})],
)
def test_the_live_client_reads_what_the_server_takes(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    example = module("client_live")
    rate = options.pop("samplerate", 48_000)
    path = tmp_path / f"speech{suffix}"
    soundfile.write(path, np.full((rate, 2), 0.25), rate, **options)
    recording = example.Recording(path)
    assert recording.channels == 2
    assert 8_000 <= recording.rate <= 96_000
    assert len(recording) == pytest.approx(recording.rate, rel=0.1)
    middle = np.frombuffer(recording.frames(recording.rate // 4, 100), np.int16)
    assert len(middle) == 200
    assert middle == pytest.approx(8192, rel=0.05)


def test_the_live_client_speaks_flac_and_refuses_what_is_no_sound(server: Serving, tmp_path: Path) -> None:
    sound, rate = soundfile.read(SPEECH)
    soundfile.write(tmp_path / "speech.flac", sound[: rate // 2], rate)
    ended = run(server, "client_live.py", tmp_path / "video.mp4", recording=tmp_path / "speech.flac")
    assert ended.returncode == 0, ended.stderr
    assert n_frames((tmp_path / "video.mp4").read_bytes()) > 12
    for path in (PORTRAIT, tmp_path / "nothing.wav"):
        refused = run(server, "client_live.py", tmp_path / "video.mp4", recording=path)
        assert refused.returncode == 1
        assert "cannot be read" in refused.stderr
        assert "Traceback" not in refused.stderr
    wait_for(lambda: server.context.live.n_sessions == 0)


@pytest.mark.parametrize("name", ["client_rest.py", "client_stream.py", "client_live.py"])
def test_a_refusal_is_told_in_the_servers_words(server: Serving, tmp_path: Path, name: str) -> None:
    ended = run(server, name, tmp_path / "video.mp4", key="wrong")
    assert ended.returncode == 1
    assert "The key is not known." in ended.stderr
    assert "Traceback" not in ended.stderr


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_live_client_resumes_after_a_lost_connection(server: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = module("client_live")
    monkeypatch.setattr(example, "RECONNECT_S", 0.2)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    token = example.register(server.url, KEY, PORTRAIT)
    path = tmp_path / "video.mp4"
    sockets = []
    connect = example.websockets.connect

    def watched(*arguments: object, **options: object) -> object:
        sockets.append(connect(*arguments, **options))
        return sockets[-1]

    monkeypatch.setattr(example.websockets, "connect", watched)

    async def test() -> None:
        with path.open("wb") as video:
            client = example.LiveClient(server.url, KEY, token, SPEECH, video)
            running = asyncio.create_task(client.run())
            while client._shown < 10:
                await asyncio.sleep(0.02)
            session = next(iter(server.context.live._sessions.values()))
            sockets[0].connection.transport.abort()
            async with asyncio.timeout(60):
                await running
            assert client.resumed == 1
            assert client.events.count("ready") == 2
            assert session.received == client._outbox.end + 1  # all of it, and that it was closed
            assert session.session.stats()["spoken"] >= 75

    asyncio.run(test())
    assert n_frames(path.read_bytes()) > 75


@pytest.mark.slow
def test_the_page_speaks_live_and_comes_back(server: Serving, origin: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=[f"--{each}" for each in ("no-sandbox", "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", AUTOPLAY)],
        )
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{origin}/live.html")
        page.click("#start")
        assert "Choose a photo first" in page.inner_text("#status")
        page.fill("#server", server.url)
        page.fill("#key", KEY)
        page.set_input_files("#photo", str(PORTRAIT))
        page.click("#start")
        page.wait_for_function("window.live && live.segments > 10 && document.getElementById('video').currentTime > 0.5", timeout=60_000)
        wait_for(lambda: any(each.session.stats()["spoken"] for each in server.context.live._sessions.values()))  # the beeps were heard
        page.evaluate("live.socket.close()")
        page.wait_for_function("live.kept.length > 5", timeout=60_000)  # what is said meanwhile is kept
        page.wait_for_function("live.resumed === 1 && live.socket.readyState === WebSocket.OPEN", timeout=60_000)
        at = page.evaluate("[live.segments, document.getElementById('video').currentTime]")
        page.wait_for_function(
            "([n, t]) => live.segments > n + 10 && document.getElementById('video').currentTime > t + 0.4", arg=at, timeout=60_000
        )
        page.wait_for_function("live.kept.length < 50 && live.first > 50", timeout=60_000)  # and taken after that
        assert len(problems) == 0
        page.click("#interrupt")
        page.click("#stop")
        assert page.inner_text("#status") == "Stopped."
        browser.close()
        assert problems == []
    wait_for(lambda: server.context.live.n_sessions == 0)
