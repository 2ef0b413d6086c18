"""New words in a clip are measured like those of a photo: by the face of each frame, at the clip's rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.media.source import load_source
from core.request import RenderOptions, Request
from core.settings import Settings
from core.studio import Studio
from core.sync.report import measure
from core.types import Audio, Frame
from tests.support.clip_files import clip_file


@pytest.mark.parametrize("fps", [25, "source"])
def test_new_words_in_a_clip_that_talks(
    fps: int | str, studio: Studio, frames: list[Frame], other_speech: Audio, settings: Settings, tmp_path: Path
) -> None:
    """The clip's own frames, 30 a second of a head that moves, are played forth and back: the speech is longer."""
    clip = load_source(clip_file([np.roll(frame, n // 4, 1) for n, frame in enumerate(frames)], rate=30), settings)
    options = RenderOptions(fps=fps)  # type: ignore[arg-type]
    made = studio.generate(Request(other_speech, clip, engine="lite", options=options), tmp_path / "clip.mp4")
    assert made.info.fps == (30 if fps == "source" else 25)
    assert made.info.sync_offset_ms == pytest.approx(0, abs=35)
    assert made.info.sync_confidence is not None
    assert made.info.sync_confidence > 0.5
    report = measure(made.path, settings).report
    assert report.offset_ms == pytest.approx(0, abs=20)
    assert report.in_time
