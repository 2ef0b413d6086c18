"""Live sessions that lie in another process: who holds them, what comes back to whoever holds them, and when they end."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from core.errors import AudioError, OptionError, TextError
from core.service import live_sessions
from core.service.errors import UnknownLiveSession
from core.service.job_views import as_values
from core.service.live_messages import EndOfUtterance, LiveMessage, LiveRequest, MediaPiece, NewControls, SayRequest, Sound
from core.service.live_sessions import LiveSessions
from core.service.live_source import wanted
from core.service.quotas import RateLimit
from core.service.shared import session_server
from core.service.shared.remote_session import RemoteSession
from core.service.shared.remote_speaker import RemoteSpeaker, SpeechHost
from core.service.shared.session_server import Begun, Reply, SessionServer
from core.settings import Settings
from core.speech_synthesis.base import Speech, Voice
from core.speech_synthesis.speaker import Speaker
from core.streaming.outputs import LiveEvent, LivePacket
from core.streaming.render_link import RenderLink
from core.types import Word
from tests.support.live_stage import rustle
from tests.support.paths import ROOT
from tests.support.render_threads import RenderThreads

VOICE = Voice("a", "A", "en-US", 16_000, "", True)
SENTENCES = ("One two.", "And three.", "The last.")
TEXT = " ".join(SENTENCES)


class Speaking(Speaker):
    """Where sessions are drawn: half a second for each sentence. spoken: texts begun."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, None)
        self.spoken = 0

    def speak(self, *request: Any) -> Iterator[Speech]:  # type: ignore[override]
        self.spoken += 1
        for number, sentence in enumerate(SENTENCES):
            words = tuple(Word(word, 0.25 * i, 0.25 * (i + 1)) for i, word in enumerate(sentence.split()))
            yield Speech(rustle(0.5, seed=number).astype("float32") / 32768, 16_000, sentence, words)


class Here:
    """A session and what draws it, in this process; all that they tell each other is pickled. It is a Line to itself.

    n_calls: by name.
    """

    def __init__(self, settings: Settings, request: LiveRequest = LiveRequest()) -> None:  # noqa: B008 - frozen
        self.request = request
        self.n_calls: Counter[str] = Counter()
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.link, self.speaking = RenderLink(), Speaking(settings)
        self.speaker = RemoteSpeaker(settings, None, self.link)
        self.threads = RenderThreads(self.link, wanted(request, settings).live)
        self.threads.speech = lambda renderer: SpeechHost(
            self.speaking, lambda number, n, piece: self.speaker.take(renderer, number, n, piece)
        )
        self.server = SessionServer(settings, self.link, self.threads, self.speaker, RateLimit(1000, "texts"), 100.0)

    def begun(self, owner: str = "me") -> RemoteSession:
        reply = self.open(owner)
        assert reply.error is None
        session = RemoteSession(self, owner, self.request, "an id", "a secret", reply.value)
        session.attach()
        return session

    def open(self, owner: str) -> Reply:
        how = wanted(self.request, Settings())
        return self.server.open(owner, self.request, how.live, how.render.visemes, "an id", "a secret")

    def attach(self, owner: str, secret: str) -> Reply:
        return pickled(self.server.attach(owner, secret))

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        self.n_calls[name] += 1
        if name == "take":
            assert self._goes_on.wait(10)
        return pickled(self.server.call(holder, name, *pickled(arguments)))

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """What its client gives is on the way until the block ends."""
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        self.call(holder, name, *arguments)


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


class At:
    next_number = 0


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr(Speaker, "voices", lambda self: (VOICE,))
    here = Here(Settings())
    yield here
    here.server.close()


def until(session: RemoteSession, kind: str) -> list[LiveMessage]:
    """All that comes up to an event, with it."""
    messages: list[LiveMessage] = []
    deadline = time.monotonic() + 20
    while not any(isinstance(message, LiveEvent) and message.kind == kind for message in messages):
        assert time.monotonic() < deadline
        messages += session.produce(0.25)
    return messages


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


def test_small_chunks_that_wait_for_each_other_go_in_one_call(here: Here) -> None:
    session, at = here.begun(), At()
    sound = rustle(1.0).tobytes()
    chunks = [sound[i : i + 640] for i in range(0, len(sound), 640)]
    with here.held_up():
        for chunk in chunks:
            assert session.take(at, Sound(chunk, 0.0)), "whoever gives it waits for nobody"
        assert (at.next_number, session.received) == (len(chunks), 0)
    assert session.take(at, EndOfUtterance())
    assert session.received == at.next_number == len(chunks) + 1
    assert here.n_calls["take"] <= 3, "the first, all that came meanwhile, and the end"
    messages = until(session, "idle") + session.produce(0.5)
    pieces = [message for message in messages if isinstance(message, MediaPiece) and message.speaking]
    assert sum(round(piece.duration_s * 25) for piece in pieces) >= 25, "all of it was spoken, each chunk once"


def test_a_client_without_room_waits_and_who_leaves_with_it_counts_what_was_taken(here: Here) -> None:
    session, at = here.begun(), At()
    chunk = rustle(0.25).tobytes()
    with here.held_up():
        taken = 0
        while session.take(at, Sound(chunk, 0.0)):
            taken += 1
            assert taken < 100, "it is bounded"
        assert not session.take(at, EndOfUtterance()), "what comes later waits, too"
        session.settle()
    wait_until(lambda: session.received)
    assert session.received <= taken
    again = At()
    again.next_number = session.received
    assert session.take(again, Sound(chunk, 0.0)), "it goes on with the next one"
    session.settle()
    assert session.received == again.next_number


def test_what_is_wrong_with_a_small_chunk_is_told_with_the_next_and_counts(here: Here) -> None:
    wrong = Here(Settings(), LiveRequest(rate_hz=1000))
    session, at = wrong.begun(), At()
    with wrong.held_up():
        for _ in range(3):
            assert session.take(at, Sound(bytes(640), 0.0))
    with pytest.raises(AudioError, match="1000 samples"):
        session.take(at, EndOfUtterance())
    assert session.take(at, EndOfUtterance()), "it goes on"
    assert session.received == at.next_number == 4
    wrong.server.close()


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
    """A Line to a session that is over by the time it is attached. Also the LiveSource that finds it."""

    def attach(self, owner: str, secret: str) -> Reply:
        return Reply(None, as_values(UnknownLiveSession(30)), 0, 0, True, 0.0, ())

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        return Reply(None, None, 0, 0, True, 0.0, ())

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        return

    def open(self, *request: Any) -> RemoteSession:
        raise NotImplementedError

    def find(self, session_id: str, secret: str, owner: str) -> RemoteSession:
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


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
