"""The disclosure in a file's and a stream's metadata."""

from __future__ import annotations

import tomllib
from pathlib import Path

import av
import numpy as np

from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.provenance import disclosure as words
from core.provenance.disclosure import disclosure
from core.provenance.reading import read_provenance
from tests.support.paths import ROOT
from tests.support.signed_videos import ABOUT, SIDE


def test_words() -> None:
    assert ABOUT["comment"] == "Synthetic media: a still photo animated by talking-head, engine lite 3.abc"
    assert ABOUT["date"] == "2026-11-21"
    assert ABOUT["visible_label"] == "AI"
    assert disclosure("ditto", "1", "video", False)["visible_label"] == "none"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (words.GENERATOR, words.GENERATOR_VERSION) == (project["name"], project["version"])


def test_metadata_is_in_the_file_for_us_and_for_others(plain: Path) -> None:
    with av.open(str(plain)) as video:
        assert ABOUT.items() <= video.metadata.items()
    found = read_provenance(plain)
    assert ABOUT.items() <= found.metadata.items()
    assert found.synthetic
    assert found.good
    assert found.manifest is None


def test_metadata_of_a_stream(tmp_path: Path) -> None:
    stream = FragmentedMp4(SIDE, SIDE, 16_000, 1, ABOUT)
    pieces = [stream.initialisation().data]
    stream.add_sound(np.zeros((1, 16_000), np.float32))
    for index in range(25):
        stream.add_frame(as_picture(np.zeros((SIDE, SIDE, 3), np.uint8)), keyframe=index == 0)
    pieces.append(stream.cut(final=True).data)
    path = tmp_path / "stream.mp4"
    path.write_bytes(b"".join(pieces))
    with av.open(str(path)) as video:
        assert ABOUT.items() <= video.metadata.items()
    assert ABOUT.items() <= read_provenance(path).metadata.items()
