"""What a person who listens looks like is made once for all sessions, and is what each session would make."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from core.atomic_components.audio2motion import Audio2Motion
from core.clip_options import Longer
from core.engines import ditto_session
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_renderer import DittoRenderer
from core.engines.render_server import RenderServer
from core.optimization.kept_arrays import KeptArrays
from core.request import Controls, Framing, RenderOptions
from core.types import Frame, Photo
from tests.support.ditto_sessions import same, session, sound, spoken

ROWS = 4
"""Frames of motion that a pause goes forth and back over."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ditto_session, "IDLE_FRAMES", ROWS)


@pytest.fixture
def person(engine: DittoEngine, portrait: Photo) -> DittoRegistered:
    """Registered anew: nothing of it is known."""
    return engine.register(portrait, Framing())


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many frames were drawn and how many windows of motion were made, from here on."""
    done = {"drawn": 0, "windows": 0}
    draw, window = DittoRenderer._drawn_at_once, Audio2Motion._window

    def drawn(self: DittoRenderer, frames: Any) -> Any:
        done["drawn"] += len(frames)
        return draw(self, frames)

    def made(self: Audio2Motion, *given: Any) -> Any:
        done["windows"] += 1
        return window(self, *given)

    monkeypatch.setattr(DittoRenderer, "_drawn_at_once", drawn)
    monkeypatch.setattr(Audio2Motion, "_window", made)
    return done


def test_a_second_session_makes_nothing_anew(engine: DittoEngine, person: DittoRegistered, work: dict[str, int]) -> None:
    first = [frame.copy() for frame in session(engine, person).idle(4 * ROWS)]
    assert work["drawn"] == ROWS
    assert work["windows"] > 0
    assert all(same(first[i : i + 1], first[2 * ROWS + i : 2 * ROWS + i + 1]) for i in range(2 * ROWS))  # forth and back, twice
    before = dict(work)
    second: list[Frame] = []
    for frame in session(engine, person).idle(4 * ROWS):
        second.append(frame.copy())
        frame[...] = 0  # as a label or a mark is drawn into it
    assert same(first, second)
    assert same(first, list(session(engine, person).idle(4 * ROWS)))
    assert work == before
    pictures = ROWS * first[0].nbytes
    assert pictures <= person.source.listening.nbytes < pictures + 20_000
    assert person.nbytes > pictures


@pytest.mark.parametrize("values", [{"seed": 9}, {"emo": "happy"}, {"size": 64}])
def test_another_seed_option_or_size_is_another_person_listening(
    values: dict[str, Any], engine: DittoEngine, person: DittoRegistered, work: dict[str, int]
) -> None:
    list(session(engine, person).idle(ROWS))
    drawn = work["drawn"]
    list(session(engine, person, **values).idle(ROWS))
    assert work["drawn"] >= drawn + ROWS - 1  # the first is the source's own pose, whatever the motion


def test_how_a_video_is_played_decides_its_listening_too(engine: DittoEngine, clip: DittoRegistered, work: dict[str, int]) -> None:
    """Its eyes, frame by frame, are among the conditions of the motion."""
    played: list[tuple[Longer, bool]] = [("bounce", True), ("loop", True), ("loop", False), ("bounce", False)]
    for longer, more in played:
        before = work["windows"]
        list(engine.session(clip, Controls(), RenderOptions(longer=longer)).idle(1))
        assert (work["windows"] > before) == more, longer


def talk(engine: DittoEngine, person: DittoRegistered, left: int) -> Iterator[Frame]:
    """Pauses, of which one comes in pieces, and one after speech, left with some frames unread."""
    made = session(engine, person, online_mode=True, overlap_v2=70)
    for n in (3, 2 * ROWS + 2):
        yield from made.idle(n)
    yield from spoken(made, sound(640 * 2))
    yield from itertools.islice(made.idle(13 + left), 13)  # over the 10 frames in which the head moves there
    yield from made.idle(3)
    yield from spoken(made, sound(640))
    made.interrupt()


@pytest.mark.parametrize("how", ["one by one", "batches", "shared batches"])
def test_what_is_shown_is_the_same_with_and_without_what_was_kept(
    how: str, engine: DittoEngine, person: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "one by one":
        monkeypatch.setattr(engine, "placement", dataclasses.replace(engine.placement, batch=5, batches_at_once=2))
    if how == "shared batches":
        networks = engine._networks
        server = RenderServer(networks.warp.from_source, networks.decode, engine.placement.device, (1,))  # rounds alike in every batch
        monkeypatch.setattr(engine, "_server", server)
    left = 9 if how == "one by one" else 0  # in batches a reader would leave the next one as many as were drawn
    list(session(engine, person, online_mode=True, overlap_v2=70).idle(ROWS))
    kept = list(talk(engine, person, left))
    with monkeypatch.context() as patch:
        patch.setattr(KeptArrays, "get", lambda self, key: None)
        anew = list(talk(engine, person, left))
    assert len(anew) == 3 + 2 * ROWS + 2 + 2 + 13 + 3 + 1
    assert same(kept, anew)
    if how == "shared batches":
        server.close()
