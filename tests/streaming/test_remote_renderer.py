"""Live sessions whose frames are drawn and encoded elsewhere, and what is left of them when that is lost in the middle."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import BusyError, EngineUnavailable, OptionError
from core.request import Controls
from core.streaming import LiveEvent, LiveOptions, LiveOutput, LiveSegment, LiveSession
from core.streaming.remote_renderer import ATTEMPTS, MOST_LOST, RemoteRenderer
from core.streaming.render_link import OPENED, RenderLink
from tests.support.live_stage import Stage, rustle
from tests.support.render_threads import RenderThreads
from tests.support.streams import Clock, pictures, sound

SEGMENTS = LiveOptions(lead_s=0)


class Away:
    """A session rendered on threads of others, and everything it gave."""

    def __init__(self, options: LiveOptions = SEGMENTS) -> None:
        self.clock, self.link = Clock(), RenderLink()
        self.threads = RenderThreads(self.link, options)
        self.renderer = RemoteRenderer(self.threads, self.link, options)
        self.live = LiveSession(self.renderer, options, clock=self.clock)
        self.out: list[LiveOutput] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            while (output := self.live.next_output()) is not None:
                self.out.append(output)

    def lose(self) -> None:
        """The one that renders now, before it answers again."""
        lost = self.link.renderer
        self.threads.kill = lambda answers: self.link.renderer == lost

    @property
    def data(self) -> bytes:
        return b"".join(output.segment.data for output in self.out if isinstance(output, LiveSegment))

    @property
    def events(self) -> list[str]:
        return [output.kind for output in self.out if isinstance(output, LiveEvent)]


def spoken(away: Away | Stage) -> None:
    away.run(0.5)
    away.live.feed(rustle(2.0), 16_000)
    away.live.end_of_utterance()
    away.run(3.0)


def colours(data: bytes) -> list[tuple[int, ...]]:
    return [tuple(map(int, frame.to_ndarray(format="rgb24")[8, 8])) for frame in pictures(data)]


def test_what_is_rendered_elsewhere_is_the_same_to_the_last_byte() -> None:
    here, away = Stage(SEGMENTS), Away()
    spoken(here)
    spoken(away)
    assert away.data == here.data
    assert away.events == here.events
    away.live.close()
    away.threads.threads[0].join(5)
    assert not away.threads.threads[0].is_alive()


@pytest.mark.parametrize("at_s", [0.3, 0.7, 1.1, 1.5, 2.5, 3.0])  # at rest, as speech begins, in it, as it ends, and after it
def test_a_renderer_that_is_lost_is_followed_by_another_and_nothing_is_missing(at_s: float) -> None:
    here, away = Stage(SEGMENTS), Away()
    spoken(here)
    away.run(min(at_s, 0.5))
    if at_s < 0.5:
        away.lose()
        away.run(0.5 - at_s)
    away.live.feed(rustle(2.0), 16_000)
    away.live.end_of_utterance()
    if at_s >= 0.5:
        away.run(at_s - 0.5)
        away.lose()
    away.run(3.0 - max(0.0, at_s - 0.5))
    assert len(away.threads.openings) == 2
    assert away.renderer.n_lost == 1
    assert [frame.pts for frame in pictures(away.data)] == [frame.pts for frame in pictures(here.data)], "one stream, every frame once"
    red = [colour[0] for colour in colours(away.data)]
    assert np.abs(np.subtract(red, [colour[0] for colour in colours(here.data)])).max() <= 8, "each frame has its own sound's loudness"
    heard, expected = sound(away.data)[0], sound(here.data)[0]
    assert len(heard) == len(expected)
    assert np.abs(heard - expected).max() < 0.03, "not a sample is missing, and there is no click"
    assert away.events == here.events


def test_controls_and_refusals_come_through_and_go_along() -> None:
    away = Away()
    away.run(0.2)
    with pytest.raises(OptionError, match="does not honour blink"):
        away.live.set_controls(Controls(blink=0.5))
    away.live.set_controls(Controls(mouth=0.5))
    away.run(0.2)
    away.lose()
    away.run(0.5)
    assert away.threads.openings[-1].controls == Controls(mouth=0.5)


def test_an_interrupt_is_heeded_though_the_renderer_is_lost_with_it() -> None:
    away = Away()
    away.live.feed(rustle(5.0), 16_000)
    away.run(1.0)
    away.lose()
    away.live.interrupt()
    before = len(away.out)
    away.run(1.0)
    assert not any(output.speaking for output in away.out[before:] if isinstance(output, LiveSegment))
    away.live.feed(rustle(1.0), 16_000)
    away.live.end_of_utterance()
    away.run(2.0)
    assert away.events[-2:] == ["speaking", "idle"]


def test_who_is_busy_is_passed_over_and_nobody_left_is_said() -> None:
    away = Away()
    away.threads.refuse = lambda attempt: BusyError("Busy.") if attempt < 2 else None
    away.lose()
    away.run(0.5)
    assert [opening.attempt for opening in away.threads.openings] == [0, 0, 1, 2]
    away.threads.refuse = lambda attempt: BusyError("All are busy.")
    away.lose()
    with pytest.raises(BusyError, match="All are busy"):
        away.run(0.5)
    assert away.live.closed
    assert len(away.threads.openings) == 4 + ATTEMPTS


def test_a_session_that_ends_whoever_draws_it_is_ended() -> None:
    """And does not take one machine after the other along for hours."""
    away = Away()
    away.run(0.2)
    away.threads.kill = lambda answers: all(number != OPENED for number, _ in answers)
    with pytest.raises(EngineUnavailable, match="ended while they drew this") as ended:
        away.run(1.0)
    assert ended.value.code == "crashes"
    assert away.live.closed
    assert len(away.threads.openings) == 1 + MOST_LOST


def test_an_engine_that_fails_elsewhere_ends_the_session_with_its_error() -> None:
    away = Away()

    def fail() -> None:
        raise EngineUnavailable("The device is gone.")

    away.run(0.2)
    away.threads.sessions[0].before_frame = fail
    away.live.feed(rustle(1.0), 16_000)
    with pytest.raises(EngineUnavailable, match="The device is gone"):
        away.run(1.0)
    assert away.live.closed


def test_packets_and_pictures_are_made_elsewhere_too() -> None:
    for output in ("packets", "pictures"):
        away, here = Away(LiveOptions(output=output, lead_s=0)), Stage(LiveOptions(output=output, lead_s=0))  # type: ignore[arg-type]
        away.run(0.4)
        here.run(0.4)
        for made, expected in zip(away.out[1:], here.out[1:], strict=True):
            field = "picture" if output == "packets" else "data"
            assert getattr(made, field) == getattr(expected, field)
