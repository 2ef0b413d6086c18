"""A double of the `spaces` package that keeps to the rules of the real one on a ZeroGPU host, without a GPU. Put its folder on PYTHONPATH.

- Without SPACES_ZERO_GPU, GPU does nothing.
- A decorated function runs in a process forked from this one. The process is made at the first call, and again where FAKE_SPACES_COLD is
  set. It has what was in memory when it was forked, and nothing that came later; none of the threads either.
- Arguments and results are pickled. Generators yield as they go; one that is closed is closed there, before its next value.
- The duration is a number, or a function of the same arguments. It is held against the longest one (FAKE_SPACES_LONGEST, seconds) and what
  is left of the quota (FAKE_SPACES_LEFT); what is refused is refused as a gr.Error with a title.
- Whose quota it is is told by X-IP-Token of the request in Gradio's context.
- An exception arrives as a gr.Error that tells its class alone.
- A call that takes longer than it asked for is ended by force, where FAKE_SPACES_STRICT is set: networks on a CPU are no measure for a GPU.
- No page may be launched without a decorated function. Calls may come before; they are on nobody's account.
- Calls can be compiled ahead of time: aoti.py.

FAKE_SPACES_LOG names a file that gets a line of JSON per call.
"""

from __future__ import annotations

import gc
import inspect
import json
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

_fork: Any = multiprocessing.get_context("fork")
_decorated: list[Callable[..., Any]] = []
_left = float(os.environ.get("FAKE_SPACES_LEFT", "inf"))
_in_call = False
compiling = False
"""Whether this process compiled something."""
END, VALUE, FAILED = "end", "value", "failed"


def GPU(task: Any = None, *, duration: Any = None, size: str | None = None) -> Any:  # noqa: N802 - as it is called
    if not callable(task):
        return lambda function: GPU(function, duration=duration, size=size)
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return task
    if inspect.iscoroutinefunction(task):
        raise NotImplementedError
    made = _generator(task, duration) if inspect.isgeneratorfunction(task) else _regular(task, duration)
    _decorated.append(made)
    return made


def in_call() -> bool:
    return _in_call


def __getattr__(name: str) -> Any:
    """What is for compiling needs torch, and is imported when it is used."""
    if not name.startswith("aoti_"):
        raise AttributeError(name)
    from spaces import aoti

    return getattr(aoti, name)


class _Worker:
    """A process that does one call after another."""

    def __init__(self, task: Callable[..., Any]) -> None:
        self.calls, self.results, self.stop = _fork.SimpleQueue(), _fork.SimpleQueue(), _fork.Event()
        self.process = _fork.Process(target=self._run, args=(task,), daemon=True)
        self.process.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        self.process.join()
        self.results.put(None)

    def _run(self, task: Callable[..., Any]) -> None:
        global _in_call
        _in_call = True
        gc.freeze()  # what the program left to its collector is not ended here, where its threads are not: that would wait for ever
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # the program's own handlers came along
        while True:
            args, kwargs = pickle.loads(self.calls.get())  # noqa: S301 - from this program
            self.stop.clear()
            thread = threading.Thread(target=self._do, args=(task, args, kwargs))
            thread.start()
            thread.join()

    def _do(self, task: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            if not inspect.isgeneratorfunction(task):
                self._send(VALUE, task(*args, **kwargs))
                return
            made = task(*args, **kwargs)
            for value in made:
                if self.stop.is_set():
                    made.close()
                    break
                self._send(VALUE, value)
            self._send(END, None)
        except Exception as error:
            self._send(FAILED, type(error).__name__)

    def _send(self, kind: str, value: Any) -> None:
        self.results.put(pickle.dumps((kind, value)))


def _regular(task: Callable[..., Any], duration: Any) -> Callable[..., Any]:
    @wraps(task)
    def call(*args: Any, **kwargs: Any) -> Any:
        return next(_values(task, duration, args, kwargs))

    return call


def _generator(task: Callable[..., Any], duration: Any) -> Callable[..., Any]:
    @wraps(task)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        yield from _values(task, duration, args, kwargs)

    return call


_workers: dict[int, _Worker] = {}


def _values(task: Callable[..., Any], duration: Any, args: Any, kwargs: Any) -> Generator[Any, None, None]:
    if _in_call:
        raise RuntimeError("the double does not nest calls")
    seconds = float(duration(*args, **kwargs) if callable(duration) else duration or 60)
    sent = pickle.dumps((args, kwargs))
    _schedule(seconds, len(sent))
    worker = _workers.pop(id(task), None)
    if worker is None or not worker.process.is_alive() or os.environ.get("FAKE_SPACES_COLD"):
        worker = _Worker(task)
    worker.calls.put(sent)
    ended = threading.Timer(seconds, worker.process.kill)
    if os.environ.get("FAKE_SPACES_STRICT"):
        ended.start()
    try:
        while True:
            result = worker.results.get()
            if result is None:
                raise _error("ZeroGPU worker error", "GPU task aborted")
            kind, value = pickle.loads(result)  # noqa: S301 - from this program
            if kind == FAILED:
                raise _error("ZeroGPU worker error", value)
            if kind == END or not inspect.isgeneratorfunction(task):
                _workers[id(task)] = worker
                if kind == VALUE:
                    yield value
                return
            try:
                yield value
            except GeneratorExit:
                worker.stop.set()
                raise
    finally:
        ended.cancel()


def _schedule(seconds: float, nbytes: int) -> None:
    global _left
    request = LocalContext.request.get(None)
    token = None
    if request is not None:
        headers = getattr(request, "headers", None)
        if headers is None or not hasattr(headers, "__dict__"):
            raise _error("ZeroGPU client error", "Internal Gradio error")
        token = headers.get("x-ip-token")
    _note(seconds=seconds, token=token, bytes=nbytes, pid=os.getpid())
    requested = round(seconds)
    if seconds > float(os.environ.get("FAKE_SPACES_LONGEST", "inf")):
        raise _error("ZeroGPU illegal duration", f"The requested GPU duration ({requested}s) is larger than the maximum allowed")
    if seconds > _left:
        if token is None:
            raise _error("ZeroGPU quota exceeded", "Space app has reached its GPU limit. Try re-running outside of examples")
        said = f"You have exceeded your free ZeroGPU quota ({requested}s requested vs. {round(_left)}s left). Try again in 3:25:00. "
        raise _error("ZeroGPU quota exceeded", said)
    _left -= seconds


def _note(**about: Any) -> None:
    if path := os.environ.get("FAKE_SPACES_LOG"):
        with Path(path).open("a") as file:
            file.write(json.dumps(about) + "\n")


def _error(title: str, message: str) -> gr.Error:
    return gr.Error(message, title=title, print_exception=False)


_launch = gr.Blocks.launch


def _first_launch(*args: Any, **kwargs: Any) -> Any:
    if os.environ.get("SPACES_ZERO_GPU") and not _decorated:
        raise RuntimeError("No @spaces.GPU function has been detected during startup")
    gr.Blocks.launch = _launch
    return _launch(*args, **kwargs)


gr.Blocks.launch = _first_launch
