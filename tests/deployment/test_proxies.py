"""The server behind nginx and Caddy, set up as docs/deployment.md says, at a name of its own and below a path."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import httpx
import pytest
import websockets

from tests.support.browser import BROWSER_MARKS, CHROMIUM, QUIET, RESULT_MS, Tab
from tests.support.live_caller import START, Caller, speech
from tests.support.paths import PORTRAIT
from tests.support.proxies import NAME, Proxy, caddy, nginx
from tests.support.server_process import Process, running
from tests.support.serving import KEY, form, wait_for

pytestmark = [pytest.mark.slow, *BROWSER_MARKS[1:]]

KINDS = [
    pytest.param((proxy, mark), id=mark, marks=pytest.mark.skipif(shutil.which(tool) is None, reason=f"no {tool} on this machine"))
    for proxy, tool in ((nginx, "nginx"), (caddy, "caddy"))
    for mark in (tool, f"{tool} below a path")
]
WRONG = "a-wrong-key-of-the-tests"
WRONG_KEYS = 5
UPLOAD_BYTES = 10 * 2**20


@dataclass
class Behind:
    """A server and the proxy before it."""

    server: Process
    proxy: Proxy

    def client(self, host: str = "", client_address: str | None = None, key: str = KEY, **headers: str) -> httpx.Client:
        """A program at `client_address` that reaches the proxy."""
        own = {"X-API-Key": key} if key else {}
        transport = httpx.HTTPTransport(verify=self.proxy.trust(), local_address=client_address)
        return httpx.Client(
            transport=_Named(transport), base_url=f"https://127.0.0.1:{self.proxy.port}{self.proxy.root}/", timeout=60.0,
            headers={"Host": host or self.proxy.host, **own, **headers},
        )  # fmt: skip


class _Named(httpx.BaseTransport):
    """Asks for the proxy's name in TLS too, which no name server knows."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = NAME
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


@contextmanager
def behind(kind: tuple, folder: Path) -> Iterator[Behind]:
    proxy, mark = kind
    settings = {"TALKING_HEAD_ALLOWED_HOSTS": NAME, "TALKING_HEAD_TRUSTED_PROXIES": "127.0.0.1",
                "TALKING_HEAD_WRONG_KEYS_PER_MINUTE": str(WRONG_KEYS)}  # fmt: skip
    if mark.endswith("below a path"):
        settings["TALKING_HEAD_ROOT_PATH"] = "/talk"
    with running(folder, **settings) as server:
        server.ready()
        with proxy(mark, urlsplit(server.url).netloc, folder) as started:
            yield Behind(server, started)


@pytest.fixture(scope="module", params=KINDS)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with behind(request.param, tmp_path_factory.mktemp("proxy")) as made:
        yield made


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_visitor_logs_in_and_makes_a_video(there: Behind) -> None:
    from playwright.sync_api import sync_playwright

    resolve = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, resolve])
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(there.proxy.url)
        assert page.url == f"{there.proxy.url}login"
        page.locator("input[name=key]").fill(KEY)
        page.locator("button").click()
        page.wait_for_url(there.proxy.url)
        cookies = context.cookies()
        login = next(cookie for cookie in cookies if cookie["name"] == "talking_head_login")
        assert login["path"] == (there.proxy.root or "/")
        assert login["secure"]  # the proxy's word that it is https is taken
        state = context.storage_state()
        context.close()
        with there.client() as client:
            wait_for(lambda: client.get("", headers={"Accept": "text/html"}).status_code == 200)

        tab = Tab(browser, _Shown(there.proxy.url), ignore_https_errors=True, storage_state=state)
        tab.give()
        tab.generate()
        tab.page.locator("#th-video video").wait_for(timeout=2 * RESULT_MS)
        assert tab.page.locator("#th-video video").evaluate("video => video.src").startswith(there.proxy.url)
        assert [address for address in tab.addresses if not address.startswith((there.proxy.url, "blob:", "data:"))] == []
        assert tab.forbidden == []
        browser.close()


@dataclass
class _Shown:
    """What a Tab needs of a server."""

    url: str


def test_live_sessions_work_through_it(there: Behind) -> None:
    with there.client() as client:
        token = client.post("avatars", files={"image": ("p.png", PORTRAIT.read_bytes()), "name": (None, "Ada")}).json()["token"]

    async def speak() -> None:
        address = f"wss://{there.proxy.host}{there.proxy.root}/live?avatar={token}"
        async with websockets.connect(
            address, host="127.0.0.1", port=there.proxy.port, ssl=there.proxy.trust(), server_hostname=NAME,
            additional_headers={"X-API-Key": KEY}, proxy=None, max_size=None,
        ) as connection:  # fmt: skip
            caller = Caller(connection)
            await caller.say(**START)
            assert (await caller.event("ready"))["type"] == "ready"
            await connection.send(speech())
            await caller.say(type="end")
            await caller.event("speaking")
            await caller.until(lambda: len(caller.media) > 3)

    asyncio.run(speak())


def test_large_uploads_go_through_and_streams_come_back(there: Behind, tmp_path: Path) -> None:
    large = tmp_path / "large.bmp"
    cv2.imwrite(str(large), cv2.resize(cv2.imread(str(PORTRAIT)), (1900, 1900), interpolation=cv2.INTER_CUBIC))
    assert large.stat().st_size > UPLOAD_BYTES
    with there.client() as client:
        made = client.post("avatars", files={"image": ("large.bmp", large.read_bytes()), "name": (None, "Large")})
        assert made.status_code == 201, made.text
        with client.stream("POST", "stream", **form()) as answer:
            assert answer.status_code == 200
            pieces = list(answer.iter_raw())
        assert b"ftyp" in pieces[0][:16]
        job = client.post("generate?async=1", **form())
        assert job.headers["location"] == f"{there.proxy.root}/jobs/{job.json()['id']}"
        client.delete(f"jobs/{job.json()['id']}")


def test_foreign_names_and_pages_are_refused(there: Behind) -> None:
    with there.client(key="") as client:
        assert client.get("health").status_code == 200
        assert client.get("health", headers={"Origin": "https://evil.example"}).status_code == 403
        assert client.get("health", headers={"Origin": there.proxy.url.rstrip("/").removesuffix(there.proxy.root)}).status_code == 200
    with there.client(host=f"evil.example:{there.proxy.port}", key="") as client:
        answer = client.get("health")  # nginx passes it on, Caddy has no such site
        assert answer.status_code == 421 or (answer.status_code, answer.text) == (200, "")
    with there.client(key="", **{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}) as client:
        assert client.get("health").status_code == 200  # the proxy says what holds


def test_visitors_are_told_apart_by_the_proxy_and_cannot_lie(there: Behind) -> None:
    """Wrong keys are counted by address."""
    with there.client(client_address="127.0.0.3", key=WRONG) as client:
        lies = [client.get("avatars", headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(WRONG_KEYS + 2)]
    assert lies[:WRONG_KEYS] == [401] * WRONG_KEYS
    assert lies[-1] == 429
    with there.client(client_address="127.0.0.4", key=WRONG) as client:
        assert client.get("avatars").status_code == 401

    past = httpx.HTTPTransport(local_address="127.0.0.5")  # not through the proxy, and no proxy itself
    with httpx.Client(transport=past, base_url=there.server.url, headers={"X-API-Key": WRONG}, timeout=60.0) as client:
        lies = [client.get("/avatars", headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(WRONG_KEYS + 2)]
        assert lies[-1] == 429
        claimed = {"X-Forwarded-Host": NAME, "Host": "evil.example"}
        assert client.get("/health", headers=claimed).status_code == 421
