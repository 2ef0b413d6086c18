"""examples/livekit_agent.py as the documentation has it, without a room."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = pytest.mark.slow  # for the packages that it needs


def test_the_example_says_a_recording_through_an_agents_session(tmp_path: Path) -> None:
    environment = {**os.environ, "TALKING_HEAD_CACHE_DIR": str(tmp_path)}
    environment.pop("LIVEKIT_URL", None)
    command = [sys.executable, "examples/livekit_agent.py", str(PORTRAIT), str(SPEECH)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    given = {name: int(n) for name, n in re.findall(r"'(\w+)': (\d+)", ended.stdout)}
    assert given["AudioSegmentEnd"] == 1
    assert given["VideoFrame"] >= given["AudioFrame"] > 60  # LiveKit's reader of files leaves out the last block


def test_the_examples_are_short() -> None:
    for name in ("livekit_agent.py", "pipecat_bot.py"):
        assert len((ROOT / "examples" / name).read_text().splitlines()) <= 60
