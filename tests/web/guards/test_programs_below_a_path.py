"""The three programs below a path of a proxy, which takes the path off what it passes on."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from core.errors import OptionError
from core.settings import load_settings
from tests.support.app_process import stop_app
from tests.support.paths import PORTRAIT
from tests.web.guards.conftest import PROGRAMS, Audited, start

FORWARDED = {"Host": "inside.local", "X-Forwarded-Host": "talk.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


@pytest.fixture(scope="module", params=PROGRAMS)
def below(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    program = start(
        tmp_path_factory.mktemp("below"), request.param, TALKING_HEAD_ROOT_PATH="/talk/head", TALKING_HEAD_ALLOWED_HOSTS="talk.example",
        TALKING_HEAD_TRUSTED_PROXIES="127.0.0.1",
    )  # fmt: skip
    yield program
    stop_app(program.server)


def visiting(program: Audited) -> httpx.Client:
    return httpx.Client(base_url=program.server.url, headers=FORWARDED, timeout=60.0, trust_env=False)


def test_the_page_says_where_it_is_and_its_cookie_holds_there(below: Audited) -> None:
    with visiting(below) as client:
        for path, language in (("", "en"), ("de", "de")):
            page = client.get(path, headers={"Accept": "text/html", "Accept-Language": language})
            assert page.status_code == 200
            assert '"root":"https://talk.example/talk/head"' in page.text
    with visiting(below) as client:  # a new visitor
        assert "; Path=/talk/head;" in client.get("", headers={"Accept-Language": "en"}).headers["set-cookie"]
        assert client.get("config").json()["root"] == "https://talk.example/talk/head"


def test_uploads_work_and_other_routes_stay_shut(below: Audited) -> None:
    visitor = {"Cookie": f"talking_head_visitor={'ab' * 24}"}
    with visiting(below) as client:
        uploaded = client.post("gradio_api/upload", headers=visitor, files={"files": ("x.png", PORTRAIT.read_bytes())}).json()[0]
        assert client.get(f"gradio_api/file={uploaded}", headers=visitor).content == PORTRAIT.read_bytes()
        assert client.get("gradio_api/file=/etc/hostname", headers=visitor).status_code == 403
        assert client.get("monitoring", headers=visitor).status_code == 404
        assert client.get("config", headers={"X-Forwarded-Host": "evil.example"}).status_code == 421


def test_what_is_not_behind_the_proxy_works_too(below: Audited) -> None:
    """The health check of a container, say."""
    with below.client() as client:
        assert client.get("config").json()["root"] == f"{below.server.url}talk/head"


@pytest.mark.parametrize("path", ["talk", "/talk/", "/ta lk", "https://talk.example/talk", "/"])
def test_what_is_no_path_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("TALKING_HEAD_ROOT_PATH", path)
    with pytest.raises(OptionError, match="TALKING_HEAD_ROOT_PATH"):
        load_settings()


@pytest.mark.parametrize(
    ("told", "path"), [("/talk/", "/talk"), ("https://talk.example/talk", "/talk"), ("https://talk.example", ""), ("", "")]
)
def test_gradios_own_variable_says_it_too(monkeypatch: pytest.MonkeyPatch, told: str, path: str) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", told)
    assert load_settings().root_path == path
    monkeypatch.setenv("TALKING_HEAD_ROOT_PATH", "/head")
    assert load_settings().root_path == "/head"


def test_what_gradios_variable_says_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/ta<lk>")
    with pytest.raises(OptionError, match="TALKING_HEAD_ROOT_PATH"):
        load_settings()
