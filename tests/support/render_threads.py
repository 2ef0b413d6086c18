"""Renderers of a live session that stand for other processes: each on a thread, reached by the link alone, and lost when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from core.request import Controls, RenderOptions
from core.service.shared.remote_speaker import SpeechHost
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.streaming.engine_renderer import EngineRenderer
from core.streaming.load import FrameMeter
from core.streaming.outputs import LiveOptions
from core.streaming.remote_renderer import Opening
from core.streaming.render_host import RenderHost
from core.streaming.render_link import OPENED, Answer, Command, RenderLink
from tests.support.pickled import pickled
from tests.support.streams import FakeEngine, FakeSession, free_turn, prepared_run


class Killed(Exception):
    """What a process that is killed does not say."""


class RenderThreads:
    """A RendererSource over the fake engine. refuse: by attempt, what an opening is refused with. kill: is asked before each exchange.
    speech: what a renderer speaks texts with.
    """

    def __init__(self, link: RenderLink, options: LiveOptions) -> None:
        self._link, self._options = link, options
        self.refuse: Callable[[int], Exception | None] = lambda attempt: None
        self.kill: Callable[[Sequence[Answer]], bool] = lambda answers: False
        self.speech: Callable[[int], SpeechHost] = lambda renderer: SpeechHost(Speaker(Settings(), None), lambda *piece: False)
        self.openings: list[Opening] = []
        self.sessions: list[FakeSession] = []
        self.threads: list[threading.Thread] = []

    def begin(self, opening: Opening) -> None:
        self.openings.append(opening)
        self.threads.append(threading.Thread(target=self._render, args=(opening,), daemon=True))
        self.threads[-1].start()

    def _render(self, opening: Opening) -> None:
        def exchange(answers: Sequence[Answer]) -> list[Command] | None:
            if self.kill(answers):
                raise Killed
            commands: Any = self._link.exchange(opening.renderer, pickled(answers))
            return None if commands is None else pickled(commands)

        error = self.refuse(opening.attempt)
        if error is not None:
            self._link.exchange(opening.renderer, [(OPENED, error)])
            return
        session = FakeSession(opening.controls or Controls())
        self.sessions.append(session)
        metadata = None if opening.before is None else opening.before.metadata
        engine, options = FakeEngine(), RenderOptions()
        renderer = EngineRenderer(
            prepared_run(engine, options), session, options, free_turn, self._options, FrameMeter(None), opening.place, metadata
        )
        speech = self.speech(opening.renderer)
        host = RenderHost(
            renderer, FrameMeter(None), self._options.lead_s, {"speak": speech.speak, "hush": speech.hush}, speech.close
        )
        try:
            host.render(exchange, lambda: True)
        except Killed:
            self._link.lost(opening.renderer)
        finally:
            host.close()
