"""Live sessions watched by WHEP and spoken to by WHIP, by a real client of WebRTC on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from core.errors import EncodingError
from core.media.audio import load_audio
from core.service.resumable_session import ResumableSession
from core.settings import Settings
from core.studio import Studio
from tests.support.live_caller import Caller, call, run
from tests.support.paths import SPEECH
from tests.support.peers import FRAGMENT, HZ, SDP, Client, Voice
from tests.support.serving import KEY, OTHER_KEY, Serving, error, form, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
START = {"type": "start", "format": "webrtc", "options": {"size": 64}}


def voice() -> Voice:
    samples = load_audio(SPEECH, Settings()).samples[:32_000]
    return Voice((np.repeat(samples, HZ // 16_000) * 32767).astype(np.int16))


@contextlib.asynccontextmanager
async def client(server: Serving, key: str = KEY) -> AsyncIterator[Client]:
    client = Client(server.url, key)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def session(server: Serving, token: str) -> AsyncIterator[tuple[Caller, str]]:
    """A session that is controlled over the WebSocket, whose caller reads all the time."""
    async with call(server, token) as caller:
        await caller.say(**START)
        ready = await caller.event("ready")
        reading = asyncio.ensure_future(caller.end())
        yield caller, ready["session"]
        await caller.say(type="close")
        await reading


def test_a_session_is_spoken_to_and_watched(server: Serving, token: str) -> None:
    async def test() -> None:
        async with session(server, token) as (caller, name), client(server) as viewer, client(server) as microphone:
            answer = await viewer.watch(name)
            assert answer.status_code == 201, answer.text
            assert answer.headers["content-type"].startswith("application/sdp")
            assert answer.headers["x-live-session"] == name
            assert "a=sendonly" in answer.text
            assert "H264/90000" in answer.text
            assert "VP8" not in answer.text
            await viewer.connected()
            await viewer.until(lambda: len(viewer.frames["video"]) > 10 and len(viewer.frames["audio"]) > 5)
            first = viewer.frames["video"][0][1]
            assert (first.width, first.height) == (64, 64)
            assert first.key_frame
            assert np.std(first.to_ndarray(format="gray")) > 10, "a face is not one colour"

            answer = await microphone.speak(voice(), f"/live/{name}/whip")
            assert answer.status_code == 201, answer.text
            await caller_hears(caller, "speaking")
            heard = len(viewer.frames["audio"])
            await viewer.until(lambda: len(viewer.frames["audio"]) > heard + 25)
            sound = np.concatenate([frame.to_ndarray().ravel() for _, frame in viewer.frames["audio"][heard:]])
            assert np.abs(sound.astype(np.float64)).max() > 1000, "the voice is heard"
            assert not caller.media, "nothing of it comes over the WebSocket"
            figures = httpx.get(f"{server.url}/metrics", headers={"X-API-Key": KEY}, trust_env=False).text
            assert 'talking_head_webrtc_connections{kind="viewers"} 1.0' in figures
            assert 'talking_head_webrtc_connections{kind="microphones"} 1.0' in figures

            ended = await viewer.http.delete(viewer.answer.headers["location"])
            assert ended.status_code == 200
            assert (await viewer.http.delete(viewer.answer.headers["location"])).status_code == 404
            await viewer.until(lambda: viewer.pc.connectionState == "closed")
        await asyncio.to_thread(wait_for, lambda: server.context.talking.peers.stats()["microphones"] == 0)

    run(test)


async def caller_hears(caller: Caller, kind: str) -> None:
    async with asyncio.timeout(30):
        while not any(event["type"] == kind for event in caller.events):
            await asyncio.sleep(0.02)


def test_picture_and_sound_have_the_sessions_time(server: Serving, token: str) -> None:
    """From the first packet on both count the same time, frame for frame."""

    async def test() -> None:
        async with session(server, token) as (_, name), client(server) as viewer:
            await viewer.watch(name)
            await viewer.until(lambda: len(viewer.frames["video"]) > 30 and len(viewer.frames["audio"]) > 30)
            pictures = [frame.pts / 90_000 for _, frame in viewer.frames["video"]]
            sounds = [frame.pts / 48_000 for _, frame in viewer.frames["audio"]]
            assert pictures[:25] == pytest.approx([n / 25 for n in range(25)])
            assert sounds[:25] == pytest.approx([n / 25 for n in range(25)])
            assert all(frame.samples == 1920 for _, frame in viewer.frames["audio"])

    run(test)


def test_a_microphone_starts_a_session_by_itself(server: Serving, token: str) -> None:
    async def test() -> None:
        async with client(server) as microphone, client(server) as viewer:
            answer = await microphone.speak(voice(), f"/whip?avatar={token}&options=%7B%22size%22%3A64%7D")
            assert answer.status_code == 201, answer.text
            await microphone.connected()
            name = answer.headers["x-live-session"]
            assert (await viewer.watch(name, ("audio", "video"))).status_code == 201
            await viewer.until(lambda: len(viewer.frames["video"]) > 25)
            assert (await microphone.http.delete(answer.headers["location"])).status_code == 200
            await viewer.until(lambda: viewer.pc.connectionState == "closed")
            assert (await viewer.http.get(f"/live/{name}/provenance")).status_code == 404

    run(test)


def test_another_microphone_takes_over_the_session_that_one_has_started(server: Serving, token: str) -> None:
    """It goes on, and ends with the newer one."""

    async def test() -> None:
        async with client(server) as first, client(server) as second, client(server) as viewer:
            answer = await first.speak(voice(), f"/whip?avatar={token}&options=%7B%22size%22%3A64%7D")
            await first.connected()
            name = answer.headers["x-live-session"]
            await viewer.watch(name, ("audio", "video"))
            await viewer.until(lambda: len(viewer.frames["video"]) > 5)
            answer = await second.speak(voice(), f"/live/{name}/whip")
            assert (answer.status_code, answer.headers["x-live-session"]) == (201, name)
            await first.until(lambda: first.pc.connectionState == "closed")
            await second.connected()
            heard = len(viewer.frames["audio"])
            await viewer.until(lambda: len(viewer.frames["audio"]) > heard + 50)
            sound = np.concatenate([frame.to_ndarray().ravel() for _, frame in viewer.frames["audio"][heard:]])
            assert np.abs(sound.astype(np.float64)).max() > 1000, "the second one is heard"
            assert (await second.http.delete(answer.headers["location"])).status_code == 200
            await viewer.until(lambda: viewer.pc.connectionState == "closed")
            assert (await viewer.http.get(f"/live/{name}/provenance")).status_code == 404

    run(test)


def test_a_session_that_fails_at_its_start_takes_no_place(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(session: ResumableSession, timeout_s: float) -> None:
        raise EncodingError("An encoder failed.", "")

    async def test() -> None:
        before = server.context.talking.live.n_sessions
        monkeypatch.setattr(ResumableSession, "produce", fails)
        async with client(server) as microphone:
            answer = await microphone.speak(voice(), f"/whip?avatar={token}&options=%7B%22size%22%3A64%7D")
            assert answer.status_code >= 400
        assert server.context.talking.live.n_sessions == before

    run(test)


def test_a_lost_picture_is_asked_for_and_comes(server: Serving, token: str) -> None:
    async def test() -> None:
        async with session(server, token) as (_, name), client(server) as viewer:
            await viewer.watch(name, ("video",))
            await viewer.until(lambda: len(viewer.frames["video"]) > 5)
            receiver = viewer.pc.getReceivers()[0]
            ssrc = next(iter(receiver._RTCRtpReceiver__remote_streams))  # type: ignore[attr-defined]
            for _ in range(5):
                await receiver._send_rtcp_pli(ssrc)
            seen = len(viewer.frames["video"])
            await viewer.until(lambda: len(viewer.frames["video"]) > seen + 20)
            keys = [n for n, (_, frame) in enumerate(viewer.frames["video"][seen : seen + 20]) if frame.key_frame]
            assert 1 <= len(keys) <= 2, "one for all who ask at once"

    run(test)


def test_what_is_anothers_is_not_seen(server: Serving, token: str) -> None:
    async def test() -> None:
        async with session(server, token) as (_, name), client(server, OTHER_KEY) as other, client(server) as viewer:
            answer = await other.watch(name)
            error(answer, 404)
            await viewer.watch(name)
            where = viewer.answer.headers["location"]
            error(await other.http.delete(where), 404)
            error(await other.http.patch(where, content="a=ice-ufrag:abcd\r\n", headers={**FRAGMENT, "If-Match": "*"}), 404)
            assert (await viewer.http.delete(where)).status_code == 200

    run(test)


def test_viewers_are_bounded_and_bad_offers_are_told(server: Serving, token: str) -> None:
    async def test() -> None:
        async with session(server, token) as (_, name), client(server) as first, client(server) as second, client(server) as third:
            for viewer in (first, second):
                assert (await viewer.watch(name)).status_code == 201
            error(await third.watch(name), 429)
            await second.http.delete(second.answer.headers["location"])
            where, post = f"/live/{name}/whep", third.http.post
            error(await post(where, content="v=0\r\n", headers=SDP), 400)
            error(await post(where, content="v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", headers=SDP), 400)
            error(await post(where, content="v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", headers=SDP), 400)
            error(await post(where, content=b"\xff", headers=SDP), 400)
            error(await post(where, content="v=0\r\n" * 20_000, headers=SDP), 413)
            error(await post(where, content="{}"), 415)
            vp8 = "\r\n".join(line for line in (await third.offer()).splitlines() if "H264" not in line and "fmtp" not in line) + "\r\n"
            error(await post(where, content=vp8, headers=SDP), 422)
            place, patch = first.answer.headers["location"], first.http.patch
            error(await patch(place, content="a=ice-ufrag:abcd\r\n", headers=FRAGMENT), 400)
            error(await patch(place, content="a=ice-ufrag:abcd\r\n", headers={**FRAGMENT, "If-Match": '"old"'}), 412)
            more = "a=candidate:1 1 udp 1 192.0.2.77 9 typ host\r\n"
            etag = first.answer.headers["etag"]
            assert (await patch(place, content=more, headers={**FRAGMENT, "If-Match": etag})).status_code == 204
            peers = server.context.talking.peers.stats()
            assert peers["viewers"] == 1, "what was refused has left nothing behind"

    run(test)


def test_a_session_of_the_websocket_says_that_it_is_one(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller, client(server) as viewer:
            await caller.say(type="start", options={"size": 64})
            ready = await caller.event("ready")
            assert "webrtc" in error(await viewer.watch(ready["session"]), 422)["hint"]
            await caller.say(type="close")

    run(test)


def test_a_lost_websocket_is_resumed_and_viewers_go_on(server: Serving, token: str) -> None:
    async def test() -> None:
        async with client(server) as viewer:
            async with call(server, token) as caller:
                await caller.say(**START)
                ready = await caller.event("ready")
                reading = asyncio.ensure_future(caller.end())
                await viewer.watch(ready["session"])
                await viewer.until(lambda: viewer.frames["video"])
            await reading
            async with call(server, token) as again:
                await again.say(type="resume", session=ready["session"], secret=ready["secret"], received=-1)
                assert (await again.event("ready"))["resumed"]
                await again.event("stats")
                assert "gap" not in [event["type"] for event in again.events]
                reading, seen = asyncio.ensure_future(again.end()), len(viewer.frames["video"])
                await viewer.until(lambda: len(viewer.frames["video"]) > seen + 25)
                await again.say(type="close")
                await reading

    run(test)


def test_when_the_server_stops_viewers_are_told(studio: Studio, tmp_path: Path) -> None:
    async def test() -> None:
        with contextlib.ExitStack() as stack:
            server = await asyncio.to_thread(stack.enter_context, serving(studio, tmp_path))
            with server.client() as http:
                token = http.post("/avatars", **form(audio=None)).json()["token"]
            async with client(server) as microphone, client(server) as viewer:
                answer = await microphone.speak(voice(), f"/whip?avatar={token}&options=%7B%22size%22%3A64%7D")
                await viewer.watch(answer.headers["x-live-session"])
                await viewer.until(lambda: viewer.frames["video"])
                await asyncio.to_thread(stack.close)
                await viewer.until(lambda: viewer.pc.connectionState == microphone.pc.connectionState == "closed")

    run(test)


def test_what_does_not_connect_is_closed(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.webrtc.peer.CONNECT_S", 0.5)

    async def test() -> None:
        async with session(server, token) as (_, name), client(server) as viewer:
            viewer.pc.addTransceiver("video", direction="recvonly")
            failed = server.context.talking.peers.stats()["failed"]
            answer = await viewer.http.post(f"/live/{name}/whep", content=await viewer.offer(), headers=SDP)
            assert answer.status_code == 201  # and is never used
            await asyncio.to_thread(wait_for, lambda: server.context.talking.peers.stats()["failed"] == failed + 1)
            error(await viewer.http.delete(answer.headers["location"]), 404)

    run(test)
