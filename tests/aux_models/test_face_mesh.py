"""The loaded face mesh: it goes when nobody uses it, and is no noise at the interpreter's end."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref

from core.aux_models.face_finder import FaceFinder
from tests.support.paths import ROOT


def test_a_landmarker_that_nobody_uses_goes() -> None:
    """One that stayed would keep four threads and 20 MB, once for each video whose face has to be looked for."""
    FaceFinder()  # the first has loaded the library, whose import may remember who asked for it
    finder = FaceFinder()
    landmarker = weakref.ref(finder._landmarker)
    del finder
    gc.collect()
    assert landmarker() is None


def test_one_that_the_garbage_collector_finds_is_closed() -> None:
    """Its own destructor, called there, waited for ever for a thread that had been told to end."""
    finder = FaceFinder()
    task, circle = finder._landmarker._landmarker, [finder]
    circle.append(circle)  # type: ignore[arg-type]
    del finder, circle
    gc.collect()
    until = time.monotonic() + 20
    while task._handle is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert task._handle is None


def test_one_that_is_used_to_the_end_says_nothing_there() -> None:
    program = "from core.aux_models.face_finder import FaceFinder; kept = FaceFinder()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
