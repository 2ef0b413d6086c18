"""The loaded face mesh: it goes when nobody uses it, and is no noise at the interpreter's end."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

from core.aux_models.face_mesh import FaceFinder
from tests.support.paths import ROOT


def test_a_landmarker_that_nobody_uses_goes() -> None:
    """One that stayed would keep four threads and 20 MB, once for each video whose face has to be looked for."""
    FaceFinder()  # the first has loaded the library, whose import may remember who asked for it
    finder = FaceFinder()
    landmarker = weakref.ref(finder._landmarker)
    del finder
    gc.collect()
    assert landmarker() is None


def test_one_that_is_used_to_the_end_says_nothing_there() -> None:
    program = "from core.aux_models.face_mesh import FaceFinder; kept = FaceFinder()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
