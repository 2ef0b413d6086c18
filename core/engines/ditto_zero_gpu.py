"""Ditto where a GPU is lent call by call (core/zero_gpu.py): speech and photo are read on the CPU, the calls make motion and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from core.atomic_components.motion_stitch import StitchedFrame
from core.atomic_components.pose import Array
from core.engines.base import Engine, RegisterCallback, Registration, Saved, Session, ignore_progress
from core.engines.capabilities import DITTO
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_networks import load_lent_networks
from core.engines.ditto_options import SessionOptions, session_options
from core.engines.ditto_pieces import LentDevice, Part, Piece, PieceEnd
from core.engines.ditto_renderer import DittoRenderer
from core.errors import EngineUnavailable
from core.models.config import SetupDefaults
from core.optimization.gpu_optimization import place
from core.request import Avatar, Controls, Framing, RenderOptions
from core.types import FPS, Frame, Samples, Source
from core.zero_gpu import DurationRefused, GpuSpeed, QuotaExceeded, current_visitor

Call = Callable[[Piece, str], Iterator[Part]]
"""Animates a piece on the GPU, on account of the owner that is named."""
LEAST_FRAMES = 2 * FPS
"""A piece that is refused is not cut smaller than this."""
PIECE_BATCH = 10
"""Frames asked for at once: what a call yields together."""


def lend(near: DittoEngine, device: str) -> LentDevice:
    """The networks of an engine once more, on the device of the calls. Raises as `place`."""
    placement = place(device)
    return LentDevice(load_lent_networks(near.paths, placement, near.config.motion), placement)


class ZeroGpuDitto(Engine):
    """near: the engine on the CPU, which finds faces and hears speech; its motion and pictures are never used.

    call_s: the longest call to ask for. video_s: of the GPU, for one video. call: does it. compiled: what of it was compiled ahead of time.
    """

    name = "ditto"
    capabilities = DITTO - {"video"}

    def __init__(self, near: DittoEngine, call: Call, call_s: float, video_s: float, compiled: Sequence[str] = ()) -> None:
        self.near, self.call, self.call_s, self.video_s, self.compiled = near, call, call_s, video_s, tuple(compiled)
        self.speed = GpuSpeed()

    @property
    def revision(self) -> str:
        compiled = "".join(f".{name.replace(' ', '-')}" for name in self.compiled)  # rounds in other places
        return f"{self.near.revision}.lent{compiled}"

    @property
    def defaults(self) -> SetupDefaults:
        return self.near.defaults

    def warmup(self) -> None:
        self.near.warmup()

    def close(self) -> None:
        self.near.close()

    def verify(self, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
        super().verify(source, framing, controls, options)
        self.near.verify(source, framing, controls, options)

    def register(self, photo: Source, framing: Framing, on_frame: RegisterCallback = ignore_progress) -> DittoRegistered:
        return self.near.register(photo, framing, on_frame)

    def save(self, registration: Registration) -> Saved:
        return self.near.save(registration)

    def restore(self, saved: Saved, source: Callable[[], Source]) -> DittoRegistered:
        return self.near.restore(saved, source)

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> ZeroGpuSession:
        controls.verify(self.capabilities, self.name)
        options.verify()
        return ZeroGpuSession(self, registration, session_options(controls, options, self.defaults), options)


class ZeroGpuSession(Session):
    """One recording. Its pieces are as long as a call may take. Raises QuotaExceeded before anything is done where the recording is known
    to be too long, and between pieces where the visitor's quota ends.
    """

    takes_turns = False
    step_frames = PIECE_BATCH

    def __init__(self, engine: ZeroGpuDitto, registration: Registration, options: SessionOptions, render: RenderOptions) -> None:
        if not isinstance(registration, DittoRegistered):
            raise TypeError(f"a {type(registration).__name__} was not made by the ditto engine")
        near = engine.near
        self._engine, self._render, self._owner = engine, render, current_visitor.get()
        self._saved = engine.save(registration)
        self._key = _digest(self._saved)
        self._features = near.features(options.motion.online_mode)
        self._motion = near.motion(registration.source, options, self._features.silence, render.seed).detached()
        self._stitch = near.stitch(registration.source, options, render.seed).detached()
        renderer = DittoRenderer(registration.source, near.warp(registration.source), near.decode, near.placement, render)
        self.width, self.height, self.warnings = renderer.width, renderer.height, renderer.warnings
        self._steps, self._valid = options.motion.sampling_timesteps, options.motion.valid
        self._shown: StitchedFrame | None = None
        self._speaking = False
        self._heard: list[Array] = []
        self._reader: Generator[Frame, None, None] | None = None
        if options.stitch.N_d > 0:
            self._check(options.stitch.N_d)

    def push(self, samples: Samples) -> Iterator[Frame]:
        self._close_reader()
        if not self._speaking:
            self._speaking = True
            self._stitch.reset(self._shown)
            self._motion.reset(self._stitch.next_frame)
        return self._read(self._features.push(samples), ended=False)

    def flush(self) -> Iterator[Frame]:
        self._close_reader()
        return self._read(self._features.flush(), ended=True) if self._speaking else iter(())

    def idle(self, n_frames: int) -> Iterator[Frame]:
        raise EngineUnavailable("The ditto engine holds no live sessions on ZeroGPU.", "Use the lite engine.")

    def interrupt(self) -> None:
        self._close_reader()
        self._forget()

    def _forget(self) -> None:
        self._features.reset()
        self._heard, self._speaking = [], False

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, blocks: Iterable[Array], ended: bool) -> Iterator[Frame]:
        self._reader = self._frames(blocks, ended)
        return self._reader

    def _frames(self, blocks: Iterable[Array], ended: bool) -> Generator[Frame, None, None]:
        for block in blocks:
            self._heard.append(block)
            length = self._piece_frames()
            if sum(map(len, self._heard)) > length:  # not at once where they are equal: the last piece must not be empty
                features = np.concatenate(self._heard)
                self._heard = [features[length:]]
                yield from self._called(features[:length], ended=False)
        if ended:
            try:
                yield from self._called(np.concatenate([*self._heard, np.zeros((0, 1024), np.float32)]), ended=True)
            finally:
                self._forget()

    def _called(self, features: Array, ended: bool) -> Iterator[Frame]:
        """The frames of one call; of two, where one is refused for its length."""
        piece = self._piece(features, ended)
        parts = self._engine.call(piece, self._owner)
        began = False
        try:
            for part in parts:
                if isinstance(part, PieceEnd):
                    self._motion, self._stitch, self._shown = part.motion, part.stitch, part.shown or self._shown
                    self._engine.speed.took(part.seconds, piece.frames, piece.steps, piece.pixels)
                elif isinstance(part, Exception):
                    raise part
                else:
                    began = True
                    yield from part
            return
        except DurationRefused:
            if began or len(features) < 2 * LEAST_FRAMES:
                raise
        except QuotaExceeded as error:
            raise self._told(error) from error
        finally:
            if isinstance(parts, Generator):
                parts.close()
        self._engine.call_s = max(self._engine.call_s / 2, self._seconds(LEAST_FRAMES))
        half = len(features) // 2
        yield from self._called(features[:half], ended=False)
        yield from self._called(features[half:], ended=ended)

    # ---- how much that is

    def _piece(self, features: Array, ended: bool) -> Piece:
        frames, pixels = len(features), self.width * self.height
        steps = self._steps * self._windows(frames)
        return Piece(self._key, self._saved, self._render, self._motion, self._stitch, features, ended, frames, steps, pixels)

    def _windows(self, frames: int) -> int:
        """Of motion, at most, in a piece of so many frames."""
        return -(-frames // self._valid) + 1

    def _steps_per_frame(self) -> float:
        return self._steps / self._valid

    def _seconds(self, frames: int) -> float:
        return self._engine.speed.seconds(frames, self._steps * self._windows(frames), self.width * self.height)

    def _frames_in(self, seconds: float) -> int:
        """With a window more than the frames need, as pieces have it."""
        fit = self._engine.speed.frames_in(seconds, self._steps_per_frame(), self.width * self.height)
        while fit > 0 and self._seconds(fit) > seconds:
            fit -= max(1, fit // 50)
        return max(0, fit)

    def _piece_frames(self) -> int:
        return max(LEAST_FRAMES, self._frames_in(self._engine.call_s))

    def _check(self, frames: int) -> None:
        needed = self._needed(frames)
        if needed > self._engine.video_s:
            raise _too_long(needed, self._engine.video_s, self._fitting(self._engine.video_s))

    def _needed(self, frames: int) -> float:
        """Of the GPU in all: every piece has its own beginning."""
        length = self._piece_frames()
        whole, rest = divmod(frames, length)
        return whole * self._seconds(length) + (self._seconds(rest) if rest else 0.0)

    def _fitting(self, seconds: float) -> float:
        """Seconds of a recording for which `seconds` of the GPU are enough."""
        length = self._piece_frames()
        whole, rest = divmod(seconds, self._seconds(length))
        return (int(whole) * length + self._frames_in(rest)) / FPS

    def _told(self, error: QuotaExceeded) -> QuotaExceeded:
        """With what would fit, where it is known what is left."""
        left, wait = error.parameters.get("left_s"), str(error.parameters.get("wait", ""))
        if not isinstance(left, int | float):
            return error
        return _too_long(float(error.parameters.get("needed_s", 0) or 0), float(left), self._fitting(float(left)), wait)  # type: ignore[arg-type]


def _too_long(needed_s: float, left_s: float, fits_s: float, wait: str = "") -> QuotaExceeded:
    fits = int(fits_s)
    message = f"This needs about {round(needed_s)} seconds of the GPU, and {round(left_s)} are to be had."
    fitting, waiting = f"a recording of up to {fits} seconds would fit; " if fits >= 1 else "", f"there is more in {wait}; " if wait else ""
    told = f"{fitting}{waiting}the lite engine needs none"
    parameters = {"needed_s": round(needed_s), "left_s": round(left_s), "fits_s": fits, "wait": wait or "-"}
    return QuotaExceeded(message, f"{told[0].upper()}{told[1:]}.", code="gpu_quota", parameters=parameters)


def _digest(saved: Saved) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(saved[0].items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
