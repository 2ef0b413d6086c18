"""Fragmented MP4: the same frames and samples however it is cut, both tracks from 0, readable from a pipe."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import EncodingError
from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.segments import Segment
from core.types import FPS, Frame
from tests.support.charts import boxes
from tests.support.streams import SIDE, Pipe, pictures, sound

av = pytest.importorskip("av")
N_FRAMES = 30


def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(0, 255, (8, 8, 3), np.uint8), np.ones((SIDE // 8, SIDE // 8, 1), np.uint8))
    return [np.roll(base, i, 1) for i in range(N_FRAMES)]


def rustle(rate_hz: int, channels: int) -> NDArray[np.float32]:
    """Soft noise: no two places of it look alike."""
    noise = np.random.default_rng(1).standard_normal(N_FRAMES * rate_hz // FPS + 15)
    smooth = np.convolve(noise, np.hanning(16), "valid")
    return np.tile((0.2 * smooth / smooth.std()).astype(np.float32), (channels, 1))


def streamed(rate_hz: int, channels: int, cuts: set[int], ahead: int = 0) -> tuple[list[Segment], FragmentedMp4]:
    video = FragmentedMp4(SIDE, SIDE, rate_hz, channels, {"comment": "Synthetic media: a tést", "own.key": "1"})
    pieces = [video.initialisation()]
    samples = rustle(rate_hz, channels)
    for i, frame in enumerate(frames()):
        video.add_sound(samples[:, video.n_samples : (i + 1) * rate_hz // FPS + ahead])
        video.add_frame(as_picture(frame), keyframe=i in cuts or i == 0)
        if i + 1 in cuts:
            pieces.append(video.cut())
    pieces.append(video.cut(final=True))
    return pieces, video


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_rates_start_at_0_and_lose_nothing(rate_hz: int, channels: int) -> None:
    pieces, _ = streamed(rate_hz, channels, {5, 15})
    data = b"".join(piece.data for piece in pieces)
    decoded = pictures(data)
    assert [picture.pts * picture.time_base * FPS for picture in decoded] == list(range(N_FRAMES))
    wanted = rustle(rate_hz, channels)
    got = sound(data)
    assert wanted.shape[1] <= got.shape[1] < wanted.shape[1] + 1024  # the last packet is full
    inside = slice(100, wanted.shape[1] - 100)
    alike = [np.corrcoef(wanted[-1, inside], got[-1, 100 + lag : wanted.shape[1] - 100 + lag])[0, 1] for lag in range(-50, 51)]
    assert np.argmax(alike) == 50, "not a sample early or late"
    assert max(alike) > 0.97


def test_cuts_change_no_sample_and_each_piece_plays_alone() -> None:
    whole = b"".join(piece.data for piece in streamed(16_000, 1, set())[0])
    pieces, video = streamed(16_000, 1, {5, 15, 16}, ahead=2048)
    cut = b"".join(piece.data for piece in pieces)
    np.testing.assert_array_equal(sound(whole), sound(cut))
    assert [(piece.index, piece.kind, piece.n_frames, piece.final) for piece in pieces] == [
        (0, "init", 0, False),
        (1, "media", 5, False),
        (2, "media", 10, False),
        (3, "media", 1, False),
        (4, "media", 14, True),
    ]
    assert [piece.start_s for piece in pieces[1:]] == [0.0, 0.2, 0.6, 0.64]
    assert all(boxes(piece.data) == [b"moof", b"mdat"] for piece in pieces[1:])
    assert boxes(pieces[0].data) == [b"ftyp", b"moov"]
    for piece in pieces[1:]:
        alone = pictures(pieces[0].data + piece.data)
        assert len(alone) == piece.n_frames
        assert alone[0].key_frame
        assert float(alone[0].pts * alone[0].time_base) == pytest.approx(piece.start_s)
    assert len(video.mime_type.split("avc1.")[1].split(",")[0]) == 6
    assert video.mime_type.endswith(', mp4a.40.2"')


def test_metadata_and_colours_are_those_of_files() -> None:
    pieces, _ = streamed(16_000, 1, set())
    with av.open(Pipe(b"".join(piece.data for piece in pieces))) as file:
        assert file.metadata["comment"] == "Synthetic media: a tést"
        assert file.metadata["own.key"] == "1"
        context = file.streams.video[0].codec_context
        assert (context.width, context.height, context.pix_fmt, context.colorspace) == (SIDE, SIDE, "yuv420p", 1)
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    assert np.abs(picture - frames()[0]).mean() < 12


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(EncodingError, match="63×64"):
        FragmentedMp4(63, 64, 16_000, 1, {})


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(60)])
def test_pieces_of_another_rate(rate: Fraction) -> None:
    video = FragmentedMp4(SIDE, SIDE, 16_000, 1, {}, rate=rate)
    pieces = [video.initialisation()]
    for i, frame in enumerate(frames()):
        video.add_frame(as_picture(frame), keyframe=i in (0, 10))
        if i == 9:
            pieces.append(video.cut())
    pieces.append(video.cut(final=True))
    assert [picture.pts * picture.time_base for picture in pictures(b"".join(piece.data for piece in pieces))] == [
        n / rate for n in range(N_FRAMES)
    ]
    assert (pieces[2].start_s, pieces[2].duration_s) == (float(10 / rate), float(20 / rate))


def test_less_crf_is_larger() -> None:
    sizes = []
    for crf in (10, 18, None, 30):
        video = FragmentedMp4(SIDE, SIDE, 16_000, 1, {}, crf)
        for frame in frames()[:10]:
            video.add_frame(as_picture(frame))
        sizes.append(len(video.cut(final=True).data))
    assert sizes[0] > sizes[1] == sizes[2] > sizes[3]
