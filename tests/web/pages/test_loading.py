"""`gr.load` of our apps: somebody else's app shows the form of the video and makes it on our server; programs find what they need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import CLIENT_MARKS, Server, probe, start_app, stop_app
from tests.support.page_config import page_config
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*CLIENT_MARKS, pytest.mark.slow]
SPACE = "talk.hf.space"
LOADING = str(ROOT / "tests" / "support" / "loading_app.py")


@pytest.fixture(scope="module", params=["app.py", "app_optimized.py"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("loaded")
    server = start_app(folder, (str(ROOT / request.param),), TALKING_HEAD_ALLOWED_HOSTS=SPACE)
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def loading(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    address = server.url.replace("127.0.0.1", SPACE)
    folder = tmp_path_factory.mktemp("loading")
    loading = start_app(folder, (LOADING, address), GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(folder))
    yield loading
    stop_app(loading)


@pytest.fixture(scope="module")
def client(loading: Server) -> Iterator[Any]:
    from gradio_client import Client

    client = Client(loading.url, download_files=False, verbose=False, analytics_enabled=False)  # as a browser: it fetches what it shows
    yield client
    client.close()


def test_the_loaded_page_makes_the_video(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    files = handle_file(str(SPEECH)), handle_file(str(PORTRAIT))
    video = client.predict(*files, "lite", "128", 5, 0, True, "", "", 1.0, "1:1", "", False, None, api_name="/process_talking_head")
    assert "/proxy=" in video["url"], "the browser has it from the app that loads ours"
    shown = httpx.get(video["url"])
    shown.raise_for_status()
    (tmp_path / "video.mp4").write_bytes(shown.content)
    assert probe(str(tmp_path / "video.mp4"))[:2] == (128, 128)


def test_an_error_of_the_loaded_page_says_what_is_wrong(client: Any) -> None:
    arguments = [None, None, "lite", "128", 5, 0, True, "", "", 1.0, "1:1", "", False, None]
    with pytest.raises(Exception, match="photo"):
        client.predict(*arguments, api_name="/process_talking_head")


def test_all_endpoints_can_be_called_where_they_are_loaded(server: Server, client: Any) -> None:
    ours = [each["api_name"] for each in json.loads(server.get("config"))["dependencies"]]
    theirs = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {f"/{name}" for name in ours} <= set(theirs)
    if len(ours) > 1:
        assert client.predict(api_name="/health")["live"] is True
        assert isinstance(client.predict("all", api_name="/clear_cache"), int)
        assert isinstance(client.predict(api_name="/list_voices"), list)


def test_only_the_form_of_the_video_is_shown(loading: Server) -> None:
    config = page_config(loading.get("").decode())
    columns = [each["props"]["visible"] for each in config["components"] if each["props"]["name"] == "column"]
    assert columns == [True, *[False] * (len(columns) - 1)]
    labels = {each["props"].get("label") for each in config["components"]}
    assert {"engine", "size", "seed", "face", "consent", "text", "voice", "speed", "aspect", "crop", "burn_captions"} <= labels
    assert not [each for each in config["components"] if each["props"]["name"] == "html"], "scripts of our pages are for our pages"


def test_programs_are_told_of_endpoints_and_pages_of_themselves(server: Server) -> None:
    config, page = json.loads(server.get("config")), page_config(server.get("").decode())
    public = {each["id"]: each["api_name"] for each in page["dependencies"] if each["api_visibility"] != "private"}
    assert {each["id"]: each["api_name"] for each in config["dependencies"]} == public
    assert len(page["dependencies"]) > len(public)
    assert json.loads(server.get("config?page=de"))["dependencies"] == config["dependencies"]
