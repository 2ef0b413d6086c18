"""Past videos of each owner: kept, listed, forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.service.outputs import OutputFolder
from core.service.videos import History
from core.types import Generation, GenerationInfo


class TestHistory:
    INFO = GenerationInfo("lite", "", 1, 25, 64, 64, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1, avatar="token")

    def put(self, history: History, outputs: OutputFolder, owner: str) -> Path:
        video = outputs.new_video()
        video.write_bytes(b"video")
        history.add(Generation(video, self.INFO), owner)
        return video

    @pytest.fixture
    def outputs(self, tmp_path: Path) -> OutputFolder:
        outputs = OutputFolder(tmp_path / "page", ttl_s=100.0)
        outputs.prepare()
        return outputs

    def test_it_is_each_owners_own_and_outlives_the_process(self, outputs: OutputFolder) -> None:
        history = History(outputs)
        first, second = (self.put(history, outputs, "ada") for _ in range(2))
        self.put(history, outputs, "bea")
        for each in (history, History(outputs)):
            assert [result.path for result in each.of("ada")] == [second, first]
            assert len(each.of("bea")) == 1
            assert each.of("nobody") == []

    def test_what_the_sweeper_took_is_not_listed_and_what_is_forgotten_is_gone(self, outputs: OutputFolder) -> None:
        history = History(outputs)
        first, second = (self.put(history, outputs, "ada") for _ in range(2))
        outputs.discard(first)
        assert [result.path for result in history.of("ada")] == [second]
        assert history.forget("ada", "another token") == 0
        assert history.forget("ada", "token") == 5
        assert not second.parent.exists()

    def test_what_another_process_made_is_forgotten_as_well(self, outputs: OutputFolder) -> None:
        here, there = History(outputs), History(outputs)
        assert here.of("ada") == []
        video = self.put(there, outputs, "ada")
        assert here.forget("ada", "token") == 5
        assert not video.parent.exists()
        assert there.of("ada") == []

    def test_damaged_notes_and_too_many_videos_do_no_harm(self, outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.service.videos.MAX_PER_OWNER", 2)
        history = History(outputs)
        videos = [self.put(history, outputs, "ada") for _ in range(3)]
        assert [video.exists() for video in videos] == [False, True, True]
        videos[1].with_name("about.json").write_text("{")
        assert [result.path for result in History(outputs).of("ada")] == [videos[2]]
