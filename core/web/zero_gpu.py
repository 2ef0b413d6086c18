"""Ditto on a ZeroGPU host: the networks are loaded before the page is served, and one function runs on the GPU that is lent to a visitor.

The `spaces` package decides who gets a GPU when; it is there on such hosts only.
"""

from __future__ import annotations

import contextvars
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from core.errors import BusyError, EngineUnavailable, TalkingHeadError
from core.optimization.cold_start_optimization import EngineSource
from core.settings import Settings
from core.zero_gpu import TOKEN_HEADER, DurationRefused, QuotaExceeded, visitor_tokens

if TYPE_CHECKING:
    from core.engines.base import Engine
    from core.engines.ditto import DittoEngine
    from core.engines.ditto_pieces import CompiledCall, LentDevice, Part, Piece
    from core.engines.ditto_zero_gpu import ZeroGpuDitto

log = logging.getLogger(__name__)

DEVICE = "cuda"
"""Where the networks are put."""
LEAST_COMPILE_S = 30.0
"""With less time left nothing more is compiled."""
_REQUESTED = re.compile(r"\((\d+)s(?: requested vs\. (-?\d+)s left)?\)")
_WAIT = re.compile(r"Try again in ([\d:]+(?:\.\d+)?)")
_program = os.getpid()
_device: LentDevice | None = None
_engine: ZeroGpuDitto | None = None


def animate(piece: Piece) -> Generator[Part, None, None]:
    """Runs in a process of its own, where the GPU is; the networks came there with the fork."""
    if _device is None:
        raise RuntimeError("no networks were loaded before the first call")
    yield from _device.animate(piece)


def seconds_of(piece: Piece) -> int:
    """What a call asks for; it is given the same arguments."""
    if _engine is None:
        return 60
    return -int(-_engine.speed.seconds(piece.frames, piece.steps, piece.pixels) // 1)


def compile_call(number: int, seconds: int) -> CompiledCall:
    """One of the device's calls, compiled where the GPU is. What takes longer than `seconds` ends with the process it is in."""
    import spaces

    if _device is None:
        raise RuntimeError("no networks were loaded before the first call")
    over = threading.Timer(seconds, os._exit, (1,))
    over.daemon = True
    if os.getpid() != _program:  # the host warns of a call that is late, and may or may not end it
        over.start()
    try:
        return _device.compile(number, spaces.aoti_capture, spaces.aoti_compile)
    finally:
        over.cancel()


def compile_ahead(device: LentDevice, budget_s: float) -> list[str]:
    """Compiles what of the device's calls can be, each by a call on the GPU, all of them within `budget_s`; 0: none.

    Here, before the page is launched: compiled code that comes later is not there in the calls. What cannot be compiled runs as it is, and
    the log says why. Returns the names of what was.
    """
    import spaces

    compiler = spaces.GPU(duration=lambda number, seconds: seconds)(compile_call)
    began, done = time.monotonic(), []
    for number, call in enumerate(device.compilable):
        left = budget_s - (time.monotonic() - began)
        if left < LEAST_COMPILE_S:
            obstacle = f"of {budget_s:.0f} s for compiling {max(0.0, left):.0f} s are left"
        else:
            try:
                compiled: CompiledCall = compiler(number, int(left))
            except Exception as error:  # of `spaces`: no GPU was free, or the process was ended
                obstacle = f"{getattr(error, 'title', type(error).__name__)}: {getattr(error, 'message', error)}"
            else:
                obstacle = compiled.obstacle
                if compiled.code is not None:
                    spaces.aoti_apply(compiled.code, call.slot)
                    call.use(compiled.layout)
                    done.append(call.name)
        if obstacle:
            log.warning("ditto's %s runs uncompiled: %s", call.name, obstacle)
    if done:
        log.info("ditto: compiled ahead of time in %.0f s: %s", time.monotonic() - began, ", ".join(done))
    return done


def offer_lent_ditto(settings: Settings, make_near: Callable[[], DittoEngine] | None) -> EngineSource | None:
    """How a page's studio gets Ditto here. Call on the main thread, before Gradio is imported and before the page is launched: what is put
    on the device later is not there in the calls.

    make_near: the engine on the CPU, which fetches checkpoints that are missing; None offers no Ditto, and then the function for the GPU is
    announced all the same, since the host ends programs without one.
    """
    global _device, _engine
    try:
        import spaces
    except ImportError:
        return None if make_near is None else _unavailable(EngineUnavailable("The package spaces, which lends the GPU, is not installed."))
    call = _as_visitor(spaces.GPU(duration=seconds_of)(animate))
    if make_near is None:
        return None
    try:
        from core.engines.ditto_zero_gpu import ZeroGpuDitto, lend

        near = make_near()
        _device = lend(near, DEVICE)
        compiled = compile_ahead(_device, settings.zero_gpu_compile_s)
        _engine = ZeroGpuDitto(near, call, settings.zero_gpu_call_s, settings.zero_gpu_video_s, compiled)
    except TalkingHeadError as error:
        log.warning("ditto is not offered: %s", error)
        return _unavailable(error)
    ready: Engine = _engine
    return EngineSource(lambda: ready)


def _unavailable(error: TalkingHeadError) -> EngineSource:
    """An engine whose state says why it is not there."""

    def make() -> Engine:
        raise error

    return EngineSource(make)


class _Headers(dict[str, str]):
    """Of a request. A class of its own, since `spaces` looks for attributes that a plain dict does not have."""


class _Request:
    """What `spaces` wants of a visitor's request."""

    def __init__(self, token: str) -> None:
        self.headers = _Headers({TOKEN_HEADER: token, "x-gradio-user": "app"})


def _as_visitor(function: Callable[[Piece], Iterator[Part]]) -> Callable[[Piece, str], Iterator[Part]]:
    """The function on account of an owner: jobs run on threads that know nothing of the request they came with."""

    def call(piece: Piece, owner: str) -> Generator[Part, None, None]:
        from gradio.context import LocalContext

        context, token = contextvars.copy_context(), visitor_tokens.of(owner)
        context.run(LocalContext.request.set, _Request(token) if token else None)
        parts = context.run(function, piece)
        try:
            while (part := context.run(next, parts, None)) is not None:
                yield part
        except Exception as error:
            ours = _translated(error)
            if ours is None:
                raise
            raise ours from error
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                context.run(close)

    return call


def _translated(error: Exception) -> TalkingHeadError | None:
    """What `spaces` says in words for pages, as an error of ours; None for others, which stay as they are."""
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error))
    if isinstance(error, TalkingHeadError) or not title.startswith("ZeroGPU"):
        return None
    found, wait = _REQUESTED.search(message), _WAIT.search(message)
    numbers: dict[str, Any] = {}
    if found:
        numbers["needed_s"] = int(found[1])
        if found[2]:
            numbers["left_s"] = max(0, int(found[2]))
    if wait:
        numbers["wait"] = wait[1].partition(".")[0]
    if title == "ZeroGPU illegal duration":
        hint = "Use a shorter recording, or the lite engine."
        return DurationRefused("The GPU is not lent for so long at once.", hint, code="gpu_at_once", parameters=numbers)
    if "quota" in title and "exceeded" in title and "No GPU was available" not in message:
        hint = "Try again later, log in at Hugging Face, or use the lite engine."
        return QuotaExceeded("Your share of the GPU is used up for now.", hint, code="gpu_quota_used", parameters=numbers)
    if title in ("ZeroGPU queue timeout", "ZeroGPU client error", "ZeroGPU quota exceeded", "ZeroGPU pending credits exceeded"):
        return BusyError("No GPU is free at the moment.", "Try again in a minute, or use the lite engine.", code="gpu_busy")
    log.error("%s: %s", title, message)
    return EngineUnavailable("The work on the GPU broke off.", "Try again, or use the lite engine.", code="gpu_broke_off")
