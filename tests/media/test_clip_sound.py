"""A clip's own sound under new speech: where it begins, how it goes on, how loud it is."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from core.clip_options import Longer
from core.media import clip_sound
from core.media.audio import load_audio
from core.media.clip_sound import KEPT_BYTES, ClipSound
from core.media.decode import Block, SoundDecoder
from core.media.sound_track import BesideSpeech, SoundTrack
from core.media.source import Clip
from core.settings import Settings
from core.types import Audio
from tests.support.clip_files import RATE_HZ, clip, clip_file, picture

N = 25
"""A second of pictures."""


def tone(seconds: float, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def sounding(sound: np.ndarray, form: str = "mp4", late_s: float = 0.0, n: int = N) -> Clip:
    return clip(clip_file([picture(i) for i in range(n)], form=form, sound=sound, sound_late_s=late_s))


def heard(read: Clip, longer: Longer, seconds: float, rate_hz: int = RATE_HZ, channels: int = 1) -> Block:
    blocks, pieces, n = ClipSound.of(read, read.n_frames, Fraction(25), longer).blocks(rate_hz, channels), [], 0
    while n < seconds * rate_hz:
        pieces.append(next(blocks))
        n += pieces[-1].shape[1]
    return np.concatenate(pieces, axis=1)[:, : round(seconds * rate_hz)]


def loudness(sound: Block, start_s: float, end_s: float, rate_hz: int = RATE_HZ) -> float:
    return float(np.sqrt(np.mean(sound[:, round(start_s * rate_hz) : round(end_s * rate_hz)] ** 2)))


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts", "flv"])
def test_sound_that_starts_late_starts_late(form: str) -> None:
    """The pictures go from 0 to 1 s, the sound begins at 0.4 s."""
    sound = heard(sounding(tone(0.6), form, 0.4), "bounce", 1.0)
    assert loudness(sound, 0, 0.37) < 0.02
    assert loudness(sound, 0.45, 0.9) == pytest.approx(0.5 / 2**0.5, rel=0.1)


def test_sound_before_the_first_picture_is_not_heard() -> None:
    late = clip(clip_file([picture(i) for i in range(N)], form="matroska", times_ms=[400 + 40 * i for i in range(N)],
                          sound=np.concatenate([tone(0.4), tone(0.3, level=0.0), tone(0.7)])))  # fmt: skip
    sound = heard(late, "bounce", 1.0)
    assert loudness(sound, 0, 0.27) < 0.03
    assert loudness(sound, 0.35, 0.9) > 0.3


def test_sound_that_claims_to_begin_in_years_is_silence_in_small_blocks() -> None:
    read = sounding(tone(0.6))
    assert read.timeline.first_s == 0
    years_s = 1e9
    blocks = ClipSound(read.data, -years_s, Fraction(1), "loop").blocks(RATE_HZ, 2)
    for _ in range(10):
        block = next(blocks)
        assert block.nbytes <= 2**18
        assert not block.any()


@pytest.mark.parametrize("longer", ["bounce", "loop"])
def test_it_begins_again_with_each_turn_of_the_picture_without_a_click(longer: Longer) -> None:
    """Of 0.5 s of sound in a second of pictures: sound, silence, sound, silence; at another rate, and as stereo."""
    sound = heard(sounding(tone(0.5)), longer, 3.0, 44_100, 2)
    assert sound.shape == (2, 3 * 44_100)
    np.testing.assert_array_equal(sound[0], sound[1])
    for turn in range(3):
        assert loudness(sound, turn + 0.1, turn + 0.4, 44_100) == pytest.approx(0.5 / 2**0.5, rel=0.1)
        assert loudness(sound, turn + 0.6, turn + 0.9, 44_100) < 0.02
    whole = heard(sounding(tone(3.0)), longer, 3.0)
    assert np.abs(np.diff(whole)).max() < 1.2 * np.abs(np.diff(tone(1.0))).max()


@pytest.mark.parametrize("kept_bytes", [KEPT_BYTES, 0])
def test_the_sound_of_a_short_clip_is_decoded_once(kept_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each of its turns would pass over all that is heard before its first picture. What is heard is the same."""
    times_ms = [700 + 40 * i for i in range(5)]
    read = clip(clip_file([picture(i) for i in range(5)], form="matroska", times_ms=times_ms, sound=tone(2.0)))
    expected = heard(read, "loop", 2.0, 44_100, 2)
    begun: list[object] = []
    begin = SoundDecoder.__init__

    def noting(self: SoundDecoder, *given: object) -> None:
        begun.append(self)
        begin(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(SoundDecoder, "__init__", noting)
    monkeypatch.setattr(clip_sound, "KEPT_BYTES", kept_bytes)
    np.testing.assert_array_equal(heard(read, "loop", 2.0, 44_100, 2), expected)
    assert len(begun) == (1 if kept_bytes else 10)
    assert loudness(expected, 1.25, 1.35, 44_100) > 0.3


def test_while_the_last_frame_stays_nothing_is_heard() -> None:
    sound = heard(sounding(tone(1.0)), "freeze", 2.0)
    assert loudness(sound, 0.1, 0.9) > 0.3
    assert loudness(sound, 1.0, 2.0) == 0


def test_a_clip_without_sound_says_so() -> None:
    mute = clip(clip_file([picture(i) for i in range(3)]))
    assert not ClipSound.of(mute, 3, Fraction(25), "bounce").is_there()
    assert ClipSound.of(sounding(tone(1.0)), N, Fraction(25), "bounce").is_there()


def loud_speech(seconds: float, channels: int = 1) -> Audio:
    wave = tone(seconds, 200.0, 0.99)
    return load_audio((RATE_HZ, np.stack([wave] * channels, axis=1)), Settings())


def mixed(audio: Audio, beside: BesideSpeech, n_frames: int, cuts: list[int], rate: Fraction = Fraction(25)) -> Block:
    track = SoundTrack(audio, rate, beside)
    pieces = [track.read_to(n) for n in [*cuts, n_frames]]
    track.close()
    return np.concatenate(pieces, axis=1)


def test_it_is_mixed_under_the_speech_without_clipping_and_however_it_is_cut() -> None:
    background = ClipSound.of(sounding(tone(1.0, 3000.0, 0.9)), N, Fraction(25), "bounce")
    beside = BesideSpeech(False, background, 0.25)
    audio = loud_speech(2.0, 2)
    whole = mixed(audio, beside, 100, [])
    assert whole.shape == (2, 4 * RATE_HZ)  # the frames go on for two seconds more, and so does the background
    assert np.abs(whole).max() <= 1
    np.testing.assert_array_equal(whole, mixed(audio, beside, 100, [1, 2, 7, 49, 50, 51, 99]))
    spectrum = np.abs(np.fft.rfft(whole[0, 1600:9600]))  # 2 Hz a line
    speech, under = spectrum[100], spectrum[1500]
    assert under / speech == pytest.approx(0.25 * 0.9 / 0.99, rel=0.15)
    assert loudness(whole, 2.1, 2.9) == pytest.approx(0.25 / 1.25 * 0.9 / 2**0.5, rel=0.1)


def test_silence_goes_on_to_the_last_frame_at_any_rate() -> None:
    rate = Fraction(30000, 1001)
    sound = mixed(loud_speech(0.5), BesideSpeech(goes_on=True), 60, [3, 20], rate)
    assert sound.shape[1] == int(60 * RATE_HZ / rate)
    assert loudness(sound, 0.1, 0.4) > 0.5
    assert not sound[:, RATE_HZ // 2 :].any()
