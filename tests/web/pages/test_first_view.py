"""The page as it comes over the line, before any script ran."""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Iterator

import pytest

from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH
from tests.support.app_process import Server, start_app, stop_app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("first_view"))
    yield server
    stop_app(server)


def fetched(server: Server, language: str, **headers: str) -> tuple[bytes, str]:
    request = urllib.request.Request(server.url, headers={"Accept-Language": language, **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), answer.headers.get("Content-Encoding", "")


@pytest.mark.parametrize("texts", [ENGLISH, GERMAN], ids=["en", "de"])
def test_it_says_what_it_is_in_its_language(server: Server, texts: object) -> None:
    page, encoding = fetched(server, texts.language)
    assert encoding == ""
    html = page.decode()
    assert f'lang="{texts.language}"' in html[:200]
    view = html[html.index('id="th-first"') : html.index("<gradio-app")]
    assert texts.subtitle in view
    assert texts.needs_scripts in view


def test_it_is_compressed_where_that_is_taken(server: Server) -> None:
    plain, _ = fetched(server, "en")
    packed, encoding = fetched(server, "en", **{"Accept-Encoding": "gzip"})
    assert encoding == "gzip"
    assert len(packed) < len(plain) / 4
    assert gzip.decompress(packed).count(b"<gradio-app") == 1
