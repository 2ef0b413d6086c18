"""The Live tab over WebRTC in a real browser whose microphone is a recording; where UDP is blocked it comes over the WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, FAKE_DEVICES, RESULT_MS, SHOWS_MS, Tab, browser_with
from tests.support.live_tab import SHOWN, moves, open_live, press, start
from tests.support.paths import ROOT
from tests.support.serving import wait_for

pytestmark = [pytest.mark.slow, *BROWSER_MARKS]
HEARD = f"--use-file-for-fake-audio-capture={ROOT / 'assets' / 'speech_16s.wav'}"
WATCHED = """window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection { constructor(...all) { super(...all); window.peers.push(this); } };
window.sockets = [];
window.WebSocket = class extends WebSocket { constructor(...all) { super(...all); window.sockets.push(this); } };"""
RECEIVED = """async () => {
  const found = [...(await window.peers[0].getStats()).values()];
  const picture = found.find((each) => each.type === 'inbound-rtp' && each.kind === 'video');
  const sound = found.find((each) => each.type === 'inbound-rtp' && each.kind === 'audio');
  return { frames: picture.framesDecoded, sound: sound.packetsReceived };
}"""
APART = """async () => {
  const found = [...(await window.peers[0].getStats()).values()].filter((each) => each.type === 'inbound-rtp');
  const [one, other] = found.map((each) => each.estimatedPlayoutTimestamp);
  return one && other ? Math.abs(one - other) / 1000 : 1e9;
}"""
LOST = """() => {
  window.sockets.at(-1).close();
  setTimeout(() => {
    for (const pc of window.peers) {
      Object.defineProperty(pc, 'connectionState', { get: () => 'closed' });
      pc.onconnectionstatechange();
    }
  }, 500);
}"""
"""Both are gone, the WebSocket first."""
RESTART = """() => {
  const [pc] = window.peers;
  window.named = pc.remoteDescription.sdp.match(/a=ice-ufrag:.*/)[0];
  Object.defineProperty(pc, 'connectionState', { get: () => 'failed', configurable: true });
  pc.onconnectionstatechange();
  delete pc.connectionState;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("live"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


def opened(browser: Any, server: Server) -> tuple[Tab, Any]:
    tab = Tab(browser, server, permissions=["microphone"], viewport={"width": 1280, "height": 720})
    tab.page.add_init_script(WATCHED)
    tab.page.reload(wait_until="domcontentloaded")
    return tab, open_live(tab)


def test_the_live_tab_goes_over_webrtc_and_restarts_ice(server: Server) -> None:
    with browser_with(*FAKE_DEVICES, HEARD) as browser:
        tab, page = opened(browser, server)
        media: list[bytes] = []

        def received(data: str | bytes) -> None:
            if isinstance(data, bytes):
                media.append(data)

        page.on("websocket", lambda socket: socket.on("framereceived", received))
        start(page)
        moves(page)
        page.wait_for_function("document.querySelector('.th-live-note').textContent === 'Speaking.'", timeout=RESULT_MS)
        assert page.evaluate(f"{SHOWN}.videoWidth") == 320
        assert page.evaluate(f"{SHOWN}.srcObject.getTracks().length") == 2
        assert media == [], "nothing of the video comes over the WebSocket"
        before = page.evaluate(RECEIVED)
        assert before["frames"] > 10
        assert before["sound"] > 10
        wait_for(lambda: page.evaluate(APART) < 0.12)  # picture and sound of the same moment are shown together

        page.evaluate(RESTART)
        page.wait_for_function("window.peers[0].remoteDescription.sdp.match(/a=ice-ufrag:.*/)[0] !== window.named", timeout=SHOWS_MS)
        page.wait_for_timeout(2000)
        assert page.evaluate("window.peers[0].connectionState") == "connected"
        after = page.evaluate(RECEIVED)
        assert after["frames"] > before["frames"] + 25, "it goes on"

        press(page, "interrupt")
        press(page, "stop")
        page.locator("#th-live-start").wait_for(timeout=SHOWS_MS)
        assert page.evaluate("window.peers.map((each) => each.connectionState)") == ["closed", "closed"]
        assert tab.forbidden == []
        assert tab.outside() == []
        tab.context.close()


def test_where_udp_is_blocked_it_says_so_and_goes_over_the_websocket(server: Server) -> None:
    with browser_with(*FAKE_DEVICES, HEARD, "--webrtc-ip-handling-policy=disable_non_proxied_udp") as browser:
        tab, page = opened(browser, server)
        start(page)
        page.locator(".th-live-way", has_text="UDP is blocked").wait_for(timeout=RESULT_MS)
        moves(page)
        assert page.evaluate(f"{SHOWN}.srcObject") is None
        press(page, "stop")
        tab.context.close()


def test_where_both_were_lost_the_session_goes_on_over_the_websocket(server: Server) -> None:
    with browser_with(*FAKE_DEVICES, HEARD) as browser:
        tab, page = opened(browser, server)
        start(page)
        moves(page)
        assert page.evaluate(f"{SHOWN}.srcObject !== null")
        page.evaluate(LOST)
        page.locator(".th-live-note", has_text="The connection was lost").wait_for(timeout=SHOWS_MS)
        page.locator(".th-live-way", has_text="over the WebSocket").wait_for(timeout=RESULT_MS)
        page.wait_for_function(f"{SHOWN}.srcObject === null && {SHOWN}.src", timeout=RESULT_MS)
        moves(page)
        press(page, "stop")
        tab.context.close()
