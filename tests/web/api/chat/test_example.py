"""examples/client_chat.py, as people run it: a line is typed, the answer is printed, and the video says it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av

from tests.support.chat_server import ANSWER
from tests.support.paths import PORTRAIT, ROOT
from tests.support.serving import KEY, Serving


def test_a_line_is_answered_and_spoken(server: Serving, tmp_path: Path) -> None:
    example, video = ROOT / "examples" / "client_chat.py", tmp_path / "video.mp4"
    command = [sys.executable, str(example), str(PORTRAIT), str(video), "--server", server.url]
    environment = {**os.environ, "TALKING_HEAD_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run(command, env=environment, input="Who are you?\n", capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{ANSWER}\n"
    assert "You talk with gpt-4o-mini." in ended.stderr
    with av.open(str(video)) as file:
        assert sum(1 for _ in file.decode(video=0)) >= 40
