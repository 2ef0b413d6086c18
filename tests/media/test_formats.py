"""The table of formats: each of them is read, and everything that lists formats lists these."""

from __future__ import annotations

import io

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from core.media import formats
from core.media.audio import load_audio
from core.media.sniff import VIDEO_DEMUXERS
from core.service.uploads import ContentJudge
from core.settings import Settings
from core.web.api import spec
from core.web.pages.html import words_html
from core.web.pages.language import LANGUAGES
from tests.support.paths import ROOT

MUXERS = {
    "WAV": ("wav", "pcm_s16le"), "MP3": ("mp3", "libmp3lame"), "M4A/AAC": ("ipod", "aac"), "FLAC": ("flac", "flac"),
    "Ogg/Opus": ("ogg", "libopus"), "AIFF": ("aiff", "pcm_s16be"), "AMR": ("amr", "libopencore_amrnb"), "CAF": ("caf", "pcm_s16le"),
    "AU": ("au", "pcm_s16be"), "AC-3": ("ac3", "ac3"), "WMA": ("asf", "wmav2"),
}  # fmt: skip


def sound(name: str) -> bytes:
    muxer, codec = MUXERS[name]
    sink = io.BytesIO()
    rate_hz = 8000 if name == "AMR" else 48_000
    with av.open(sink, "w", format=muxer) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout="mono")
        if name == "WMA":
            stream.bit_rate = 64_000
        noise = np.random.default_rng(0).normal(0, 0.1, (1, rate_hz)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
        frame.sample_rate = rate_hz
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return sink.getvalue()


@pytest.mark.parametrize("name", formats.names(formats.SOUNDS))
def test_every_sound_of_the_table_is_taken_where_sound_is(name: str) -> None:
    judge = ContentJudge(name, "sound", Settings())
    judge.take(sound(name))
    judge.finish()
    assert load_audio(sound(name), Settings()).duration_s == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("kind", ["person", "picture"])
@pytest.mark.parametrize("name", formats.names(formats.PHOTOS))
def test_every_photo_of_the_table_is_taken_where_photos_are(name: str, kind: str) -> None:
    sink = io.BytesIO()
    picture = Image.new("RGB", (80, 80), "red")
    pillow_heif.from_pillow(picture).save(sink) if name == "HEIC" else picture.save(sink, name)
    judge = ContentJudge(name, kind, Settings())  # type: ignore[arg-type]
    judge.take(sink.getvalue())
    judge.finish()


def test_the_table_has_a_video_for_each_demuxer() -> None:
    assert len(VIDEO_DEMUXERS) == 8
    assert set(formats.endings(formats.VIDEOS)) >= {"mp4", "mkv", "avi", "ts", "mpg", "flv", "wmv", "gif"}


def test_every_list_is_the_table() -> None:
    photos, sounds, videos = (formats.listed(each) for each in (formats.PHOTOS, formats.SOUNDS, formats.VIDEOS))
    usage = (ROOT / "docs/usage.md").read_text("utf-8").replace("\n", " ")
    assert usage.count(photos) == 2
    assert usage.count(sounds) == 2
    assert usage.count(videos) == 2
    for name in (photos, sounds):
        assert name in str(vars(spec))
    for texts in LANGUAGES:
        last = {"en": "or", "de": "oder"}[texts.language]
        for each in (formats.PHOTOS, formats.SOUNDS, formats.VIDEOS):
            assert formats.listed(each, last) in texts.errors["upload_wrong_kind"]
        assert all(f'"{" ".join(each)}"' in words_html(texts) for each in (formats.endings(formats.PHOTOS),))
