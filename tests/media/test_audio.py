"""Recordings through the real decoders: every format and every bad input of the first issue."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from core.errors import AudioError
from core.media import decode
from core.media.audio import load_audio
from core.settings import Settings
from tests.support.clip_files import RATE_HZ, SIZE, clip_file, picture
from tests.support.paths import ASSETS

SETTINGS = Settings()


def tone(rate_hz: int, seconds: float = 1.0, hz: float = 440.0, level: float = 0.3) -> NDArray[np.float64]:
    """Beeps of 200 ms with pauses of 50 ms between: a plain tone would rightly be taken for noise."""
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return level * np.sin(2 * np.pi * hz * t) * (t % 0.25 < 0.2)


def encoded(codec: str, container: str, rate_hz: int, channels: int = 1, video: bool = False, sound: bool = True) -> bytes:
    """One second of `tone` through a real encoder and muxer."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as file:
        if video:
            picture = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        if sound:
            stream = file.add_stream(codec, rate=rate_hz, layout="mono" if channels == 1 else "stereo")
        if video:
            for _ in range(25):
                file.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
            file.mux(picture.encode(None))
        if sound:
            samples = np.repeat(tone(rate_hz)[None].astype(np.float32), channels, axis=0)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono" if channels == 1 else "stereo")
            frame.sample_rate = rate_hz
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return sink.getvalue()


def wav(samples: NDArray[Any], rate_hz: int, subtype: str = "PCM_16") -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate_hz, format="WAV", subtype=subtype)
    return sink.getvalue()


def assert_is_tone(samples: NDArray[np.float32], hz: float = 440.0, level: float = 0.3, tolerance: float = 0.05) -> None:
    """The middle of a beep has the right pitch and level."""
    piece = samples[8000 + 800 : 8000 + 2400] * np.hanning(1600)
    spectrum = np.abs(np.fft.rfft(piece, 16000))
    assert abs(int(spectrum.argmax()) - hz) <= 2
    assert spectrum.max() / 400 == pytest.approx(level, rel=tolerance)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16000, 1), (44100, 2), (48000, 6), (192000, 2)])
def test_wav_of_every_depth_rate_and_channel_count(tmp_path: Path, subtype: str, rate_hz: int, channels: int) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.repeat(tone(rate_hz)[:, None], channels, axis=1), rate_hz, subtype=subtype)
    audio = load_audio(path, SETTINGS)
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == (16000,)
    assert (audio.rate_hz, audio.channels) == (rate_hz, channels)
    assert audio.original == path.read_bytes()
    assert audio.warnings == ()
    assert_is_tone(audio.samples)


@pytest.mark.parametrize(
    ("codec", "container", "rate_hz", "channels"),
    [
        ("libmp3lame", "mp3", 44100, 2),
        ("aac", "ipod", 44100, 1),  # .m4a
        ("aac", "adts", 48000, 2),
        ("flac", "flac", 48000, 1),
        ("libopus", "ogg", 48000, 2),
        ("libopus", "webm", 48000, 1),
        ("alac", "mov", 44100, 1),
        ("pcm_s16be", "aiff", 44100, 2),
        ("pcm_s16be", "au", 16000, 1),
        ("pcm_mulaw", "au", 8000, 1),
        ("pcm_s16le", "caf", 44100, 2),
        ("adpcm_ima_qt", "caf", 16000, 1),
        ("libopencore_amrnb", "amr", 8000, 1),
        ("ac3", "ac3", 48000, 2),
        ("eac3", "eac3", 48000, 1),
    ],
)
def test_compressed_formats(codec: str, container: str, rate_hz: int, channels: int) -> None:
    audio = load_audio(encoded(codec, container, rate_hz, channels), SETTINGS)
    assert (audio.rate_hz, audio.channels) == (rate_hz, channels)
    assert audio.duration_s == pytest.approx(1.0, abs=0.06)  # MP3 and raw AAC keep their padding
    assert_is_tone(audio.samples, tolerance=0.25)
    assert audio.warnings == ()


@pytest.mark.parametrize(("sound_s", "picture_s"), [(3.0, 4.0), (1.0, 4.0)])
@pytest.mark.parametrize("late_s", [0.0, 1.0])
def test_sound_beside_longer_pictures_is_not_taken_for_cut_off(sound_s: float, picture_s: float, late_s: float) -> None:
    """Matroska tells the length of the file alone; what counts is the sound's own."""
    pictures = [picture(n % 20) for n in range(round(25 * picture_s))]
    sound = tone(RATE_HZ, sound_s).astype(np.float32)
    audio = load_audio(clip_file(pictures, form="matroska", sound=sound, sound_late_s=late_s), SETTINGS)
    assert audio.duration_s == pytest.approx(sound_s, abs=0.1)
    assert audio.warnings == ()


def test_a_film_that_was_cut_off_is_told_as_before() -> None:
    pictures = [np.random.default_rng(n).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8) for n in range(100)]
    data = clip_file(pictures, form="matroska", sound=tone(RATE_HZ, 4.0).astype(np.float32))
    audio = load_audio(data[: len(data) // 2], SETTINGS)
    assert audio.duration_s < 3
    assert "cut off" in audio.warnings[0]


def test_vorbis() -> None:
    sink = io.BytesIO()
    soundfile.write(sink, np.stack([tone(44100)] * 2, axis=1), 44100, format="OGG", subtype="VORBIS")
    audio = load_audio(sink.getvalue(), SETTINGS)
    assert (audio.rate_hz, audio.channels) == (44100, 2)
    assert audio.duration_s == pytest.approx(1.0, abs=0.01)
    assert_is_tone(audio.samples, tolerance=0.25)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "libopus"), ("mov", "pcm_s16le"), ("avi", "libmp3lame")])
def test_video_gives_its_sound_track(container: str, codec: str) -> None:
    audio = load_audio(encoded(codec, container, 48000, video=True), SETTINGS)
    assert audio.duration_s == pytest.approx(1.0, abs=0.06)
    assert_is_tone(audio.samples, tolerance=0.25)


def test_video_without_sound_track() -> None:
    with pytest.raises(AudioError, match="without a sound track"):
        load_audio(encoded("aac", "mp4", 48000, video=True, sound=False), SETTINGS)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [(np.uint8, 127, 128), (np.int8, 127, 0), (np.int16, 32767, 0), (np.uint16, 32767, 32768), (np.int32, 2**31 - 1, 0),
     (np.int64, 32767, 0), (np.float16, 1, 0), (np.float32, 1, 0), (np.float64, 1, 0)],
)  # fmt: skip
def test_arrays_of_every_type(dtype: type, scale: float, offset: float) -> None:
    mono = (tone(44100) * scale + offset).astype(dtype)
    audio = load_audio((44100, np.stack([mono, mono], axis=1)), SETTINGS)
    assert (audio.rate_hz, audio.channels, len(audio.samples)) == (44100, 2, 16000)
    assert_is_tone(audio.samples)
    stored, rate_hz = soundfile.read(io.BytesIO(audio.original))
    assert rate_hz == 44100
    assert stored.shape == (44100, 2)
    assert np.array_equal(load_audio((44100, mono), SETTINGS).samples, audio.samples)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ((16000, np.zeros((3, 16000), np.float32)), "shape"),
        ((16000, np.zeros((2, 2, 2), np.float32)), "shape"),
        ((0, np.zeros(16000, np.float32)), "rate is 0"),
        ((16000, np.zeros(16000, np.complex64)), "complex64"),
        ((16000, np.zeros(16000, bool)), "bool"),
        ((16000, np.full(16000, 20000.0)), "2e.04"),
        ((16000, np.zeros(0, np.float32)), "0 samples"),
        ((16000, np.zeros((0, 2), np.float32)), "0 samples"),
        ((16000, np.zeros(160, np.float32)), "10 ms"),
        ((16000, np.r_[np.zeros(20000), np.nan]), "NaN"),
        ((16000, np.r_[np.zeros(20000), -np.inf]), "infinite"),
    ],
)
def test_unusable_arrays(source: tuple[int, NDArray[Any]], text: str) -> None:
    with pytest.raises(AudioError, match=text) as caught:
        load_audio(source, SETTINGS)
    assert caught.value.hint


def test_transposed_array_is_told() -> None:
    with pytest.raises(AudioError, match=r"\(n, channels\)"):
        load_audio((16000, np.zeros((2, 16000), np.float32)), SETTINGS)


def png() -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (100, 100)).save(sink, "PNG")
    return sink.getvalue()


def header_only_wav() -> bytes:
    return wav(np.zeros(0), 16000)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"Dear diary, this is no recording.\n" * 20, "a text file"),
        (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "a text file"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a text file"),
        (png(), "this is an image"),
        (b"%PDF-1.7\n\x93\x8c", "a PDF document"),
        (bytes(range(128, 256)) * 50, "unknown kind"),
        (header_only_wav(), "0 samples"),
        (wav(np.zeros(16000), 16000)[:30], "cannot be decoded|0 samples"),
        (encoded("aac", "ipod", 44100)[:3000], "cannot be decoded"),  # its index stood at the end
        (encoded("libopus", "ogg", 48000)[:60], "cannot be decoded|0 samples"),
        (b"fLaC" + bytes(range(256)) * 8, "cannot be decoded|0 samples"),
        (wav(np.r_[np.zeros(20000), np.nan], 16000, "FLOAT"), "NaN"),
        (wav(np.zeros(160), 16000), "10 ms"),
        (b"#!AMR\n" + b"\x70" * 100, "cannot be decoded|0 samples|lasts only"),
    ],
    ids=[
        "empty", "text", "playlist", "ffconcat", "image", "PDF", "unknown", "header only", "cut header", "no index", "cut Ogg", "no FLAC",
        "NaN", "too short", "AMR",
    ],  # names of their own: an Ogg file has a random serial number
)
def test_unusable_files(tmp_path: Path, data: bytes, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=text) as from_file:
        load_audio(path, SETTINGS)
    assert from_file.value.hint
    assert "speech.wav" in str(from_file.value)
    with pytest.raises(AudioError, match=text):
        load_audio(data, SETTINGS)
    assert capfd.readouterr() == ("", "")  # FFmpeg does not chatter


def test_more_channels_than_pyav_survives() -> None:
    """Reading a planar frame of more than eight channels ended the process with a segmentation fault."""
    with pytest.raises(AudioError, match="12 channels"):
        load_audio(wav(np.zeros((16000, 12)), 16000), SETTINGS)


@pytest.mark.parametrize("rate_hz", [1, 999, 3_999, 768_001, 2**31 - 1])
def test_absurd_sampling_rates_are_refused_with_the_bounds(rate_hz: int) -> None:
    """A recording of 1 Hz with four samples is four seconds long, all of them made up by the resampler."""
    data = bytearray(wav(np.full(4_000, 0.25), 16_000))
    struct.pack_into("<II", data, 24, rate_hz, min(2 * rate_hz, 2**32 - 1))
    with pytest.raises(AudioError, match=f"has {rate_hz} samples a second.*4000 to 768000"):
        load_audio(bytes(data), SETTINGS)
    with pytest.raises(AudioError, match=f"{rate_hz}.*4000 to 768000"):
        load_audio((rate_hz, np.full(100_000, 0.25, np.float32)), SETTINGS)


@pytest.mark.parametrize("rate_hz", [4_000, 768_000])
def test_the_bounds_of_the_sampling_rate_are_within(rate_hz: int) -> None:
    for source in (wav(tone(rate_hz), rate_hz), (rate_hz, tone(rate_hz).astype(np.float32))):
        assert load_audio(source, SETTINGS).rate_hz == rate_hz


def test_missing_file_folder_and_device(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere\.wav does not exist"):
        load_audio(tmp_path / "nowhere.wav", SETTINGS)
    with pytest.raises(AudioError, match="is a folder"):
        load_audio(str(tmp_path), SETTINGS)
    with pytest.raises(AudioError, match="not a regular file"):
        load_audio("/dev/zero", SETTINGS)
    with pytest.raises(AudioError, match="cannot be read"):
        load_audio("a\0b.wav", SETTINGS)
    with pytest.raises(AudioError, match="does not exist"):
        load_audio("http://127.0.0.1:9/speech.wav", SETTINGS)


def test_bytes_are_limited_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: reading it would take for ever
    with pytest.raises(AudioError, match="MiB"):
        load_audio(path, SETTINGS)
    with pytest.raises(AudioError, match="MiB"):
        load_audio(bytes(2000), Settings(max_audio_bytes=1000))


def test_decoding_stops_at_the_longest_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.media import audio as module

    decoded_s = []

    class Counting(module.SoundDecoder):
        def __iter__(self) -> Any:
            for block in super().__iter__():
                decoded_s.append(block.shape[1] / self.rate_hz)
                yield block

    monkeypatch.setattr(module, "SoundDecoder", Counting)
    sink = io.BytesIO()
    soundfile.write(sink, np.zeros(16000 * 1200, np.int16), 16000, format="FLAC")  # 20 minutes in a few kilobytes
    with pytest.raises(AudioError, match="longer than 5 s"):
        load_audio(sink.getvalue(), Settings(max_audio_s=5))
    assert sum(decoded_s) < 7
    with pytest.raises(AudioError, match="longer than 5 s"):
        load_audio((16000, np.zeros(16000 * 6, np.int16)), Settings(max_audio_s=5))


def test_wav_cut_in_the_middle_is_used_as_far_as_it_goes() -> None:
    data = (ASSETS / "speech_3s.wav").read_bytes()
    audio = load_audio(data[: 44 + 32000], SETTINGS)
    assert audio.duration_s == pytest.approx(1.0, abs=0.01)
    assert "cut off" in audio.warnings[0]


def test_wav_of_unknown_length_is_no_cut_one() -> None:
    """Programs that stream a WAV file cannot know its length and write 0xFFFFFFFF."""
    data = bytearray(wav(tone(16000), 16000))
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    audio = load_audio(bytes(data), SETTINGS)
    assert audio.duration_s == 1.0
    assert audio.warnings == ()


def test_damaged_middle_is_passed_over() -> None:
    data = bytearray(encoded("libmp3lame", "mp3", 44100))
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    audio = load_audio(bytes(data), SETTINGS)
    assert 0.5 < audio.duration_s < 1.1
    assert "damaged" in audio.warnings[0]


def test_a_file_of_endless_packets_without_sound_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a byte of the file, and takes microseconds."""
    empty = b"#!AMR\n" + b"\x64" * 2000  # of a type that there is not
    with pytest.raises(AudioError) as caught:
        load_audio(empty, SETTINGS)
    assert "too much" not in str(caught.value)
    monkeypatch.setattr(decode, "MOST_SILENT", 1000)
    with pytest.raises(AudioError, match="too much in it is no sound") as caught:
        load_audio(empty, SETTINGS)
    assert caught.value.code == "recording_damaged"


def test_playlist_inside_a_container_opens_nothing(tmp_path: Path) -> None:
    """A QuickTime file may say that its sound lies in another file; that file is not opened."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(16000), 16000))
    data = encoded("pcm_s16le", "mov", 16000)
    at = data.index(b"url \0\0\0\1")  # a data reference "in this file": make it one to elsewhere
    patched = data[:at] + b"url \0\0\0\0" + data[at + 8 :]
    try:
        audio = load_audio(patched, SETTINGS)
    except AudioError:
        return
    assert audio.duration_s == pytest.approx(1.0, abs=0.01)  # FFmpeg read the bytes at hand, nothing else


def test_turned_polarity_does_not_cancel() -> None:
    """Found with a headset that turns one channel: the mean of both was silence, and the mouth stayed shut."""
    mono = tone(44100)
    audio = load_audio((44100, np.stack([mono, -0.9 * mono], axis=1)), SETTINGS)
    assert_is_tone(audio.samples)


def test_resampling_keeps_time_and_does_not_fold() -> None:
    rate_hz = 48000
    click = np.zeros(rate_hz * 2)
    click[rate_hz] = 0.9
    assert abs(int(np.abs(load_audio((rate_hz, click), SETTINGS).samples).argmax()) - 16000) <= 1
    high = 0.5 * np.sin(2 * np.pi * 9500 * np.arange(rate_hz) / rate_hz)  # would appear at 6500 Hz
    assert np.abs(load_audio((rate_hz, high), SETTINGS).samples[1000:-1000]).max() < 1e-3


def test_overshooting_float_is_brought_into_range() -> None:
    audio = load_audio((16000, tone(16000, level=1.5)), SETTINGS)
    assert np.abs(audio.samples).max() == pytest.approx(1.0)
    assert "clipped" in audio.warnings[0]


@pytest.mark.parametrize("name", ["speech_3s.wav", "speech_7s.wav", "speech_16s.wav"])
def test_warnings_about_poor_sound(name: str) -> None:
    path = ASSETS / name
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768.0
    noise = np.random.default_rng(0).standard_normal(len(pcm))
    assert load_audio(path, SETTINGS).warnings == ()

    def warning(samples: NDArray[np.float64]) -> str:
        (only,) = load_audio((16000, samples), SETTINGS).warnings
        return only

    assert "clipped" in warning(np.clip(pcm * 8, -1, 1))
    assert "quiet" in warning(pcm * 0.01)
    assert "noise" in warning(pcm + 0.05 * noise)
    assert "silent" in warning(pcm * 0)
