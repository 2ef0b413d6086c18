"""Finished videos as WebM and GIF: whole, in time and size, or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from core.errors import OptionError
from core.media import conversion
from core.media.conversion import Format, convert
from core.service.examples import EXAMPLES

VIDEO = EXAMPLES[0].video


def test_webm_has_picture_sound_and_what_the_file_says_of_itself(tmp_path: Path) -> None:
    convert(VIDEO, tmp_path / "video.webm", "webm")
    with av.open(str(tmp_path / "video.webm")) as made:
        assert {stream.type for stream in made.streams} == {"video", "audio"}
        assert (made.streams.video[0].width, made.streams.video[0].height) == (320, 320)
        assert float(made.duration or 0) / av.time_base == pytest.approx(3.0, abs=0.1)
        assert made.metadata["SYNTHETIC_MEDIA"] == "true"
        assert sum(1 for _ in made.decode(video=0)) == 75
    assert [path.name for path in tmp_path.iterdir()] == ["video.webm"]


def test_gif_moves_half_as_often(tmp_path: Path) -> None:
    convert(VIDEO, tmp_path / "video.gif", "gif")
    with av.open(str(tmp_path / "video.gif")) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (320, 320)
        assert sum(1 for _ in made.decode(video=0)) == 38
        assert made.metadata["comment"].startswith("Synthetic media: ")
    assert [path.name for path in tmp_path.iterdir()] == ["video.gif"]


@pytest.mark.parametrize(
    ("form", "limit", "code"),
    [
        ("gif", "GIF_MOST_S", "gif_too_long"),
        ("gif", "MOST_S", "conversion_too_slow"),
        ("webm", "MOST_S", "conversion_too_slow"),
        ("webm", "MOST_BYTES", "conversion_too_large"),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format, limit: str, code: str
) -> None:
    monkeypatch.setattr(conversion, limit, -1)
    with pytest.raises(OptionError) as caught:
        convert(VIDEO, tmp_path / f"video.{form}", form)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []
