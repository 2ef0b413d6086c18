"""api_server.py as it is started: up at once, the page behind the key, a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.paths import LONG_SPEECH, PORTRAIT, ROOT, SPEECH
from tests.support.server_process import START_S, Process, running
from tests.support.serving import KEY, error, form, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


def test_it_answers_before_it_is_ready(server: Process) -> None:
    """The first test of this file: the server has only just begun."""
    with server.client("") as client:
        first = client.get("/health").json()
        assert first["live"]
        wait_for(lambda: client.get("/health").status_code == 200)
        assert client.get("/health").json()["loaded"] == ["lite"]


def test_the_page_is_behind_the_key(server: Process) -> None:
    server.ready()
    with server.client("") as client:
        answer = client.get("/", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        error(client.get("/config"), 401)
        error(client.post("/gradio_api/upload", **form()), 401)
        assert "password" in client.get("/login").text
        assert client.post("/login", data={"key": "wrong"}).status_code == 401
        assert client.post("/login", content=b"x" * 5000).status_code == 413
        let_in = client.post("/login", data={"key": KEY})
        assert let_in.status_code == 303
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert KEY not in cookie
        wait_for(lambda: client.get("/").status_code == 200)
        assert "gradio" in client.get("/").text
        assert client.get("/avatars").json() == {"avatars": []}  # the cookie is good for the API too


@pytest.mark.slow
def test_the_gradio_client_makes_a_video_with_the_key(server: Process, tmp_path: Path) -> None:
    import warnings

    with server.client() as client:
        wait_for(lambda: client.get("/config").status_code == 200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gradio_client import Client, handle_file

        page = Client(server.url, headers={"X-API-Key": KEY}, download_files=str(tmp_path), verbose=False)
        try:
            path = page.predict(
                audio=handle_file(str(SPEECH)), image=handle_file(str(PORTRAIT)), api_name="/process_talking_head"
            )
        finally:
            page.close()
        del page
        import gc

        gc.collect()
    assert Path(path).stat().st_size > 10_000


@pytest.mark.slow
def test_a_signal_lets_running_work_finish_and_hands_the_rest_back(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", TALKING_HEAD_KEEP_RESULTS="false") as server:
        server.ready()
        answers: list[httpx.Response] = []

        def ask(seed: int) -> None:
            with server.client() as client:
                answers.append(client.post("/generate", **form(audio=LONG_SPEECH, options=f'{{"size": 1080, "seed": {seed}}}')))

        asking = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
        for thread in asking:
            thread.start()
        with server.client() as client:
            queue = {"running": 1, "waiting": 2, "max_jobs": 1, "slots": 1, "max_queue": 16}
            wait_for(lambda: client.get("/health").json()["queue"] == queue)
        assert server.stop() == 0
        for thread in asking:
            thread.join(START_S)
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503], [answer.text[:200] for answer in answers]
        assert next(answer for answer in answers if answer.status_code == 200).content[4:8] == b"ftyp"
        assert error(next(answer for answer in answers if answer.status_code == 503), 503)["type"] == "BusyError"
        assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_a_signal_without_grace_ends_jobs_and_streams(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page", TALKING_HEAD_STOP_GRACE_S="0") as server:
        server.ready()
        with server.client() as client:
            options = '{"size": 1920}'
            assert client.post("/generate?async=1", **form(audio=LONG_SPEECH, options=options)).status_code == 202
            wait_for(lambda: client.get("/health").json()["queue"]["running"] == 1)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 30
        assert not list((tmp_path / "out").rglob("*.mp4"))


def test_ctrl_c_is_a_good_end(tmp_path: Path) -> None:
    with running(tmp_path, "--no-page") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(START_S) == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("--port", "99999"), {}, "99999"),
        (("--nonsense",), {}, "--nonsense"),
        (("--host", "0.0.0.0"), {"TALKING_HEAD_API_KEYS": ""}, "No key is set"),  # noqa: S104 - refused
        ((), {"TALKING_HEAD_API_KEYS": "guess me"}, "16 characters"),
        ((), {"TALKING_HEAD_MAX_LIVE": "many"}, "TALKING_HEAD_MAX_LIVE"),
    ],
)
def test_bad_arguments_and_settings_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "api_server.py"), "--port", "0", *arguments],
        env={**os.environ, "TALKING_HEAD_OUTPUT_DIR": str(tmp_path), "TALKING_HEAD_CACHE_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    if environment.get("TALKING_HEAD_API_KEYS"):
        assert environment["TALKING_HEAD_API_KEYS"] not in ended.stderr, "a secret is not repeated"


@pytest.mark.slow
def test_a_browser_logs_in_and_makes_a_video(server: Process) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with server.client() as client:
        wait_for(lambda: client.get("/config").status_code == 200)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        page = browser.new_page(locale="en-GB")
        page.goto(f"{server.url}/")
        assert page.url.endswith("/login")
        page.fill("input[name=key]", "a wrong key of some length")
        page.click("button")
        assert "not known" in page.inner_text("[role=alert]")
        page.fill("input[name=key]", KEY)
        page.click("button")
        page.locator("#th-photo input[type=file]").first.set_input_files(PORTRAIT, timeout=60_000)
        page.locator("#th-photo img").first.wait_for(timeout=30_000)
        page.locator("#th-speech input[type=file]").first.set_input_files(SPEECH)
        page.locator("#th-speech input[type=file]").first.wait_for(state="detached", timeout=30_000)
        page.click("#th-generate")
        page.locator("#th-status .th-result").wait_for(timeout=60_000)
        page.wait_for_function("document.querySelector('#th-video video')?.readyState >= 2", timeout=30_000)
        browser.close()
