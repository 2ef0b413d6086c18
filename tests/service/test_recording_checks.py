"""What is said of a recording that was just chosen: what is wrong with it, and at most one is decoded for it at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from core.errors import AudioError
from core.service import recording_checks
from core.service.outputs import OutputFolder
from core.service.recording_checks import RecordingChecks
from core.settings import Settings
from tests.support.paths import SPEECH


@pytest.fixture
def checks(tmp_path: Path) -> RecordingChecks:
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    return RecordingChecks(Settings(output_dir=tmp_path / "out"), outputs)


def test_what_is_wrong_is_told(checks: RecordingChecks, tmp_path: Path) -> None:
    silent, empty, cut = (tmp_path / name for name in ("silent.wav", "empty.wav", "cut.mp3"))
    soundfile.write(silent, np.zeros(16_000), 16_000)
    empty.write_bytes(b"")
    cut.write_bytes(b"ID3 and then nothing")
    assert asyncio.run(checks.warnings(SPEECH)) == ()
    assert asyncio.run(checks.warnings(silent)) == ("The recording is silent: the mouth stays closed.",)
    for path in (empty, cut):
        with pytest.raises(AudioError) as refused:
            asyncio.run(checks.warnings(path))
        assert str(tmp_path) not in str(refused.value)


def test_a_crowd_has_one_decoded_at_a_time_and_is_not_queued_without_end(
    checks: RecordingChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most, read = 0, 0, 0

    def slow(path: Path, settings: Settings) -> Any:
        nonlocal read
        read += 1
        return type("Read", (), {"warnings": ("one",)})

    async def counted(work: Any, *given: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return work(*given)

    monkeypatch.setattr(recording_checks, "MAX_WAITING", 3)
    monkeypatch.setattr(recording_checks, "read_audio", slow)
    monkeypatch.setattr(recording_checks, "on_thread", counted)

    async def crowd() -> list[tuple[str, ...]]:
        return await asyncio.gather(*(checks.warnings(SPEECH) for _ in range(5)))

    assert asyncio.run(crowd()) == [("one",)] * 3 + [()] * 2
    assert (most, read) == (1, 3)
    assert asyncio.run(checks.warnings(SPEECH)) == ("one",)
