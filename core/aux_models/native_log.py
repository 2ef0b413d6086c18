"""Keeps what MediaPipe's native code logs at its start off standard error."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Keeps the native start-up log of MediaPipe off stderr, where the command line promises one line; other output passes."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all (a windowed or detached process)
        yield
        return
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            native = (b"W0000", b"I0000", b"INFO: Created TensorFlow", b"INFO: [", b"WARNING: Logging before", b"WARNING: All log messages")
            for line in log.read().splitlines(keepends=True):
                if not line.startswith(native):
                    os.write(2, line)
