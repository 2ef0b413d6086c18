"""app_optimized.py through its real server on loopback, as Gradio clients call it."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import CLIENT_MARKS, Server, probe, start_app, stop_app
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = CLIENT_MARKS
APP = (str(ROOT / "app_optimized.py"),)
KEYS = ("a key of the first one", "a key of the second one")
ENDPOINTS = {
    "/process_talking_head": [
        "audio", "image", "engine", "size", "seed", "face", "consent", "text", "voice", "speed", "aspect", "crop", "burn_captions",
        "background", "landmarks",
    ],
    "/process_talking_head_optimized": ["audio", "image", "token", "options", "text", "voice", "speed", "background"],
    "/preload_avatar": ["image", "name", "consent", "face", "landmarks"],
    "/clear_cache": ["which"],
    "/list_voices": [],
    "/list_avatars": [],
    "/delete_avatar": ["token"],
    "/cache_stats": [],
    "/health": [],
}


def connect(server: Server, folder: Path, key: str | None) -> Any:
    from gradio_client import Client

    headers = {"X-Owner-Key": key} if key else None
    return Client(server.url, download_files=str(folder), verbose=False, headers=headers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("full"), APP, TALKING_HEAD_MAX_QUEUE="4", TALKING_HEAD_TRUSTED_PROXIES="127.0.0.1")
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def clients(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Of two owners."""
    first, second = (connect(server, tmp_path_factory.mktemp("client"), key) for key in KEYS)
    yield first, second
    first.close()
    second.close()


@pytest.fixture(scope="module")
def client(clients: tuple[Any, Any]) -> Any:
    return clients[0]


def register(client: Any, name: str = "Ada", **options: Any) -> tuple[str, str]:
    from gradio_client import handle_file

    token, preview = client.predict(image=handle_file(str(PORTRAIT)), name=name, consent=True, **options, api_name="/preload_avatar")
    return token, preview


def make(client: Any, token: str = "", image: Path | None = None, **options: Any) -> tuple[str, dict[str, Any]]:
    from gradio_client import handle_file

    given = {"audio": handle_file(str(SPEECH)), "image": image and handle_file(str(image)), "token": token, "options": options}
    video, info = client.predict(**given, api_name="/process_talking_head_optimized")
    return video, info


def refusal(call: Any, *args: Any, **options: Any) -> str:
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "Traceback" not in message
    assert not re.search(r"(^|\s)/\w+/", message), f"a path in: {message}"
    return message


def test_the_endpoints_are_named_typed_and_described(server: Server, client: Any) -> None:
    about = json.loads(server.get("gradio_api/info"))
    named = about["named_endpoints"]
    assert {name: [each["parameter_name"] for each in endpoint["parameters"]] for name, endpoint in named.items()} == ENDPOINTS
    assert about["unnamed_endpoints"] == {}
    assert all(len(endpoint["description"]) > 30 for endpoint in named.values())
    assert all(each["python_type"]["type"] for endpoint in named.values() for each in endpoint["returns"])
    optional = [each["parameter_has_default"] for each in named["/process_talking_head_optimized"]["parameters"]]
    assert optional == [True] * 8


def test_an_avatar_is_registered_used_and_deleted_with_its_videos(server: Server, client: Any) -> None:
    token, preview = register(client)
    assert Path(preview).read_bytes().startswith(b"\xff\xd8")  # a JPEG
    listed = client.predict(api_name="/list_avatars")
    assert [(each["token"], each["name"], each["consent"]) for each in listed] == [(token, "Ada", True)]

    video, info = make(client, token, size=128)
    assert probe(video)[:2] == (128, 128)
    assert (info["engine"], info["avatar"], info["cache_hit"], info["label"]) == ("lite", token, False, True)
    again, hit = make(client, token, size=128)
    assert hit["cache_hit"] is True
    assert Path(again).read_bytes() == Path(video).read_bytes()
    assert make(client, token, size=128, seed=7)[1]["cache_hit"] is False

    made_of_it = list((server.folder / "out" / "videos").rglob("talking-head.mp4"))
    assert client.predict(token=token, api_name="/delete_avatar") > 0
    assert client.predict(api_name="/list_avatars") == []
    assert "no avatar" in refusal(make, client, token)
    assert len([made for made in made_of_it if not made.exists()]) == 3


def test_the_same_photo_has_the_same_token_and_another_owner_cannot_use_it(clients: tuple[Any, Any]) -> None:
    first, second = clients
    token, _ = register(first)
    assert register(first, "Ada again")[0] == token
    assert register(second)[0] != token
    never = token[::-1]
    foreign, unknown = refusal(make, second, token), refusal(make, second, never)
    assert "no avatar" in foreign
    assert foreign.replace(token, "it") == unknown.replace(never, "it")
    refusal(second.predict, token=token, api_name="/delete_avatar")
    assert [each["token"] for each in first.predict(api_name="/list_avatars")] == [token]


def test_clearing_takes_the_callers_own_only(clients: tuple[Any, Any]) -> None:
    first, second = clients
    mine, theirs = register(first)[0], register(second)[0]
    make(first, mine, size=64)
    assert first.predict(which="results", api_name="/clear_cache") > 0
    assert [each["token"] for each in first.predict(api_name="/list_avatars")] == [mine]
    assert first.predict(api_name="/clear_cache") > 0
    assert first.predict(api_name="/list_avatars") == []
    assert [each["token"] for each in second.predict(api_name="/list_avatars")] == [theirs]
    assert "everything" in refusal(first.predict, which="everything", api_name="/clear_cache")


def test_a_new_photo_may_be_given_instead_of_a_token(client: Any) -> None:
    video, info = make(client, image=PORTRAIT, size=96, seed="random", blink=0.5, gaze_x=-0.4, head_motion=0)
    assert probe(video)[:2] == (96, 96)
    assert info["avatar"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"blnk": 1}, "Is blink meant?"),
        ({"blink": "much"}, "blink"),
        ({"blink": 9}, "blink is 9"),
        ({"emo": "happy"}, "does not honour emo"),
        ({"preset": "best"}, "best"),
        ({"preset": "fast"}, "does not honour"),
        ({"size": "big"}, "big"),
        ({"size": True}, "True"),
        ({"size": "1" * 5000}, "size is 1111"),
        ({"seed": "x"}, "seed"),
        ({"engine": "ditto"}, "no engine ditto here"),
        ({"engine": 5}, "5"),
        ({"face_index": 3}, "Face 3"),
        ({"ctrl_info": {"0": {"delta_pitch": [0.0] * 20_000}}}, "not accepted"),
        ({"label": "no"}, "label"),
    ],
)
def test_bad_options_are_explained(client: Any, options: dict[str, Any], said: str) -> None:
    assert said in refusal(make, client, image=PORTRAIT, **options)


def test_values_of_a_wrong_kind_are_explained_and_told_back_in_short(client: Any) -> None:
    """Not a word of "something went wrong here": that is for faults of ours."""
    from gradio_client import handle_file

    files = {"audio": handle_file(str(SPEECH)), "image": handle_file(str(PORTRAIT))}
    assert "by name" in refusal(client.predict, **files, options=["size", 256], api_name="/process_talking_head_optimized")
    for token in (None, 5, {"a": 1}, ["x"]):
        assert "no avatar" in refusal(client.predict, token=token, api_name="/delete_avatar")
    assert len(refusal(client.predict, **files, engine="x" * 50_000, api_name="/process_talking_head")) < 2000


def test_only_true_is_a_consent(client: Any) -> None:
    from gradio_client import handle_file

    client.predict(which="avatars", api_name="/clear_cache")
    for said, consent in (("no", False), (0, False), (None, False), (True, True)):
        client.predict(image=handle_file(str(PORTRAIT)), name="Ada", consent=said, api_name="/preload_avatar")
        assert [each["consent"] for each in client.predict(api_name="/list_avatars")] == [consent], said


def test_what_does_not_fit_together_is_explained(client: Any) -> None:
    token, _ = register(client)
    assert "Give one of them" in refusal(make, client, token, PORTRAIT)
    assert "photo or video is missing" in refusal(make, client)
    assert "its own" in refusal(make, client, token, face_index=1)


@pytest.mark.parametrize(("options", "said"), [({"face": 0.5}, "face is 0.5"), ({"face": 7}, "Face 7"), ({"name": "x" * 5000}, "name")])
def test_a_bad_registration_is_explained(client: Any, options: dict[str, Any], said: str) -> None:
    assert said in refusal(register, client, **options)


def test_a_client_cannot_take_the_label_away(client: Any) -> None:
    assert make(client, image=PORTRAIT, size=64, label=False)[1]["label"] is True


def test_health_and_stats_are_told(client: Any) -> None:
    health, stats = client.predict(api_name="/health"), client.predict(api_name="/cache_stats")
    assert health["live"] is True
    assert health["engines"] == ["lite"]
    assert stats["avatars"]["hits"] >= 1
    assert {"hits", "misses", "bytes"} <= set(stats["results"])
    assert stats["queue"]["max_queue"] == 4


def test_a_key_that_could_be_guessed_is_refused(server: Server, tmp_path: Path) -> None:
    client = connect(server, tmp_path, "short")
    assert "X-Owner-Key" in refusal(client.predict, api_name="/list_avatars")
    client.close()


@pytest.mark.parametrize("path", ["process_recording", "deep_link", "deep_link/"])
def test_what_gradio_opens_besides_is_closed(server: Server, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.get(f"gradio_api/{path}?session_hash=x")
    assert caught.value.code == 404
    caught.value.close()


def test_pictures_of_avatars_lie_nowhere_where_a_guess_could_find_them(server: Server, clients: tuple[Any, Any]) -> None:
    register(clients[0])
    kept = [path for path in (server.folder / "cache").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.get("gradio_api/file=" + urllib.parse.quote(str(path)))
        assert caught.value.code in (403, 404)
        caught.value.close()


@pytest.mark.slow
def test_twenty_clients_at_once_get_a_video_or_are_told_to_try_again(server: Server, tmp_path: Path) -> None:
    """One job runs, four wait: the others are told so at once, nothing breaks, and the server goes on."""
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    ready = threading.Barrier(20)

    def call(n: int) -> str:
        client = connect(server, tmp_path / str(n), None)
        ready.wait(300)
        try:
            given = {"audio": handle_file(str(SPEECH)), "image": handle_file(str(PORTRAIT)), "size": "128", "seed": n}
            return str(probe(client.predict(**given, api_name="/process_talking_head"))[:2])
        except AppError as error:
            return str(error)
        except httpx.HTTPStatusError as error:  # all of one address: so many upload at a time
            if error.response.status_code != 429:
                raise
            return error.response.text
        finally:
            client.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))
    videos = [answer for answer in answers if answer == "(128, 128)"]
    busy = [answer for answer in answers if ("Busy" in answer or "Too much at once" in answer) and "Try again" in answer]
    assert len(videos) + len(busy) == 20, answers
    assert len(videos) >= 5
    assert "Traceback" not in server.log.read_text()
    client = connect(server, tmp_path / "after", None)
    make(client, image=PORTRAIT, size=64)
    client.close()


def test_a_page_sets_the_cookie_once_and_on_https_for_frames_too(server: Server) -> None:
    import http.client

    def answer(**headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=10)
        connection.request("GET", "/", headers=headers)
        got = connection.getresponse()
        got.read()
        connection.close()
        return got

    plain, secure = answer().getheader("set-cookie") or "", answer(**{"X-Forwarded-Proto": "https"}).getheader("set-cookie") or ""
    assert "HttpOnly; SameSite=Lax" in plain
    assert "SameSite=None; Secure; Partitioned" in secure
    assert plain.split(";")[0] != secure.split(";")[0]
    assert answer(Cookie=plain.split(";")[0]).getheader("set-cookie") is None
    german = answer(**{"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    assert (german.status, german.getheader("location")) == (307, "./de")
