"""The example of docs/webrtc.md, run against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.serving import KEY, Serving

pytestmark = pytest.mark.slow


def test_the_example_speaks_and_watches(server: Serving, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    command = [sys.executable, str(ROOT / "examples" / "client_whep.py"), str(SPEECH), str(PORTRAIT), str(video), "--key", KEY]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run([*command, "--server", server.url], capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    with av.open(str(video)) as file:
        pictures = sum(1 for _ in file.decode(file.streams.video[0]))
    with av.open(str(video)) as file:
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(file.streams.audio[0])])
    assert pictures > 50
    assert np.abs(sound).max() > 0.05, "the voice is heard"
