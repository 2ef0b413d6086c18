"""The examples of a deployment: made before anybody asks, and one video for all visitors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from core.media.audio import load_audio
from core.service import options
from core.service.examples import EXAMPLES, Example, make_examples
from core.service.job_work import video_request
from core.settings import Settings
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.app_process import probe
from tests.support.paths import PORTRAIT, SPEECH

PERSON = EXAMPLES[0]


def test_an_example_is_made_once_for_all_visitors(
    serving: Studio, own_settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    serving.share_results([(PORTRAIT, SPEECH)])
    for said in ("made", "kept already"):
        make_examples(serving, own_settings, [PERSON])
        assert f"the example person is {said}" in caplog.text
    request = {"engine": "auto", "options": options.settled({}, own_settings, avatar=False)}
    for owner in ("alice", "bob"):
        assert serving.generate(video_request(request, owner, speech, portrait), tmp_path / f"{owner}.mp4").info.cache_hit
    own = dataclasses.replace(portrait, sha256="a photo of her own")
    assert not serving.generate(video_request(request, "alice", speech, own), tmp_path / "own.mp4").info.cache_hit
    assert not serving.generate(video_request(request, "bob", speech, own), tmp_path / "bobs.mp4").info.cache_hit


def test_an_example_that_cannot_be_made_ends_nothing(
    serving: Studio, own_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [dataclasses.replace(PERSON, photo=tmp_path / "gone.png"), dataclasses.replace(PERSON, speech=tmp_path / "gone.wav")]
    make_examples(serving, own_settings, bad)
    assert caplog.text.count("could not be made") == 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_its_video_is_shipped_and_lasts_as_long_as_its_speech(example: Example, own_settings: Settings) -> None:
    width, height, frames, seconds = probe(str(example.video))
    audio = load_audio(example.speech, own_settings)
    assert (width, height, frames) == (320, 320, audio.n_frames)
    assert seconds == pytest.approx(audio.duration_s, abs=0.1)
    assert example.seconds == round(audio.duration_s)
