"""What a client sends to a live session in another process: small chunks of sound go together where they wait, each counted once."""

from __future__ import annotations

import pytest

from core.errors import AudioError
from core.service.live_messages import EndOfUtterance, LiveRequest, MediaPiece, Sound
from core.settings import Settings
from tests.support.live_stage import rustle
from tests.support.session_elsewhere import At, Here, until, wait_until


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
