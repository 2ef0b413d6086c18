"""What the tests of streams share: reading what was made, as a pipe reads it, and an engine that shows and remembers what it heard."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from core.engines.base import Engine, RegisterCallback, Registration, Session, ignore_progress
from core.request import Controls, Framing, RenderOptions
from core.run_request import LoadedEngine, PreparedRun, RunRequest
from core.types import SAMPLES_PER_FRAME, Frame, Photo, Samples

SIDE = 64
LOOK_AHEAD = 1000


class Pipe:
    """Bytes that can only be read forward."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, n: int) -> bytes:
        return self._data.read(n)


def pictures(data: bytes) -> list[Any]:
    with av.open(Pipe(data)) as file:
        return list(file.decode(video=0))


def n_frames(data: bytes) -> int:
    """Of a file that is there as a whole."""
    with av.open(io.BytesIO(data)) as file:
        return sum(1 for _ in file.decode(video=0))


def sound(data: bytes) -> NDArray[np.float32]:
    """(channels, n), from time 0 on."""
    with av.open(Pipe(data)) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].pts == 0
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


class FakeRegistration(Registration):
    warnings = ()
    nbytes = 0
    face_box = (0.2, 0.2, 0.8, 0.8)


class FakeSession(Session):
    """A frame's red is how loud its sound is; its green counts frames; its blue is 255 where it listens. `heard` is all it was given."""

    look_ahead_samples = LOOK_AHEAD

    def __init__(self, controls: Controls) -> None:
        self.width = self.height = SIDE
        self.controls = controls
        self.heard: list[Samples] = []
        self.interrupts = 0
        self.before_frame = lambda: None
        self._samples = np.zeros(0, np.float32)
        self._n = self._shown = self._count = 0

    def push(self, samples: Samples) -> Iterator[Frame]:
        self.heard.append(samples)
        self._samples = np.concatenate((self._samples, samples))
        self._n += len(samples)
        while (self._shown + 1) * SAMPLES_PER_FRAME + self.look_ahead_samples <= self._n:
            yield self._frame()

    def flush(self) -> Iterator[Frame]:
        while self._shown * SAMPLES_PER_FRAME < self._n:
            yield self._frame()
        self._reset()

    def idle(self, n_frames: int) -> Iterator[Frame]:
        assert self._n == 0, "only between utterances"
        for _ in range(n_frames):
            yield self._paint(0, 255)

    def interrupt(self) -> None:
        self.interrupts += 1
        self._reset()

    def _reset(self) -> None:
        self._samples = np.zeros(0, np.float32)
        self._n = self._shown = 0

    def _frame(self) -> Frame:
        self.before_frame()
        part, self._samples = self._samples[:SAMPLES_PER_FRAME], self._samples[SAMPLES_PER_FRAME:]
        self._shown += 1
        return self._paint(round(255 * float(np.abs(part).max(initial=0))), 0)

    def _paint(self, red: int, blue: int) -> Frame:
        self._count += 1
        frame = np.empty((SIDE, SIDE, 3), np.uint8)
        frame[...] = red, self._count % 256, blue
        return frame


class FakeEngine(Engine):
    name = "fake"
    revision = "1"
    capabilities = frozenset({"mouth"})

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []

    def warmup(self) -> None: ...

    def register(self, photo: Any, framing: Framing, on_frame: RegisterCallback = ignore_progress) -> Registration:
        return FakeRegistration()

    def save(self, registration: Registration) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        raise NotImplementedError

    def restore(self, saved: Any, source: Any) -> Registration:
        raise NotImplementedError

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> FakeSession:
        self.sessions.append(FakeSession(controls))
        return self.sessions[-1]


def prepared_run(engine: Engine, options: RenderOptions) -> PreparedRun:
    request = RunRequest(Photo(np.zeros((2, 2, 3), np.uint8), ""), "local", options=options)
    return PreparedRun(LoadedEngine(engine, "it was asked for", request), FakeRegistration(), started_s=0.0, register_ms=0.0)


def free_turn(due_s: float | None = None) -> AbstractContextManager[None]:
    return nullcontext()


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.now_s += seconds
