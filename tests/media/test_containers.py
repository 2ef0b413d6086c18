"""What of FFmpeg a file from outside can reach: demuxers by content, decoders of a list, and no other file."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest

from core.errors import AudioError, ImageError
from core.media import box_count, containers
from core.media.audio import load_audio
from core.media.sniff import identify
from core.media.source import load_source
from core.settings import Settings
from tests.support.clip_files import SIZE, clip_file, picture


def test_pictures_of_a_codec_that_is_not_on_the_list_are_not_decoded() -> None:
    """FFmpeg knows the codec, and its own list of codecs holds for looking into a file only."""
    with pytest.raises(ImageError, match=r"not read \(asv1\)") as caught:
        load_source(clip_file([picture(i) for i in range(3)], codec="asv1", form="avi"), Settings())
    assert caught.value.code == "video_codec"


def test_sound_of_a_codec_that_is_not_on_the_list_is_not_decoded() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="wav") as container:
        stream = container.add_stream("adpcm_yamaha", rate=16_000, layout="mono")
        noise = np.random.default_rng(0).integers(-3000, 3000, (1, 16_000)).astype(np.int16)
        heard = av.AudioFrame.from_ndarray(noise, "s16", "mono")
        heard.sample_rate = 16_000
        container.mux(stream.encode(heard))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="cannot be decoded"):
        load_audio(out.getvalue(), Settings())


@pytest.mark.parametrize("data", [b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile '/etc/passwd'\n"])
def test_lists_of_other_files_are_neither_sound_nor_video(data: bytes) -> None:
    with pytest.raises(ImageError, match="text"):
        load_source(data, Settings())
    with pytest.raises(AudioError, match="text"):
        load_audio(data, Settings())


@pytest.mark.parametrize(
    ("form", "codec", "demuxer"),
    [("mp4", "libx264", "mov"), ("webm", "libvpx", "matroska"), ("avi", "mpeg4", "avi"), ("mpegts", "mpeg2video", "mpegts"),
     ("vob", "mpeg2video", "mpeg"), ("flv", "flv", "flv")],
)  # fmt: skip
def test_containers_are_told_by_their_content(form: str, codec: str, demuxer: str) -> None:
    data = clip_file([picture(i) for i in range(5)], codec=codec, form=form)
    assert identify(data[:4096]).decoder == demuxer


def test_a_transport_stream_with_arrival_times_is_one() -> None:
    """As camcorders write it (M2TS): four bytes before each packet of 188."""
    data = clip_file([picture(i) for i in range(5)], codec="mpeg2video", form="mpegts")
    timed = b"".join(bytes(4) + data[at : at + 188] for at in range(0, len(data), 188))
    assert identify(timed).decoder == "mpegts"
    assert load_source(timed, Settings()).n_frames == 5  # type: ignore[union-attr]


def test_no_frame_of_absurd_size_is_decoded_even_to_look_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg decodes first frames while it opens a file; these few bytes may claim gigabytes."""
    data = clip_file([picture(i) for i in range(3)], codec="ffv1", form="matroska")

    def known() -> tuple[bool, int]:
        with containers.open_container(io.BytesIO(data), "matroska", frozenset({"ffv1"})) as container:
            return container.streams.video[0].codec_context.pix_fmt is not None, container.streams.video[0].width

    assert known() == (True, SIZE[0])
    monkeypatch.setattr(containers, "MAX_PIXELS", SIZE[0] * SIZE[1] - 1)
    assert known() == (False, 0)


def test_matroska_of_endless_empty_elements_is_given_up() -> None:
    """Each of the tags costs FFmpeg a hundred bytes of memory and more."""
    tags = b"\x73\x73\x80" * (containers.MOST_TAKEN_TO_PIECES // 3)
    sized = struct.pack(">Q", (1 << 56) | len(tags))
    video = clip_file([picture(i) for i in range(3)], codec="ffv1", form="matroska")
    segment = video.index(b"\x18\x53\x80\x67") + 12
    data = video[:segment] + b"\x12\x54\xc3\x67" + sized + tags + video[segment:]
    file = io.BytesIO(data)
    with pytest.raises((OSError, ValueError)):
        containers.open_container(file, "matroska", frozenset({"ffv1"}))
    assert file.tell() <= containers.MOST_TAKEN_TO_PIECES + segment + 2 * containers.BUFFER_BYTES


def test_matroska_may_have_large_attachments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MOST_TAKEN_TO_PIECES", 2**20)
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25, width=SIZE[0], height=SIZE[1])
        container.add_attachment("font.ttf", "font/ttf", bytes(2**22))
        for i in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), "rgb24")))
        container.mux(stream.encode(None))
    out.seek(0)
    with containers.open_container(out, "matroska", frozenset({"ffv1"})) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_a_file_of_endless_empty_parts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg passes over one after the other, by our file object: 100 MiB would take minutes."""
    monkeypatch.setattr(containers, "MOST_SEEKS", 1000)
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    sound = b"data" + struct.pack("<I", 32_000) + bytes(32_000)
    assert load_audio(head + b"JUNK\0\0\0\0" * 100 + sound, Settings()).duration_s == pytest.approx(1.0)
    with pytest.raises(AudioError) as caught:
        load_audio(head + b"JUNK\0\0\0\0" * 5000 + sound, Settings())
    assert caught.value.code == "recording_damaged"


def boxes(name: bytes, n: int) -> bytes:
    return struct.pack(">I4s", 8, name) * n


def within(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


FTYP = within(b"ftyp", b"isom\0\0\2\0isomiso2")


@pytest.mark.parametrize(
    "data",
    [FTYP + boxes(b"free", 3000), FTYP + boxes(b"zzzz", 3000), FTYP + within(b"moov", boxes(b"zzzz", 3000)), FTYP + boxes(b"moov", 3000),
     FTYP + within(b"moov", within(b"udta", boxes(b"zzzz", 3000))), FTYP + struct.pack(">I4sQ", 1, b"free", 16) * 3000],
    ids=["free", "unknown", "within", "holders", "deeper", "sizes of 64 bits"],
)  # fmt: skip
def test_an_mp4_of_endless_empty_boxes_never_reaches_ffmpeg(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a microsecond for each, and a file has room for millions."""
    monkeypatch.setattr(box_count, "MOST_BOXES", 2000)
    monkeypatch.setattr(av, "open", None)
    with pytest.raises(AudioError, match="too many parts") as sound:
        load_audio(data, Settings())
    with pytest.raises(ImageError, match="too many parts") as picture:
        load_source(data, Settings())
    assert (sound.value.code, picture.value.code) == ("recording_damaged", "video_damaged")


def test_boxes_that_follow_a_good_video_count_too() -> None:
    """They would be passed over while its packets are read."""
    video = clip_file([picture(i) for i in range(5)], codec="libx264", form="mp4")
    assert load_source(video + boxes(b"free", 1000), Settings())
    assert not box_count.has_too_many_boxes(io.BytesIO(video))
    assert box_count.has_too_many_boxes(io.BytesIO(video + boxes(b"free", box_count.MOST_BOXES)))


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", FTYP[:11], FTYP + b"\0\0\0\0moov", FTYP + b"\0\0\0\1moov", FTYP + b"\xff\xff\xff\xffmoov\0\0\0\7free"]
)
def test_sizes_that_cannot_be_end_the_count(data: bytes) -> None:
    assert not box_count.has_too_many_boxes(io.BytesIO(data))
