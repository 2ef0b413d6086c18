"""Live sessions that lie in another process: who holds them, what comes back to whoever holds them, and when they end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from core.errors import OptionError, TextError
from core.service import live_sessions
from core.service.errors import TooMany, UnknownLiveSession
from core.service.job_views import as_values
from core.service.live_messages import EndOfUtterance, LiveMessage, LiveRequest, MediaPiece, NewControls, SayRequest, Sound
from core.service.live_sessions import LiveSessions
from core.service.quotas import RateLimit
from core.service.shared import session_server
from core.service.shared.remote_session import RemoteSession
from core.service.shared.session_server import Begun, Reply
from core.settings import Settings
from core.speech_synthesis.base import Speech
from core.speech_synthesis.speaker import Speaker
from core.streaming.outputs import LiveEvent, LivePacket
from tests.support.live_stage import rustle
from tests.support.paths import ROOT
from tests.support.session_elsewhere import SENTENCES, TEXT, VOICE, At, Here, until, wait_until


def sequences(messages: Sequence[LiveMessage]) -> list[int]:
    return [message.sequence for message in messages if isinstance(message, MediaPiece)]


def test_sound_goes_in_and_pieces_come_out_each_counted_once(here: Here) -> None:
    session, at, seen = here.begun(), At(), []
    session.watchers.append(seen.append)
    assert session.about["width"] == 64
    assert session.take(at, Sound(rustle(0.6).tobytes()))
    assert session.take(at, EndOfUtterance())
    assert (at.next_number, session.received) == (2, 2)
    again = At()
    assert session.take(again, Sound(rustle(0.6).tobytes())), "what is sent again is passed over"
    assert (again.next_number, session.received) == (1, 2)
    with pytest.raises(OptionError, match="blink"):
        session.take(at, NewControls({"blink": 0.5}))
    assert (at.next_number, session.received) == (3, 3), "what is refused counts"
    messages = until(session, "idle")
    assert sequences(messages) == list(range(len(sequences(messages))))
    assert seen == messages
    session.interrupt()
    assert session.generation == 1


class SlowToAttach(Here):
    """The answer to an `attach` waits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.answered = threading.Event()
        self.attached = threading.Event()
        self.answered.set()

    def attach(self, owner: str, secret: str) -> Reply:
        reply = super().attach(owner, secret)
        self.attached.set()
        assert self.answered.wait(20)
        return reply


def test_what_an_earlier_connection_asks_for_while_a_later_one_takes_over_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are connected to the same process, and the earlier one asks all the time: its client is gone, and that was not noticed yet."""
    monkeypatch.setattr(Speaker, "voices", lambda self: (VOICE,))
    here = SlowToAttach(Settings())
    try:
        session = here.begun()
        here.answered.clear()
        here.attached.clear()
        later = threading.Thread(target=session.attach)
        later.start()
        assert here.attached.wait(20)
        assert session.produce(0.25) == []
        here.answered.set()
        later.join(20)
        assert not session.closed
        assert session.take(At(), Sound(rustle(0.6).tobytes()))
        assert until(session, "speaking")
    finally:
        here.server.close()


def test_one_that_is_over_makes_room_at_once(here: Here) -> None:
    """Its process ends a moment later, and counts until then."""
    session = here.begun()
    assert here.server.left_s("me") is None
    session.close()
    assert here.server.left_s("me") == float("inf")
    assert here.server.left_s("another") is None


def test_it_is_held_by_one_at_a_time_and_missed_pieces_come_again(here: Here) -> None:
    one = here.begun()
    first = one.produce(0.25) + one.produce(0.25) + one.produce(0.25)
    other = RemoteSession.found(here, "me", "an id", "a secret")
    assert other is not None
    other.attach()
    assert (one.produce(0.25), one.closed) == ([], True)
    one.close()
    assert not other.closed, "who held it before cannot end it"
    missed = other.missed(sequences(first)[0], -1)
    assert not missed.gap
    assert sequences(missed.messages) == sequences(first)[1:]
    assert sequences(other.produce(0.5)) == [sequences(first)[-1] + 1]
    other.close()
    assert here.server.over


def test_it_is_nobody_elses(here: Here) -> None:
    session = here.begun()
    assert RemoteSession.found(here, "another", "an id", "a secret") is None
    assert RemoteSession.found(here, "me", "an id", "another secret") is None
    assert here.server.left_s("another") is None
    assert session.produce(0.25), "whoever holds it notices nothing"
    session.close()
    with pytest.raises(UnknownLiveSession):
        session.attach()


def test_texts_are_synthesised_where_it_is_drawn_and_reports_come_back(here: Here) -> None:
    session, reports = here.begun(), []
    sounds: list[float] = []
    session.say(SayRequest(TEXT, id="x"), reports.append, lambda: sounds.append(time.monotonic()))
    messages = until(session, "said")
    said = next(message.data for message in messages if isinstance(message, LiveEvent) and message.kind == "said")
    assert (said["id"], said["text"], said["complete"]) == ("x", TEXT, True)
    assert reports == [said]
    assert len(sounds) == 1
    with pytest.raises(TextError):
        session.say(SayRequest(""), reports.append)
    session.say(SayRequest(TEXT, id="y"), reports.append)
    until(session, "saying")
    session.interrupt()
    assert [report["id"] for report in reports] == ["x", "y"], "known when the interrupt returns"
    assert not reports[1]["complete"]


def test_a_text_that_fails_as_nobody_foresaw_ends(
    here: Here, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*request: Any) -> Iterator[Speech]:
        raise RuntimeError(TEXT)
        yield

    monkeypatch.setattr(here.speaking, "speak", failing)
    session, reports = here.begun(), []
    session.say(SayRequest(TEXT, id="x"), reports.append)
    failed = next(message for message in until(session, "say_failed") if isinstance(message, LiveEvent) and message.kind == "say_failed")
    assert failed.data["id"] == "x"
    assert "RuntimeError" in caplog.text
    assert TEXT not in caplog.text
    wait_until(lambda: session.produce(0.05) and reports)
    assert not reports[0]["complete"]


def test_a_text_goes_on_with_another_renderer(here: Here) -> None:
    session, reports = here.begun(), []
    session.say(SayRequest(TEXT), reports.append)
    messages = until(session, "saying")
    lost = here.link.renderer
    here.threads.kill = lambda answers: here.link.renderer == lost
    messages += until(session, "said")
    assert reports[0]["complete"]
    saying = [message.data["text"] for message in messages if isinstance(message, LiveEvent) and message.kind == "saying"]
    assert saying == list(SENTENCES), "each sentence once"
    assert sequences(messages) == list(range(len(sequences(messages))))


def test_packets_are_for_watchers_alone_and_key_frames_come_when_asked_for(here: Here) -> None:
    away = Here(Settings(), LiveRequest(output="packets"))
    session, seen = away.begun(), list[Any]()
    session.watchers.append(seen.append)
    assert [message for _ in range(5) for message in session.produce(0.25)] == []
    session.request_keyframe()
    session.hear(rustle(0.3), 16_000)
    session.end_of_utterance()
    until(session, "idle")
    packets = [each for each in seen if isinstance(each, LivePacket)]
    assert [packet.key for packet in packets[:5]] == [True, False, False, False, False]
    assert any(packet.key for packet in packets[5:10])
    assert sum(packet.speaking for packet in packets) == 8
    away.server.close()


def test_its_process_loads_nothing_that_draws_or_encodes() -> None:
    """There is one for each session."""
    program = "import core.service.shared.session_server, manager.kokoro, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "core.streaming.live" in loaded
    assert not {"av", "cv2", "PIL", "onnxruntime", "torch", "core.studio"} & set(loaded)


def test_it_ends_when_nobody_comes_back(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    session = here.begun()
    assert not here.server.over
    monkeypatch.setattr(session_server, "KEPT_S", 0.2)
    wait_until(lambda: here.server.over)
    session.produce(0.0)
    assert not here.server.over, "whoever asks for it is there"
    here.server.close()
    here.threads.threads[0].join(5)
    assert not here.threads.threads[0].is_alive()


def test_one_whose_ingress_ended_before_it_was_opened_ends_soon(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts among its owner's, who could begin no other."""
    monkeypatch.setattr(session_server, "KEPT_S", 0.2)
    assert not here.server.over
    wait_until(lambda: here.server.over)


def test_one_that_takes_long_to_open_is_kept(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_server, "KEPT_S", 0.5)
    over: list[bool] = []

    def slowly(attempt: int) -> None:
        time.sleep(0.8)
        over.append(here.server.over)

    here.threads.refuse = slowly
    reply = here.open("me")
    assert reply.error is None
    assert [*over, here.server.over] == [False, False]
    wait_until(lambda: here.server.over)


class Over:
    """A Line to a session that is over by the time it is attached. Also the LiveSource that finds it. n_found: how often."""

    elsewhere = True
    n_found = 0

    def attach(self, owner: str, secret: str) -> Reply:
        return Reply(None, as_values(UnknownLiveSession(30)), 0, 0, True, 0.0, ())

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        return Reply(None, None, 0, 0, True, 0.0, ())

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        return

    def open(self, *request: Any) -> RemoteSession:
        raise NotImplementedError

    def find(self, session_id: str, secret: str, owner: str) -> RemoteSession:
        self.n_found += 1
        return RemoteSession(self, owner, LiveRequest(), session_id, secret, Begun("lite", {}, {}))


def test_one_that_is_found_and_ends_before_it_is_held_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would count for ever, and in the end nobody could begin one."""
    monkeypatch.setattr(live_sessions, "RESUME_S", 0.2)
    studio: Any = None

    async def resumed() -> None:
        sessions = LiveSessions(studio, Over(), RateLimit(10, "starts"), total=2, each=1, longest_s=100.0)
        peer: Any = None
        with pytest.raises(UnknownLiveSession):
            await sessions.resume("an id", "a secret", "me", None, peer)
        deadline = time.monotonic() + 10
        while sessions.n_sessions:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    asyncio.run(resumed())


def test_one_that_has_no_place_here_stays_with_whoever_holds_it_elsewhere() -> None:
    studio: Any = None
    peer: Any = None

    async def resumed() -> None:
        source = Over()
        sessions = LiveSessions(studio, source, RateLimit(10, "starts"), total=0, each=1, longest_s=100.0)
        with pytest.raises(TooMany):
            await sessions.resume("an id", "a secret", "me", None, peer)
        assert source.n_found == 0

    asyncio.run(resumed())
