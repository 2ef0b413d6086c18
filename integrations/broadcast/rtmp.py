"""A stream to an RTMP server, which goes on when the server was away for a while."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import OptionError
from integrations.broadcast.moments import Moment
from integrations.broadcast.sending import Job

ROOT = Path(__file__).parents[2]
CONNECT_S, STALL_S, CLOSE_S = 15.0, 10.0, 5.0
"""How long connecting may take, nothing may be taken, and the rest may take to be sent at the end."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Between two tries; each pause is twice the one before, until the stream has run for STEADY_S."""
STEADY_S = 10.0
MOST_WAITING, DROP_FROM = 250, 50
"""Moments that wait to be sent; from DROP_FROM on (2 s) pictures are left out, and the sound goes on."""


def place_of(url: str) -> str:
    """The address without the stream's key, user or query, for people to read. Raises OptionError for what is no RTMP address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port beyond 65535, half of an IPv6 address
        raise OptionError("That is no address of a stream.", "Give rtmp://HOST/APPLICATION/KEY.") from None
    if parts.scheme not in ("rtmp", "rtmps") or not parts.hostname or not parts.path.strip("/"):
        raise OptionError(f"{parts.scheme}://{parts.hostname or ''} is no address of a stream.", "Give rtmp://HOST/APPLICATION/KEY.")
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return f"{parts.scheme}://{host}/{parts.path.strip('/').split('/')[0]}"


class RtmpStream:
    """Begins to connect at once. log: is given lines for people, from other threads.

    A thread hands moments to a process (`sending.py`), a new one after each loss. While there is no connection moments are dropped: a
    stream is live, and begins anew with the present.
    """

    def __init__(self, job: Job, log: Callable[[str], None]) -> None:
        self.place = place_of(job.url)
        self.n_connections = self.n_left_out = self.n_bytes = 0
        """n_left_out: pictures that a slow connection did not get."""
        self._job, self._log = job, log
        self._queue: queue.Queue[Moment] = queue.Queue(MOST_WAITING)
        self._over = threading.Event()
        self._state = "connecting"
        self._live = False
        self._taken_s = 0.0  # when something was last handed over
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="rtmp", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        slow = f", {self.n_left_out} pictures left out" if self.n_left_out else ""
        return f"{self.place} {self._state}{slow}"

    def put(self, moment: Moment) -> None:
        if not self._live:
            return
        if time.monotonic() - self._taken_s > STALL_S and not self._queue.empty():
            self._end_process()  # whoever waits in its pipe gets an error
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(moment)

    def close(self) -> None:
        """Sends what waits and closes the stream, within CLOSE_S."""
        self._over.set()
        self._thread.join(CLOSE_S)
        self._end_process()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._over.is_set():
            self._state, began_s = "connecting", time.monotonic()
            reason = self._connection()
            self._live = False
            if self._over.is_set():
                return
            if time.monotonic() - began_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._state = f"waits {pause_s:g} s"
            self._log(f"{self.place}: {reason}; next try in {pause_s:g} s")
            self._over.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connection(self) -> str:
        """One connection, to its end; returns why it ended."""
        told: queue.Queue[dict[str, object]] = queue.Queue()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "integrations.broadcast.sending"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
                start_new_session=True,  # Ctrl-C is ours to answer
            )  # fmt: skip
        except OSError as error:  # no memory, or too many processes
            return f"its process cannot be started ({error.strerror})"
        self._process = process
        reader = threading.Thread(target=self._read, args=(process, told), name="rtmp-news", daemon=True)
        reader.start()
        try:
            reason = self._sent(process, told)
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            try:
                process.wait(CLOSE_S if self._over.is_set() else 1.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join()
            process.stdout.close()  # type: ignore[union-attr]
        said = [str(news["error"]) for news in list(told.queue) if "error" in news]
        return said[0] if said else reason

    def _sent(self, process: subprocess.Popen[bytes], told: queue.Queue[dict[str, object]]) -> str:
        pipe = process.stdin
        assert pipe is not None  # noqa: S101 - asked for above
        try:
            pipe.write(self._job.line())
            pipe.flush()
            first = told.get(timeout=CONNECT_S)
            if "connected" not in first:
                return str(first.get("error", "it could not be reached"))
            self._begin()
            while True:
                try:
                    moment = self._queue.get(timeout=0.1)
                except queue.Empty:
                    if self._over.is_set():
                        return ""
                    continue
                late = self._queue.qsize() >= DROP_FROM
                self.n_left_out += late
                pipe.write(bytes([not late]) + moment.sound.tobytes())
                if not late:
                    pipe.write(moment.picture.tobytes())
                self._taken_s = time.monotonic()
        except queue.Empty:
            self._end_process()
            return f"no answer within {CONNECT_S:g} s"
        except OSError:
            return "the connection was lost"

    def _begin(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._taken_s, self._live, self._state = time.monotonic(), True, "live"
        self.n_connections += 1
        self._log(f"{self.place}: connected")

    def _read(self, process: subprocess.Popen[bytes], told: queue.Queue[dict[str, object]]) -> None:
        before = self.n_bytes
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):  # a library's own words
                news = json.loads(line)
                if "bytes" in news:
                    self.n_bytes = before + int(news["bytes"])
                else:
                    told.put(news)
        told.put({})

    def _end_process(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(self._process.pid, 9)
