"""The folder of finished videos and its sweeper."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest


class TestOutputs:
    """The folder and the sweeper, without a server."""

    def test_old_files_go_and_young_ones_stay(self, tmp_path: Path) -> None:
        from core.service.outputs import OutputFolder

        outputs = OutputFolder(tmp_path / "out" / "page", ttl_s=100.0)
        outputs.prepare()
        video, upload = outputs.new_video("visitor:a"), outputs.root / "ab" / "voice.wav"
        video.write_bytes(b"x")
        upload.parent.mkdir()
        upload.write_bytes(b"x")
        os.utime(upload, (0, 0))  # a copy that kept its old modification time came here just now all the same
        assert outputs.sweep() == 0
        assert outputs.sweep(time.time() + 101) == 2
        assert list(outputs.root.rglob("*.*")) == []
        outputs.sweep(time.time() + 202)
        assert list(outputs.root.iterdir()) == []

    def test_a_link_is_removed_and_not_followed(self, tmp_path: Path) -> None:
        from core.service.outputs import OutputFolder

        kept = tmp_path / "kept"
        kept.mkdir()
        (kept / "letter.txt").write_text("mine")
        outputs = OutputFolder(tmp_path / "page", ttl_s=1.0)
        outputs.prepare()
        (outputs.root / "link").symlink_to(kept)
        outputs.sweep(time.time() + 10)
        assert (kept / "letter.txt").exists()

    def test_a_folder_that_cannot_be_made_says_what_to_do(self, tmp_path: Path) -> None:
        from core.errors import OutputError
        from core.service.outputs import OutputFolder

        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="TALKING_HEAD_OUTPUT_DIR"):
            OutputFolder(tmp_path / "file" / "page", ttl_s=1.0).prepare()

    def test_names_are_new_each_time(self, tmp_path: Path) -> None:
        from core.service.outputs import OutputFolder

        outputs = OutputFolder(tmp_path / "page", ttl_s=1.0)
        outputs.prepare()
        first, second = outputs.new_video("visitor:a"), outputs.new_video("visitor:a")
        assert first != second
        outputs.discard(first)
        assert not first.parent.exists()
        assert second.parent.exists()
