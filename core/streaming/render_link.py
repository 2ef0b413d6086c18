"""The commands that a live session gives whoever renders it in another process, and their answers.

Whoever renders calls `exchange` in a loop, with the answers to the commands that it got last; so it needs no address of its own, and is
gone when its calls stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SILENT_S = 3.0
"""After so long without a sign of a renderer that was asked for something it is taken for lost."""
KEEP_S = 1.0
"""How long an exchange waits for commands at most."""
OPENED = 0
"""Number of the answer that a renderer begins with: what it has opened, or why not."""
UNANSWERED = -1


class RendererLost(Exception):
    """Nobody renders (any more)."""


@dataclass(frozen=True)
class Command:
    """number: of its answer; UNANSWERED where nobody waits for one."""

    number: int
    name: str
    arguments: tuple[Any, ...]


Answer = tuple[int, Any]
"""The number of a command, and what it gave, or the exception that it raised."""


class RenderLink:
    """The session's end. Thread-safe. Renderers follow one another; each has a number, and what an earlier one says is not heard."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._renderer = 0
        self._commands: list[Command] = []
        self._answers: dict[int, Any] = {}
        self._last = OPENED
        self._lost, self._closed = True, False
        self._heard_s = 0.0

    @property
    def renderer(self) -> int:
        """The number of the one that renders."""
        return self._renderer

    # ---- the session

    def begin(self) -> int:
        """Another renderer is awaited. Its number."""
        with self._changed:
            self._renderer += 1
            self._commands, self._answers = [], {}
            self._lost, self._heard_s = False, time.monotonic()
            self._changed.notify_all()
            return self._renderer

    def opened(self, timeout_s: float) -> Any:
        """What the renderer has opened. Raises RendererLost, or why it could not."""
        return self._awaited(OPENED, timeout_s)

    def tell(self, name: str, *arguments: Any) -> None:
        """Is done before what is asked later. Nobody is told where it fails, but by what is asked then."""
        with self._changed:
            self._commands.append(Command(UNANSWERED, name, arguments))

    def ask(self, name: str, *arguments: Any) -> Any:
        """Waits for the answer. Raises RendererLost, or what the command raised."""
        with self._changed:
            if self._lost:
                raise RendererLost
            self._last += 1
            number = self._last
            self._commands.append(Command(number, name, arguments))
            self._heard_s = time.monotonic()
            self._changed.notify_all()
        return self._awaited(number, SILENT_S)

    def lost(self, renderer: int) -> None:
        """That one is gone."""
        with self._changed:
            if renderer == self._renderer:
                self._lost = True
                self._changed.notify_all()

    def close(self) -> None:
        """The session is over."""
        with self._changed:
            self._lost = self._closed = True
            self._changed.notify_all()

    def _awaited(self, number: int, timeout_s: float) -> Any:
        with self._changed:
            renderer = self._renderer
            while number not in self._answers:
                left_s = self._heard_s + timeout_s - time.monotonic()
                if self._lost or renderer != self._renderer or left_s <= 0:
                    self._lost = self._lost or renderer == self._renderer
                    raise RendererLost
                self._changed.wait(left_s)
            answer = self._answers.pop(number)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    # ---- whoever renders

    def exchange(self, renderer: int, answers: Sequence[Answer]) -> list[Command] | None:
        """The next commands; none after some time without. None: the session is over, or somebody else renders it."""
        until_s = time.monotonic() + KEEP_S
        with self._changed:
            if renderer == self._renderer:
                self._heard_s = time.monotonic()
                self._answers.update((number, answer) for number, answer in answers if number != UNANSWERED)
                self._changed.notify_all()
            while renderer == self._renderer and not self._lost:
                if any(command.number != UNANSWERED for command in self._commands):
                    commands, self._commands = self._commands, []
                    return commands
                if (left_s := until_s - time.monotonic()) <= 0:
                    commands, self._commands = self._commands, []
                    return commands
                self._changed.wait(left_s)
            return None
