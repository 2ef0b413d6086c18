"""An engine of several replicas: people are spread over them, and stay where they are."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from core.engines.base import Registration
from core.engines.lite import LiteEngine
from core.engines.replicas import ReplicatedEngine, devices_of
from core.errors import Cancelled, OptionError
from core.request import Controls, Framing, RenderOptions
from core.types import Audio, Photo

SMALL = RenderOptions(size=96)


class Named(LiteEngine):
    """The lite engine, as on a device of its own."""

    def __init__(self, revision: str, limitation: str = "") -> None:
        super().__init__()
        self._revision, self.limitation = revision, limitation
        self.sessions, self.closed = 0, False

    def session(self, registration: Registration, controls: Controls, options: RenderOptions):  # noqa: ANN201 - as there
        self.sessions += 1
        return super().session(registration, controls, options)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def two() -> list[Named]:
    return [Named("1"), Named("1")]


def test_people_are_spread_and_their_sessions_stay(two: list[Named], portrait: Photo, short: Audio, lite: LiteEngine) -> None:
    engine = ReplicatedEngine(two)
    people = [engine.register(portrait, Framing()) for _ in range(4)]
    assert [person.replica is two[0] for person in people] == [True, False, True, False]
    for person in (people[1], people[1], people[3]):
        session = engine.session(person, Controls(), SMALL)
        found = [*session.push(short.samples), *session.flush()]
    assert [replica.sessions for replica in two] == [0, 3]
    plain = lite.session(lite.register(portrait, Framing()), Controls(), SMALL)
    assert np.array_equal(np.stack(found), np.stack([*plain.push(short.samples), *plain.flush()]))
    assert (people[0].nbytes > 0, people[0].face_box) == (True, people[1].face_box)
    assert engine.frame_cost(people[0], SMALL) is not None


def test_who_is_forgotten_makes_room(two: list[Named], portrait: Photo) -> None:
    engine = ReplicatedEngine(two)
    first, second = (engine.register(portrait, Framing()) for _ in range(2))
    del second
    gc.collect()
    assert engine.register(portrait, Framing()).replica is two[1]
    assert first.replica is two[0]


def test_people_who_come_together_are_spread_too(two: list[Named], portrait: Photo) -> None:
    engine, both = ReplicatedEngine(two), threading.Barrier(2)
    found: list[Registration] = []

    def register() -> None:
        found.append(engine.register(portrait, Framing(), lambda done, total: both.wait(60) if not found and done == 0 and total else None))

    threads = [threading.Thread(target=register) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(person.replica) for person in found} == {id(replica) for replica in two}


def test_a_registration_that_fails_is_not_counted(two: list[Named], portrait: Photo) -> None:
    engine = ReplicatedEngine(two)

    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        engine.register(portrait, Framing(), stop)
    assert engine.register(portrait, Framing()).replica is two[0]


def test_who_was_saved_is_restored_on_any(two: list[Named], portrait: Photo) -> None:
    engine = ReplicatedEngine(two)
    first = engine.register(portrait, Framing())
    restored = engine.restore(engine.save(first), lambda: portrait)
    assert restored.replica is two[1]
    assert restored.face_box == first.face_box
    with pytest.raises(TypeError, match="was not made by an engine of replicas"):
        engine.session(first.registration, Controls(), SMALL)


def test_what_is_said_of_all(portrait: Photo) -> None:
    engines = [Named("1", "slow"), Named("2", "slow"), Named("1")]
    engine = ReplicatedEngine(engines)
    assert engine.limitation == "slow"
    assert engine.revision not in ("1", "2")
    assert engine.revision == ReplicatedEngine([Named("2"), Named("1")]).revision
    assert ReplicatedEngine([Named("1"), Named("1")]).revision == "1"
    engine.verify(portrait, Framing(), Controls(), SMALL)
    with pytest.raises(OptionError):
        engine.verify_controls(Controls(emo=4), SMALL)
    engine.warmup()
    engine.close()
    assert all(each.closed for each in engines)


def test_devices_by_name() -> None:
    assert devices_of(None) == [None]
    assert devices_of("cuda:1") == ["cuda:1"]
    assert devices_of("cuda:0, cuda:1") == ["cuda:0", "cuda:1"]
    for wrong in ("cuda:0,", "cuda:0,cuda:0"):
        with pytest.raises(OptionError, match="The devices are"):
            devices_of(wrong)
