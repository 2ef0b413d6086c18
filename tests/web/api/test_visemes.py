"""Visemes over HTTP: of jobs, where they are asked for; and of a live session, numbered among its other events."""

from __future__ import annotations

import httpx
import pytest

from core.visemes.names import OCULUS
from core.visemes.weights import DRIVEN
from tests.support.live_caller import call, run, speech
from tests.support.paths import SPEECH
from tests.support.serving import Serving, error, form, wait_for


def ended(client: httpx.Client, job: str) -> dict[str, object]:
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] in ("done", "failed"))
    told: dict[str, object] = client.get(f"/jobs/{job}").json()
    return told


def test_a_job_that_is_asked_for_them_says_where_they_are(client: httpx.Client) -> None:
    asked = form(SPEECH, options='{"size": 64, "visemes": true}')
    job = ended(client, client.post("/generate?async=1", **asked).json()["id"])
    assert job["visemes"] == f"/jobs/{job['id']}/visemes"
    answer = client.get(str(job["visemes"]))
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["arkit"]["names"] == list(DRIVEN)
    assert len(told["arkit"]["frames"]) == job["info"]["frames"]  # type: ignore[index]
    assert {event["viseme"] for event in told["oculus"]} <= set(OCULUS)
    again = ended(client, client.post("/generate?async=1", **form(SPEECH, options='{"size": 64, "visemes": true}')).json()["id"])
    assert client.get(str(again["visemes"])).json() == told, "also where the video had been made before"


def test_a_job_without_them_says_so(client: httpx.Client) -> None:
    job = ended(client, client.post("/generate?async=1", **form(SPEECH, options='{"size": 64}')).json()["id"])
    assert job["visemes"] is None
    assert "option visemes" in error(client.get(f"/jobs/{job['id']}/visemes"), 409)["hint"]


def test_a_stream_refuses_them(client: httpx.Client) -> None:
    refused = error(client.post("/stream", **form(SPEECH, options='{"size": 64, "visemes": true}')), 422)
    assert "stream" in refused["message"]


def test_a_live_session_tells_them_in_its_events(server: Serving, token: str, never_too_busy: None) -> None:
    async def visit() -> None:
        async with call(server, token) as caller:
            await caller.say(type="start", options={"size": 64, "visemes": True})
            assert (await caller.event("ready"))["visemes"]["arkit"] == list(DRIVEN)
            await caller.socket.send(speech(1.0))
            await caller.say(type="end")
            await caller.event("idle")
            await caller.until(lambda: [e for e in caller.events if e["type"] == "visemes"][-1]["frames"][-1]["oculus"] == "sil")
            events = [event for event in caller.events if "event" in event]
            assert [event["event"] for event in events] == list(range(len(events)))
            assert sum(len(event["frames"]) for event in events if event["type"] == "visemes") >= 26

    run(visit)


@pytest.mark.parametrize("value", ["1", '"yes"'])
def test_it_is_true_or_false(client: httpx.Client, value: str) -> None:
    error(client.post("/generate", **form(SPEECH, options=f'{{"size": 64, "visemes": {value}}}')), 422)
