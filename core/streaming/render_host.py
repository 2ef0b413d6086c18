"""Renders a live session of another process: does the commands that come over its link (render_link.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core.request import Controls
from core.streaming.engine_renderer import EngineRenderer
from core.streaming.load import FrameMeter
from core.streaming.render_link import OPENED, UNANSWERED, Answer, Command
from core.types import Frame, Samples

Exchange = Callable[[Sequence[Answer]], Sequence[Command] | None]
"""`RenderLink.exchange` of this renderer. Raises whatever a connection raises."""


class RenderHost:
    """One session's. renderer, meter: its own. lead_s: as in LiveOptions. others: what else is done, by name; on_close ends that."""

    def __init__(
        self, renderer: EngineRenderer, meter: FrameMeter, lead_s: float, others: Mapping[str, Callable[..., Any]],
        on_close: Callable[[], None],
    ) -> None:  # fmt: skip
        self._lead_s = lead_s
        self._on_close = on_close
        self._renderer, self._meter = renderer, meter
        self._coming: deque[Iterator[Frame]] = deque()
        self._drawn: dict[int, Frame] = {}
        own = (self.next, self.push, self.flush, self.idle, self.interrupt, self.renew, self.picture, self.jpeg, self.segment, self.packet)
        self._known: Mapping[str, Callable[..., Any]] = {
            **{each.__name__: each for each in own},
            "expect": renderer.expect,
            "check_controls": renderer.check_controls,
            "set_controls": renderer.set_controls,
            **others,
        }

    def render(self, exchange: Exchange, goes_on: Callable[[], bool]) -> None:
        """Until the session is over, or this is to stop."""
        answers: list[Answer] = [(OPENED, self._renderer.facts)]
        while goes_on() and (commands := exchange(answers)) is not None:
            answers = [self._answer(command) for command in commands]

    def close(self) -> None:
        self._on_close()
        self._meter.close()
        self._renderer.interrupt()
        self._renderer.close()

    def _answer(self, command: Command) -> Answer:
        try:
            return command.number, self._known[command.name](*command.arguments)
        except Exception as error:
            if command.number == UNANSWERED:
                raise
            return command.number, error

    # ---- commands: as of LiveRenderer

    def push(self, samples: Samples, begins: bool) -> None:
        if begins:
            self._coming.clear()
        self._coming.append(self._renderer.push(samples))

    def flush(self) -> None:
        self._coming.append(self._renderer.flush())

    def idle(self, n_frames: int) -> None:
        self._coming.clear()
        self._coming.append(self._renderer.idle(n_frames))

    def interrupt(self) -> None:
        self._coming.clear()
        self._renderer.interrupt()

    def renew(self, controls: Controls, due_in_s: float) -> None:
        with self._renderer.in_time(due_in_s):
            self._renderer.renew(controls)

    def next(self, name: int, due_in_s: float) -> bool:
        """Draws the next frame, known by that name from then on. False: there is none."""
        self._meter.begin()
        with self._meter.working(), self._renderer.in_time(due_in_s):
            frame = self._frame()
        if frame is None:
            return False
        self._drawn[name] = frame
        self._meter.made(max(0.0, -due_in_s - self._lead_s))
        return True

    def picture(self, name: int) -> Frame:
        return self._taken(name)

    def jpeg(self, name: int) -> bytes:
        with self._meter.working():
            return self._renderer.jpeg(self._taken(name))

    def segment(self, frames: Sequence[tuple[int, Samples]], key: bool, final: bool) -> Any:
        with self._meter.working():
            return self._renderer.segment([(self._taken(name), sound) for name, sound in frames], key, final)

    def packet(self, name: int, sound: Samples, key: bool) -> tuple[bytes, bytes]:
        with self._meter.working():
            return self._renderer.packet(self._taken(name), sound, key)

    def _taken(self, name: int) -> Frame:
        """The frame; those before it are never wanted."""
        frame = self._drawn.pop(name)
        for older in [each for each in self._drawn if each < name]:
            del self._drawn[older]
        return frame

    def _frame(self) -> Frame | None:
        while self._coming:
            frame = next(self._coming[0], None)
            if frame is not None:
                return frame
            self._coming.popleft()
        return None
