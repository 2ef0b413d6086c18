"""MediaPipe is imported without what nobody uses here, which is still there for those who do."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT

SCRIPT = """
import sys
from core.aux_models.mediapipe_loading import import_mediapipe
import_mediapipe()
from mediapipe.tasks.python import BaseOptions, vision
assert "matplotlib" not in sys.modules and "sounddevice" not in sys.modules
assert vision.FaceLandmarker
assert vision.drawing_styles.get_default_face_mesh_tesselation_style()  # executes it, and what it needs
assert vision.drawing_utils.plot_landmarks and "matplotlib.pyplot" in sys.modules
"""


def test_matplotlib_is_imported_when_something_is_drawn_with_it() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=True)
