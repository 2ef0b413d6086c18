"""The page through its real server on loopback: what a Gradio client gets, in good and in bad cases."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.engines.base import Engine
from core.types import Audio, Photo
from tests.support.app_process import CLIENT_MARKS, Server, probe, start_app, stop_app
from tests.support.backdrops import RED, backdrop, first_frame, is_behind
from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.talking_clip import encoded, talking_frames

pytestmark = CLIENT_MARKS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("page"), TALKING_HEAD_MAX_AUDIO_S="20", TALKING_HEAD_MAX_AUDIO_BYTES="3000000",
                       TALKING_HEAD_MAX_IMAGE_BYTES="2000000", TALKING_HEAD_MAX_VIDEO_BYTES="3000000")  # fmt: skip
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory):
    from gradio_client import Client

    client = Client(server.url, download_files=str(tmp_path_factory.mktemp("client")), verbose=False)
    yield client
    client.close()


def ask(client, audio: Path | None = SPEECH, image: Path | None = PORTRAIT, **options: object) -> str:
    from gradio_client import handle_file

    return client.predict(
        audio=audio and handle_file(str(audio)), image=image and handle_file(str(image)), **options, api_name="/process_talking_head"
    )


def refusal(server: Server, client, *args: object, **options: object) -> str:
    """The message of a request that must be refused, checked to be one a visitor can read."""
    from gradio_client.exceptions import AppError

    with pytest.raises((AppError, httpx.HTTPStatusError)) as caught:
        ask(client, *args, **options)  # type: ignore[arg-type]
    at_upload = isinstance(caught.value, httpx.HTTPStatusError)  # the client says what the status is, not the sentence with it
    message = caught.value.response.text if at_upload else str(caught.value)  # type: ignore[union-attr]
    assert "Traceback" not in message
    assert str(server.folder) not in message
    assert not re.search(r"(^|\s)/\w+/", message), f"a path in: {message}"
    return message


def test_the_two_argument_call_returns_an_mp4(client) -> None:
    path = ask(client)
    assert path.endswith(".mp4")
    width, height, frames, seconds = probe(path)
    assert (width, height) == (320, 320)
    assert frames / 25 == pytest.approx(seconds, abs=0.05)


def test_positional_arguments_come_in_the_documented_order(client) -> None:
    from gradio_client import handle_file

    path = client.predict(handle_file(str(SPEECH)), handle_file(str(PORTRAIT)), "lite", "128", 7, 0, api_name="/process_talking_head")
    assert probe(path)[:2] == (128, 128)


def test_the_person_may_be_a_video(client, tmp_path: Path, lite: Engine, portrait: Photo, speech: Audio) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(encoded(talking_frames(lite, portrait, speech, 8)))
    assert probe(Path(ask(client, image=path, size="128")))[:2] == (128, 128)


def test_framing_is_asked_for_by_name(server: Server, client) -> None:
    from gradio_client import handle_file

    files = {"audio": handle_file(str(SPEECH)), "image": handle_file(str(PORTRAIT)), "size": "128"}
    path = client.predict(**files, aspect="9:16", crop="0.1,0,0.6,1", api_name="/process_talking_head")
    assert probe(path)[:2] == (128, 228)
    assert "9:17" in refusal(server, client, SPEECH, PORTRAIT, aspect="9:17")
    assert "left, top, width" in refusal(server, client, SPEECH, PORTRAIT, crop="0.1,0,0.6,7")


def test_a_picture_of_ones_own_is_behind_the_person(server: Server, client, tmp_path: Path) -> None:
    from gradio_client import handle_file

    picture = handle_file(str(backdrop(tmp_path / "red.png")))
    assert is_behind(RED, first_frame(Path(ask(client, size="128", background=picture))))
    assert "is not a photo" in refusal(server, client, background=handle_file(str(SPEECH)))


def test_one_endpoint_is_named_and_every_other_is_private(server: Server, client) -> None:
    about = client.view_api(return_format="dict")
    assert list(about["named_endpoints"]) == ["/process_talking_head"]
    assert about["unnamed_endpoints"] == {}
    parameters = about["named_endpoints"]["/process_talking_head"]["parameters"]
    names = ["audio", "image", "engine", "size", "seed", "face", "consent", "text", "voice", "speed", "aspect", "crop", "burn_captions",
             "background", "landmarks"]  # fmt: skip
    assert [each["parameter_name"] for each in parameters] == names
    assert all(each["parameter_has_default"] for each in parameters), "a recording is given, or a text"
    assert [each["example_input"]["path"] for each in parameters[:2]] == ["speech.wav", "portrait.png"]
    config = json.loads(server.get("config"))
    public = [each["api_name"] for each in config["dependencies"] if each["api_visibility"] != "private"]
    assert public == ["process_talking_head"]


def test_missing_inputs_are_named(server: Server, client) -> None:
    assert "A photo or video and a recording are missing" in refusal(server, client, None, None)
    assert "photo or video is missing" in refusal(server, client, SPEECH, None)
    assert "recording is missing" in refusal(server, client, None, PORTRAIT)


def test_bad_files_are_explained(server: Server, client, tmp_path: Path) -> None:
    text_png, text_wav, empty = tmp_path / "text.png", tmp_path / "text.wav", tmp_path / "empty.wav"
    text_png.write_text("no picture\n" * 50)
    text_wav.write_text("no sound\n" * 50)
    empty.write_bytes(b"")
    assert "text.png" in refusal(server, client, SPEECH, text_png)
    assert "text.wav" in refusal(server, client, text_wav, PORTRAIT)
    assert "empty" in refusal(server, client, empty, PORTRAIT)
    assert "speech_3s.wav" in refusal(server, client, SPEECH, SPEECH)  # a recording where the photo belongs, and the reverse
    assert "portrait.png" in refusal(server, client, PORTRAIT, PORTRAIT)


def test_a_photo_without_a_face_is_explained(server: Server, client, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (256, 256), (40, 90, 160)).save(tmp_path / "wall.png")
    assert "face" in refusal(server, client, SPEECH, tmp_path / "wall.png")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "big"}, "big"),
        ({"size": "321"}, "321"),
        ({"size": "99999"}, "99999"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"face": 7}, "Face 7"),
        ({"face": -1}, "face"),
        ({"engine": "nonsense"}, "nonsense"),
    ],
)
def test_bad_options_are_explained(server: Server, client, options: dict[str, object], said: str) -> None:
    assert said in refusal(server, client, **options)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("http://127.0.0.1:1/x.wav", "addresses are not accepted"),
        ("/etc/hostname", "not uploaded here"),
        ("x" * 5000, "not uploaded here"),
        ("a\0b", "not uploaded here"),
    ],
)
def test_addresses_and_files_of_the_server_are_refused(server: Server, path: str, said: str) -> None:
    """Asked for without the client, which would upload the file first."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    endpoint = "gradio_api/call/process_talking_head"
    body = json.dumps({"data": [file, file, "auto", "320", 1, 0, False]}).encode()
    request = urllib.request.Request(server.url + endpoint, body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    answered = caught.value.read().decode()
    assert said in answered
    assert path not in answered


def test_a_client_is_told_what_was_refused(client) -> None:
    from gradio_client import handle_file
    from gradio_client.exceptions import ValidationError

    with pytest.raises(ValidationError, match="addresses are not accepted"):
        client.submit(handle_file("http://127.0.0.1:1/x.wav"), handle_file(str(PORTRAIT)), api_name="/process_talking_head").result()


def test_files_are_private_and_their_names_cannot_be_guessed(server: Server, client) -> None:
    ask(client)
    root = server.folder / "out" / "videos"
    assert root.stat().st_mode & 0o777 == 0o700
    videos = list(root.rglob("talking-head.mp4"))
    assert videos
    assert all(re.fullmatch(r"[0-9a-f]{48}", video.parent.name) for video in videos)
    for path in (ROOT / "app.py", ROOT / "assets" / "face_landmarker.task", server.log, root, Path("/etc/hostname")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.get("gradio_api/file=" + urllib.parse.quote(str(path)))
        assert caught.value.code in (403, 404)
        caught.value.close()


def test_an_upload_beyond_the_limit_is_refused(server: Server, client, tmp_path: Path) -> None:
    large, larger = tmp_path / "large.png", tmp_path / "larger.png"
    large.write_bytes(PORTRAIT.read_bytes() + bytes(2_000_000))
    assert "large.png is too large" in refusal(server, client, SPEECH, large)
    larger.write_bytes(PORTRAIT.read_bytes() + bytes(3_100_000))
    with pytest.raises(ValueError, match="maximum file size"):  # the client does not even send it
        ask(client, SPEECH, larger)


def test_a_cancelled_call_stops_the_job(server: Server, client, tmp_path: Path) -> None:
    """A client that cancels must not leave its job running: the next one would wait for it."""
    from gradio_client import handle_file

    began = time.monotonic()
    job = client.submit(handle_file(str(ROOT / "assets" / "speech_16s.wav")), handle_file(str(PORTRAIT)), "lite", "1024", 3, 0,
                        api_name="/process_talking_head")  # fmt: skip
    root = server.folder / "out" / "videos"

    def unfinished() -> list[Path]:
        return [folder for folder in root.iterdir() if len(folder.name) == 48 and not (folder / "talking-head.mp4").exists()]

    while not unfinished():
        assert time.monotonic() - began < 30, "the job never started"
        time.sleep(0.02)
    job.cancel()
    cancelled = time.monotonic()
    while unfinished():
        assert time.monotonic() - cancelled < 5, "the job went on after it was cancelled"
        time.sleep(0.05)


def test_a_full_server_says_so_and_ends_cleanly_while_it_works(tmp_path: Path) -> None:
    """One job fills this server: the next is told to try again. SIGTERM during the render: exit code 0, soon, no half a video left."""
    from gradio_client import Client, handle_file

    server = start_app(tmp_path, TALKING_HEAD_MAX_QUEUE="0")
    try:
        client = Client(server.url, verbose=False)
        client.submit(handle_file(str(ROOT / "assets" / "speech_16s.wav")), handle_file(str(PORTRAIT)), "lite", "1024", 3, 0,
                      api_name="/process_talking_head")  # fmt: skip
        deadline = time.monotonic() + 30
        while not any(len(folder.name) == 48 for folder in (tmp_path / "out" / "videos").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        busy = refusal(server, client)
        assert "Busy" in busy
        assert "Try again" in busy
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0, server.log.read_text()
        assert not list((tmp_path / "out" / "videos").rglob("*.mp4*"))
        assert "Traceback" not in server.log.read_text()
        client._kill_heartbeat.set()
    finally:
        stop_app(server)


def test_a_fault_of_ours_is_logged_and_shown_as_a_plain_sentence(tmp_path: Path) -> None:
    """An engine that breaks in a way nobody foresaw: the visitor gets a sentence, the log the traceback."""
    from gradio_client import Client

    broken = """
import sys, app, core.studio
def fail():
    raise RuntimeError("secret detail in /some/path")
core.studio.open_studio = lambda settings, *args, **options: core.studio.Studio(settings, {"lite": core.studio.EngineSource(fail)})
sys.exit(app.main(sys.argv[1:]))
"""
    server = start_app(tmp_path, ("-c", broken))
    try:
        client = Client(server.url, verbose=False)
        message = refusal(server, client)
        assert "Something went wrong here" in message
        assert "secret" not in message
        assert "secret detail" in server.log.read_text()
        client._kill_heartbeat.set()
    finally:
        stop_app(server)


def test_a_taken_port_is_one_line_and_exit_code_2(server: Server, tmp_path: Path) -> None:
    port = urllib.parse.urlsplit(server.url).port
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TALKING_HEAD_OUTPUT_DIR": str(tmp_path)},
    )
    assert done.returncode == 2, done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
