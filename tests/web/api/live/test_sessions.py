"""WS /live through a real server: speech in, video out, interrupted, resumed."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from core.web.live.live_protocol import INIT, PICTURE, SEGMENT, SOUND, SPEAKS
from tests.support.live_caller import START, call, run, speech
from tests.support.serving import KEY, OTHER_KEY, Serving, form, wait_for


def test_speech_becomes_video_between_ready_and_idle(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(type="ping", id=7)
            await caller.say(**START)
            ready = await caller.event("ready")
            assert (ready["resumed"], ready["width"], ready["fps"], ready["engine"]) == (False, 64, 25, "lite")
            assert ready["mime_type"].startswith("video/mp4; codecs=")
            assert caller.events[0] == {"type": "pong", "id": 7}
            data = speech()
            for cut in range(0, len(data), 777):  # chunks of any size, also odd ones
                await caller.socket.send(data[cut : cut + 777])
            await caller.say(type="end")
            idle = await caller.event("idle")
            speaking = next(event for event in caller.events if event["type"] == "speaking")
            assert idle["at_s"] - speaking["at_s"] == pytest.approx(1.0, abs=0.001)
            await caller.say(type="close")
            assert (await caller.end())[0] == 1000
            assert caller.sequences() == list(range(len(caller.media)))
            assert [head[1] for head, _ in caller.media] == [INIT] + [SEGMENT] * (len(caller.media) - 1)
            assert sum(head[6] for head, _ in caller.media if head[2] & SPEAKS) >= 1_000_000
            with av.open(io.BytesIO(b"".join(data for _, data in caller.media))) as file:
                n_frames = sum(1 for _ in file.decode(video=0))
            assert n_frames == round(sum(head[6] for head, _ in caller.media) / 40_000)

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_pictures_and_sound_instead_of_segments(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START, format="jpeg", channels=2, rate=48_000)
            stereo = np.repeat(np.frombuffer(speech(), "<i2"), 3)
            await caller.socket.send(np.stack([stereo, stereo], axis=1).tobytes()[:-3])
            await caller.say(type="end")
            await caller.event("idle")
            pictures = [data for head, data in caller.media if head[1] == PICTURE]
            sounds = [data for head, data in caller.media if head[1] == SOUND and head[2] & SPEAKS]
            assert all(data[:2] == b"\xff\xd8" for data in pictures)
            assert {len(data) for data in sounds} == {(await caller.event("ready"))["sound_rate_hz"] // 25 * 2}
            assert np.abs(np.frombuffer(b"".join(sounds), "<i2").astype(int)).max() > 3000

    run(test)


def test_an_interrupt_is_the_end_of_what_was_said(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            await caller.socket.send(speech(3.0))
            await caller.event("speaking")
            await caller.say(type="interrupt")
            interrupted = await caller.event("interrupted")
            assert interrupted["generation"] == 1
            before = len(caller.media)
            await caller.until(lambda: len(caller.media) > before + 8)
            assert all(head[3] == 1 and not head[2] & SPEAKS for head, _ in caller.media[before:])
            await caller.say(type="close")

    run(test)


def test_a_lost_connection_is_resumed_without_a_gap(server: Serving, token: str) -> None:
    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            await caller.socket.send(speech())
            await caller.say(type="end")
            await caller.until(lambda: len(caller.media) >= 5)
            caller.socket.transport.abort()
        got = caller.media[-1][0][4]
        resume = {"type": "resume", "session": ready["session"], "secret": ready["secret"], "received": got}
        async with call(server, token) as again:
            await again.say(**resume)
            assert (await again.event("ready"))["resumed"]
            await again.event("idle")
            assert again.sequences() == list(range(got + 1, got + 1 + len(again.media)))
            # A second connection takes the session of the first.
            async with call(server, token) as third:
                await third.say(**{**resume, "received": again.sequences()[-1]})
                await third.event("ready")
                assert (await again.end())[0] == 4409
                await third.say(type="close")
                assert (await third.end())[0] == 1000
        with av.open(io.BytesIO(b"".join(data for _, data in (*caller.media, *again.media)))) as file:
            assert sum(1 for _ in file.decode(video=0)) > 25

    run(test)
    wait_for(lambda: server.context.live.n_sessions == 0)


def test_what_is_kept_no_longer_is_said_to_be_a_gap(server: Serving, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.resumable_session.REPLAY_MESSAGES", 3)

    async def test() -> None:
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            await caller.until(lambda: len(caller.media) >= 8)
            caller.socket.transport.abort()
        async with call(server, token) as again:
            await again.say(type="resume", session=ready["session"], secret=ready["secret"], received=1)
            await again.event("gap")
            await again.until(lambda: len(again.media) >= 2)
            assert [head[1] for head, _ in again.media[:2]] == [INIT, SEGMENT]
            with av.open(io.BytesIO(b"".join(data for _, data in again.media))) as file:
                assert next(file.decode(video=0)).key_frame
            await again.say(type="close")

    run(test)


@pytest.mark.parametrize("change", [{"secret": "x"}, {"session": "x"}, {}])
def test_a_session_is_resumed_by_who_has_its_secret_and_its_key(server: Serving, token: str, change: dict[str, str]) -> None:
    async def test() -> None:
        with server.client(OTHER_KEY) as client:
            others = client.post("/avatars", **form(audio=None)).json()["token"]
        async with call(server, token) as caller:
            await caller.say(**START)
            ready = await caller.event("ready")
            key, avatar = (KEY, token) if change else (OTHER_KEY, others)
            async with call(server, avatar, key) as thief:
                await thief.say(**{"type": "resume", "session": ready["session"], "secret": ready["secret"], **change})
                code, event = await thief.end()
            assert code == 4404
            assert event["error"]["message"] == "There is no such live session."
            await caller.say(type="close")

    run(test)
