"""Videos as they come: containers, codecs, rates, rotation, pixel shapes, colours, fields, sizes that change, damage."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from core.errors import ImageError
from core.media.clip_pictures import PictureMaker
from core.media.clip_reader import ClipReader
from core.media.source import load_source
from core.media.tone_mapping import pq_signal
from core.settings import Settings
from core.types import Frame, Photo
from tests.support.clip_files import SIZE, clip, clip_file, moving, picture, plane_frame

N = 30
FORMATS: list[tuple[str, str, dict[str, Any]]] = [
    ("libx264", "mp4", {}),
    ("libx264", "matroska", {}),
    ("libx264", "mpegts", {}),
    ("libx264", "flv", {}),
    ("libx264", "avi", {}),
    ("libx265", "mp4", {"options": {"x265-params": "log-level=none:open-gop=1"}}),
    ("libvpx", "webm", {}),
    ("libvpx-vp9", "webm", {}),
    ("mpeg4", "avi", {"options": {"bf": "2"}}),
    ("mpeg2video", "mpegts", {"options": {"bf": "2"}}),
    ("mpeg2video", "vob", {"options": {"bf": "2"}}),
    ("prores_ks", "mov", {"pix_fmt": "yuv422p10le"}),
    ("ffv1", "matroska", {}),
    ("mjpeg", "avi", {"pix_fmt": "yuvj420p"}),
    ("flv", "flv", {}),
    ("rawvideo", "avi", {}),
    ("png", "mov", {"pix_fmt": "rgb24"}),
    ("wmv1", "asf", {}),
    ("wmv2", "asf", {}),
]


@pytest.mark.parametrize(("codec", "form", "how"), FORMATS, ids=lambda value: value if isinstance(value, str) else "")
def test_any_usual_container_and_codec(codec: str, form: str, how: dict[str, Any]) -> None:
    """Each picture once and in its place, forth, and then the very same backwards, in pieces that begin anywhere."""
    read = moving(N, codec=codec, form=form, **how)
    frames = list(read.frames())
    assert (read.n_frames, len(frames), read.rate, read.warnings) == (N, N, 25, ())
    for i, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - picture(i)).mean() < 6, i
    with ClipReader(read, piece_bytes=7 * 3 * SIZE[0] * SIZE[1]) as reader:
        for i in range(2 * N):
            index, frame = next(reader)
            assert index == (i if i < N else 2 * N - 1 - i)
            np.testing.assert_array_equal(frame, frames[index])


def test_an_animated_gif() -> None:
    """Only its first picture is whole; times are hundredths of a second."""
    grey = [av.VideoFrame.from_ndarray(picture(i), "rgb24").reformat(format="gray").to_ndarray() for i in range(N)]
    read = clip(clip_file([av.VideoFrame.from_ndarray(each, "gray") for each in grey], codec="gif", form="gif", pix_fmt="gray"))
    frames = list(read.frames())
    assert (read.n_frames, len(frames), read.rate) == (N, N, 25)
    for each, frame in zip(grey, frames, strict=True):
        assert np.abs(frame.astype(int) - each[..., None]).max() <= 2
    with ClipReader(read, piece_bytes=7 * 3 * SIZE[0] * SIZE[1]) as reader:
        for _ in range(2 * N):
            index, frame = next(reader)
            np.testing.assert_array_equal(frame, frames[index])


def test_a_gif_of_one_picture_is_a_photo() -> None:
    grey = av.VideoFrame.from_ndarray(picture(0), "rgb24").reformat(format="gray")
    assert isinstance(load_source(clip_file([grey], codec="gif", form="gif", pix_fmt="gray"), Settings()), Photo)


@pytest.mark.parametrize(("codec", "form", "pix_fmt"), [("libx264", "mp4", "yuv420p"), ("png", "mov", "rgb24"), ("qtrle", "mov", "rgb24")])
def test_who_takes_a_frame_may_draw_into_it(codec: str, form: str, pix_fmt: str) -> None:
    """Neither the next frame nor the decoder uses its memory, where a picture is shown again or is stored as it is shown."""
    read = moving(6, codec=codec, form=form, pix_fmt=pix_fmt)
    expected = [frame.copy() for frame in read.frames(60)]
    assert len(expected) > 12
    for frame, same in zip(read.frames(60), expected, strict=True):
        np.testing.assert_array_equal(frame, same)
        frame[:] = 0


def test_an_uneven_rate_plays_at_its_own_speed() -> None:
    """As phones record: each picture is shown when it was taken."""
    steps = np.random.default_rng(3).integers(20, 60, N)
    times = [0, *np.cumsum(steps).tolist()][:N]
    read = moving(N, codec="libx264", form="matroska", times_ms=times)
    frames = list(read.frames())
    assert abs(len(frames) - times[-1] * 25 / 1000) <= 2
    for n, frame in enumerate(frames):
        nearest = int(np.argmin(np.abs(np.array(times) - 40 * n)))
        assert np.abs(frame.astype(int) - picture(nearest)).mean() < 4, n
    assert 10 <= read.rate <= 60


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60])
@pytest.mark.parametrize("form", ["mp4", "matroska"])
def test_its_own_constant_rate_gives_each_picture_once(rate: Fraction | int, form: str) -> None:
    """Matroska's times are rounded to milliseconds."""
    read = moving(2 * N, rate=rate, form=form)
    assert read.rate == rate
    frames = list(read.frames(float(read.rate)))
    assert len(frames) == 2 * N
    assert all(np.abs(frame.astype(int) - picture(i)).mean() < 6 for i, frame in enumerate(frames))


@pytest.mark.parametrize(("rate", "own"), [(120, 60), (240, 60), (100, 50), (75, Fraction(75, 2)), (5, 25), (12, 12)])
def test_a_rate_beyond_the_bounds_becomes_one_within(rate: int, own: Fraction) -> None:
    assert moving(N, rate=rate).rate == own


def test_a_slow_show_of_pictures_has_25_frames_a_second() -> None:
    read = moving(3, form="matroska", times_ms=[0, 1_500_000, 3_000_000])
    assert read.rate == 25
    slow = clip(read.data, Settings(max_video_s=3600))
    assert slow.rate == 25


def test_pixels_that_are_not_square() -> None:
    read = moving(4, set_up={"sample_aspect_ratio": Fraction(16, 11)})
    assert (read.width, read.height) == (140, 64)
    assert next(read.frames()).shape == (64, 140, 3)


def test_a_turned_clip_is_upright_in_the_reader_too() -> None:
    data = clip_file([picture(i) for i in range(6)])
    at = data.index(b"tkhd") + 44
    held = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)
    read = clip(data[:at] + held + data[at + 36 :])
    assert (read.width, read.height) == (64, 96)
    with ClipReader(read) as reader:
        _, frame = next(reader)
    assert np.abs(frame.astype(int) - np.rot90(picture(0), -1)).mean() < 4


@pytest.mark.parametrize(
    ("values", "colour", "size", "expected"),
    [
        ((145, 54, 34), {"colorspace": 5, "color_range": 1}, SIZE, (0, 255, 0)),
        ((173, 42, 26), {"colorspace": 1, "color_range": 1}, SIZE, (0, 255, 0)),
        ((150, 44, 21), {"colorspace": 5, "color_range": 2}, SIZE, (0, 255, 0)),
        ((182, 30, 12), {"colorspace": 1, "color_range": 2}, SIZE, (0, 255, 0)),
        ((145, 54, 34), {}, SIZE, (0, 255, 0)),
        ((173, 42, 26), {}, (1280, 720), (0, 255, 0)),
    ],
    ids=["601", "709", "601 full", "709 full", "small and silent", "large and silent"],
)
def test_matrix_and_range(
    values: tuple[int, int, int], colour: dict[str, int], size: tuple[int, int], expected: tuple[int, int, int]
) -> None:
    """What a file says counts; one that says nothing is taken as players take it: BT.709 from 720 lines on, else BT.601."""
    frames = [plane_frame(values, "yuv420p", size, **colour) for _ in range(2)]
    data = clip_file(frames, set_up=colour, options={"crf": "1"})
    np.testing.assert_allclose(next(clip(data).frames())[20, 20], expected, atol=6)


def test_ten_bits() -> None:
    frames = [plane_frame((64 + 4 * 100, 512, 512), "yuv420p10le", colorspace=1, color_range=1) for _ in range(3)]
    data = clip_file(frames, "libx265", "mp4", pix_fmt="yuv420p10le", options={"x265-params": "log-level=none"})
    np.testing.assert_allclose(next(clip(data).frames())[20, 20], 400 / 876 * 255, atol=3)


@pytest.mark.parametrize(("name", "code"), [("pq", 16), ("hlg", 18)])
def test_hdr_is_mapped_to_an_ordinary_screen_and_that_is_said(name: str, code: int) -> None:
    """White of 203 cd/m² (58 % of PQ, 75 % of HLG, ITU-R BT.2408) is nearly white, what is brighter no darker, and grey stays grey."""
    white = {"pq": 0.58, "hlg": 0.75}[name]
    shown = []
    for signal in (0.0, white / 2, white, min(1.0, 1.15 * white), 1.0):
        colour = {"colorspace": 9, "color_range": 1, "color_trc": code, "color_primaries": 9}
        frame = plane_frame((round(64 + 876 * signal), 512, 512), "yuv420p10le", **colour)
        data = clip_file([frame], "ffv1", "matroska", pix_fmt="yuv420p10le", set_up=colour)
        read = clip(data)
        assert any("HDR" in warning for warning in read.warnings)
        pixel = next(read.frames())[20, 20].astype(int)
        assert np.ptp(pixel) <= 2
        shown.append(int(pixel[1]))
    assert shown[0] <= 1
    assert shown == sorted(shown)
    assert 220 <= shown[2] <= 240
    assert shown[4] >= 250


@pytest.mark.parametrize("shown", [(125, 85, 65), (60, 110, 70), (60, 70, 125), (20, 20, 20)])
def test_hdr_below_the_highlights_keeps_its_colours(shown: tuple[int, int, int]) -> None:
    """A colour of the ordinary screen, as light of 203 cd/m² at most, in BT.2020 by PQ and ten bits, comes back."""
    signal = np.array(shown) / 255
    linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    wide = linear @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T  # BT.2087
    red, green, blue = pq_signal(wide * 203)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    values = 64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746
    colour = {"colorspace": 9, "color_range": 1, "color_trc": 16, "color_primaries": 9}
    frame = plane_frame(tuple(round(float(value)) for value in values), "yuv420p10le", **colour)  # type: ignore[arg-type]
    read = clip(clip_file([frame], "ffv1", "matroska", pix_fmt="yuv420p10le", set_up=colour))
    np.testing.assert_allclose(next(read.frames())[20, 20], shown, atol=4)


@pytest.mark.parametrize("primaries", [9, 12])
def test_a_wide_gamut_of_ordinary_range_keeps_its_greys(primaries: int) -> None:
    colour = {"colorspace": 9 if primaries == 9 else 1, "color_range": 1, "color_trc": 1, "color_primaries": primaries}
    data = clip_file(
        [plane_frame((64 + 4 * 110, 512, 512), "yuv420p10le", **colour)], "ffv1", "matroska", pix_fmt="yuv420p10le", set_up=colour
    )
    read = clip(data)
    assert read.warnings == ()
    np.testing.assert_allclose(next(read.frames())[20, 20], 440 / 876 * 255, atol=3)


def fields(n: int) -> list[Frame]:
    """Interlaced: the even lines show a bar where it is, the odd ones where it is half a frame later, 6 pixels on."""
    frames = []
    for i in range(n):
        woven = np.full((64, 96, 3), 40, np.uint8)
        for line in range(64):
            at = 8 * i + (4 if line % 2 else 0)
            woven[line, at % 80 : at % 80 + 12] = 230
        frames.append(woven)
    return frames


def test_interlaced_video_is_deinterlaced_and_that_is_said() -> None:
    n = 10
    data = clip_file(
        fields(n), "mpeg2video", "mpegts", options={"flags": "+ildct+ilme", "top": "1", "q:v": "2", "qmax": "3"}, gop=4
    )  # fmt: skip
    read = clip(data)
    assert any("interlaced" in warning for warning in read.warnings)
    frames = list(read.frames())
    assert len(frames) == n

    def combed(frame: Frame) -> float:
        """How far neighbouring lines differ, the next but one not: what a comb is."""
        lines = frame[8:56, :, 0].astype(float)
        return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())

    woven = fields(n)
    for i in range(2, n - 1):
        assert combed(frames[i]) < 0.35 * combed(woven[i]), i
    with ClipReader(read, piece_bytes=3 * 3 * 96 * 64) as reader:  # backwards the filter has to see the frames before, too
        for _ in range(2 * n):
            index, frame = next(reader)
            np.testing.assert_array_equal(frame, frames[index])


def test_frames_that_change_their_size_midway_are_fitted_in() -> None:
    """As calls recorded by a browser do; MPEG-TS and WebM can say so."""
    small = [picture(i) for i in range(8)]
    parts = clip_file(small, form="mpegts"), clip_file([picture(i, (64, 96)) for i in range(8, 14)], form="mpegts")
    joined = b"".join(parts)
    read = clip(joined)
    frames = list(read.frames(None))
    assert len(frames) >= 12
    assert {frame.shape for frame in frames} == {(64, 96, 3)}
    last = frames[-1]
    assert last[:, :20].max() <= 4
    assert last[:, 76:].max() <= 4
    assert last[4, 48, 0] > 40  # the picture in the middle, upright, between black


@pytest.mark.parametrize("size", [(16, 2), (2, 16)])
def test_interlaced_frames_too_small_for_the_filter_stay_as_they_are(size: tuple[int, int]) -> None:
    interlaced = {"flags": "+ildct+ilme", "top": "1"}
    tiny = np.full((size[1], size[0], 3), 90, np.uint8)
    parts = [clip_file(pictures, "mpeg2video", "mpegts", options=interlaced)
             for pictures in ([picture(i) for i in range(4)], [tiny] * 4, [picture(i) for i in range(4)])]  # fmt: skip
    frames = list(clip(b"".join(parts)).frames(None))
    assert len(frames) >= 9  # the decoder drops one where the size changes
    assert {frame.shape for frame in frames} == {(64, 96, 3)}


@pytest.mark.parametrize("curve", [2, 16])
def test_pixels_that_cannot_be_converted_are_told_as_damage(curve: int) -> None:
    frame = av.VideoFrame(96, 64, "x2rgb10be")
    frame.color_trc = curve
    with pytest.raises(ImageError) as error:
        PictureMaker(Fraction(1))(frame)
    assert error.value.code == "video_damaged"


def test_a_picture_that_its_pixels_make_too_wide_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clip_file([picture(i) for i in range(3)], set_up={"sample_aspect_ratio": Fraction(4)})
    assert clip(data).width == 4 * SIZE[0]
    monkeypatch.setattr(PictureMaker, "__call__", None)
    with pytest.raises(ImageError) as error:
        clip(data, Settings(max_image_pixels=2 * SIZE[0] * SIZE[1], min_image_px=8))
    assert error.value.code == "photo_too_large"
    assert error.value.parameters["width"] == 4 * SIZE[0]


def test_of_pictures_at_an_absurd_rate_no_more_are_read_than_a_camera_makes() -> None:
    data = clip_file([picture(i) for i in range(100)], codec="mpeg4", rate=5000)
    whole, bounded = clip(data), clip(data, Settings(max_video_s=0.02))
    assert len(whole.timeline.pts) == 100
    assert len(bounded.timeline.pts) == 20
    assert len(list(bounded.frames())) == 1


def test_damage_in_the_middle_keeps_every_place() -> None:
    """What cannot be decoded is the picture before it; what follows comes when it did."""
    data = bytearray(clip_file([picture(i) for i in range(60)], options={"crf": "10"}, gop=10))
    whole = list(clip(bytes(data)).frames())
    at = data.index(b"mdat") + 8
    middle = at + (len(data) - at) // 2
    data[middle : middle + 400] = bytes(400)
    read = clip(bytes(data))
    frames = list(read.frames())
    assert len(frames) == read.n_frames == 60
    same = [bool(np.array_equal(a, b)) for a, b in zip(frames, whole, strict=True)]
    assert all(same[:20])
    assert all(same[-15:])
    assert not all(same)
    with ClipReader(read, piece_bytes=9 * 3 * 96 * 64) as reader:
        backwards = [next(reader) for _ in range(120)][60:]
    assert [index for index, _ in backwards] == list(range(59, -1, -1))
    assert all(np.array_equal(frame, frames[index]) for index, frame in backwards if same[index])


@pytest.mark.parametrize(
    ("form", "codec", "muxer"),
    [("mp4", "libx264", {}), ("matroska", "libx264", {"live": "1"}), ("vob", "mpeg2video", {})],
)  # fmt: skip
def test_of_a_longer_clip_the_beginning_is_used_and_that_is_said(form: str, codec: str, muxer: dict[str, str]) -> None:
    """Recordings of a browser do not say how long they are."""
    data = clip_file([picture(i) for i in range(60)], form=form, codec=codec, muxer=muxer, options={"bf": "2"})
    short = clip(data, Settings(max_video_s=0.4))
    assert (short.n_frames, len(list(short.frames()))) == (10, 10)
    assert short.warnings == ("Only the first 0.4 seconds of the video are used.",)
    with ClipReader(short) as reader:
        assert max(next(reader)[0] for _ in range(25)) == 9
    for enough in (1.6, 60.0):
        assert clip(data, Settings(max_video_s=enough)).warnings == ()


def test_a_song_with_a_cover_is_no_video() -> None:
    with pytest.raises(ImageError, match="only sound"):
        load_source(clip_file_without_picture(), Settings())


def clip_file_without_picture() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        heard.sample_rate = 16_000
        container.mux(stream.encode(heard))
        container.mux(stream.encode(None))
    return out.getvalue()
