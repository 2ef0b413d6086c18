"""How many render replicas the queue asks for, and the settings of the service over Ray Serve."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import BusyError, OptionError
from deploy.ray_ranks import AVATARS, LIVE, by_avatar
from deploy.ray_scaling import QueueWatch, RenderersWanted
from deploy.ray_settings import read_ray_settings


def wanted(replicas: int, **told: float) -> int:
    """As two replicas tell it, one of them a little later."""
    metrics = {name: {"a": value, "b": value} for name, value in told.items()}
    context: Any = SimpleNamespace(aggregated_metrics=metrics, target_num_replicas=replicas)
    return RenderersWanted(5.0)(context)[0]


@pytest.mark.parametrize(("told", "replicas"), [
    ({"waiting": 6, "running": 4, "waits_s": 9, "slots": 2}, 5),  # late: a place for each
    ({"waiting": 6, "running": 4, "waits_s": 2, "slots": 2}, 3),  # not late: as they are
    ({"waiting": 0, "running": 3, "waits_s": 0, "slots": 2}, 2),  # nobody waits: as many as are busy
    ({"waiting": 0, "running": 0, "waits_s": 0, "slots": 2}, 1),
    ({}, 3),  # nothing is known
    ({"waiting": 0, "running": 0, "waits_s": 0, "slots": 2, "live": 0.7}, 2),  # two replicas' live sessions are 1.4
    ({"waiting": 0, "running": 0, "waits_s": 0, "slots": 2, "live": 0.9}, 3),  # and 1.8, with little room left for more
    ({"live": 1.9}, 5),
])  # fmt: skip
def test_late_jobs_ask_for_places_and_idle_replicas_are_let_go(told: dict[str, float], replicas: int) -> None:
    assert wanted(3, **told) == replicas


def test_the_wait_of_a_job_is_counted_from_when_it_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, queued = [100.0], [["a"], ["a", "b"], ["b"], []]
    monkeypatch.setattr("deploy.ray_scaling.time", SimpleNamespace(monotonic=lambda: clock[0]))
    jobs: Any = SimpleNamespace(totals=lambda: {"running": 2, "waiting": 9}, waiting=lambda: queued.pop(0))
    watch = QueueWatch(jobs, 3)
    waits = []
    while queued:
        waits.append(watch.stats()["waits_s"])
        clock[0] += 10.0
    assert waits == [0.0, 10.0, 10.0, 0.0]


def test_nothing_is_told_while_the_database_is_away() -> None:
    def away() -> Any:
        raise BusyError("It is away.", "", code="jobs_away")

    jobs: Any = SimpleNamespace(totals=away, waiting=away)
    assert QueueWatch(jobs, 1).stats() == {}


@pytest.mark.parametrize(("settings", "problem"), [
    ({"REDIS_URL": ""}, "REDIS_URL"),
    ({"MAX_JOBS": "0"}, "MAX_JOBS"),
    ({"MIN_RENDERERS": "3", "MAX_RENDERERS": "2"}, "3 render replicas at least"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"JOBS_DATABASE": "postgresql://db/x", "REDIS_URL": "redis://cache/0", **settings}
    for name, value in given.items():
        if value:
            monkeypatch.setenv(f"TALKING_HEAD_{name}", value)
    with pytest.raises(OptionError, match=problem):
        read_ray_settings()


def test_an_ingress_makes_nothing_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_JOBS_DATABASE", "postgresql://db/x")
    monkeypatch.setenv("TALKING_HEAD_REDIS_URL", "redis://cache/0")
    settings = read_ray_settings()
    assert (settings.max_jobs, settings.of_ingress.max_jobs) == (1, 0)


def test_a_live_session_goes_to_who_has_its_avatar_and_then_to_who_has_the_fewest() -> None:
    def replica(name: str, live: int, *avatars: str) -> Any:
        return SimpleNamespace(name=name, routing_stats={LIVE: live, AVATARS: list(avatars)})

    new = SimpleNamespace(name="new", routing_stats={})  # has told nothing yet
    replicas = [replica("a", 3), replica("b", 2, "x"), replica("c", 1, "x", "y"), replica("d", 1), new]
    order = ["c", "b", "new", "d", "a"]
    assert [rank[0].name for rank in by_avatar(replicas, "x", 0)] == order
    assert [rank[0].name for rank in by_avatar(replicas, "x", 1)] == [*order[1:], "c"], "the best has refused it"
    assert [rank[0].name for rank in by_avatar(replicas, "x", 5)] == order, "all have: from the beginning"
