"""Captions in the picture: when they show, how lines break, letters of other scripts, and in real videos and streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageFont

from core.errors import OptionError
from core.media import caption_font
from core.media.burned_captions import BurnedCaptions
from core.media.caption_font import font, path_for, runs
from core.media.captions import broken, captions
from core.media.coming_audio import ComingAudio
from core.media.label import Label
from core.request import RenderOptions, Request
from core.studio import Studio
from core.types import FPS, Audio, Frame, Photo, Word

WIDTH, HEIGHT = 320, 240


def spoken(text: str, word_s: float = 0.5) -> list[Word]:
    return [Word(word, index * word_s, (index + 1) * word_s) for index, word in enumerate(text.split())]


def drawn(words: list[Word], at_s: float, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    frame = np.full((height, width, 3), 128, np.uint8)
    BurnedCaptions(width, height).draw(frame, words, at_s)
    return frame


def changed_rows(frame: Frame) -> NDArray[np.intp]:
    return np.flatnonzero((frame != 128).any((1, 2)))


@pytest.fixture
def only_the_usual_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(caption_font, "_of_this_machine", lambda: ())
    path_for.cache_clear()
    yield
    path_for.cache_clear()


def test_white_letters_with_a_dark_rim_above_the_label_and_within_the_picture() -> None:
    for width, height in ((320, 320), (64, 64), (1280, 720)):
        frame = drawn(spoken("Wide words are MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM broken"), 1.9, width, height)
        assert frame.max() == 255
        assert frame.min() < 10
        rows, columns = changed_rows(frame), np.flatnonzero((frame != 128).any((0, 2)))
        assert height * 0.3 < rows[0]
        assert rows[-1] < Label(width, height).box[0]
        assert 0 < columns[0] <= columns[-1] < width - 1


def test_each_frame_shows_what_the_captions_say_at_its_time() -> None:
    words = [Word("One.", 0.2, 0.6), Word("Two.", 2.0, 2.5)]
    burned = BurnedCaptions(WIDTH, HEIGHT)
    seen = []
    for n in range(4 * FPS):
        frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        burned.draw(frame, words, n / FPS)
        seen.append(len(changed_rows(frame)) > 0)
    expected = [any(each.start_s <= n / FPS < each.end_s for each in captions(words)) for n in range(4 * FPS)]
    assert seen == expected
    assert any(seen)
    assert not all(seen)


def test_what_is_not_said_yet_changes_nothing_of_what_is_shown() -> None:
    """As in a stream, whose words come piece by piece."""
    words = [Word("So,", 0.0, 0.5, ends_piece=True), Word("then", 0.6, 1.0), Word("more.", 1.0, 1.5, ends_piece=True)]
    whole, coming = BurnedCaptions(WIDTH, HEIGHT), BurnedCaptions(WIDTH, HEIGHT)
    for n in range(2 * FPS):
        known = words[:1] if n / FPS < 0.6 else words
        one, other = (np.full((HEIGHT, WIDTH, 3), 128, np.uint8) for _ in range(2))
        whole.draw(one, words, n / FPS)
        coming.draw(other, known, n / FPS)
        assert np.array_equal(one, other), n


def test_a_word_wider_than_a_line_is_broken_and_each_part_has_its_time() -> None:
    parts = broken([Word("abcdefgh", 1.0, 5.0, ends_piece=True), Word("x", 5.0, 6.0)], lambda line: len(line) <= 3)
    assert parts == [Word("abc", 1.0, 2.5), Word("def", 2.5, 4.0), Word("gh", 4.0, 5.0, ends_piece=True), Word("x", 5.0, 6.0)]
    assert [part.text for part in broken([Word("ab", 0.0, 1.0)], lambda line: False)] == ["a", "b"]


def test_right_to_left() -> None:
    [(text, usual)] = runs("שלום", 20)
    backwards = ImageFont.truetype(usual.path, 20, layout_engine=ImageFont.Layout.BASIC).getmask(text[::-1])
    shown = usual.getmask(text)
    assert shown.size == backwards.size
    assert bytes(shown) == bytes(backwards), "the first letter stands on the right"
    joined = sum(font(Path(usual.path), 20).getlength(letter) for letter in "مرحبا")
    assert usual.getlength("مرحبا") < 0.95 * joined, "Arabic letters are joined"


@pytest.mark.usefixtures("only_the_usual_font")
def test_letters_that_no_font_has_are_refused_and_signs_left_out() -> None:
    BurnedCaptions.check(spoken("Größe наш שלום مرحبا – 3 €"))
    with pytest.raises(OptionError, match="日本") as caught:
        BurnedCaptions.check(spoken("This is 日本."))
    assert caught.value.code == "captions_no_font"
    with pytest.raises(OptionError) as caught:
        BurnedCaptions.check([])
    assert caught.value.code == "captions_no_words"
    assert "".join(text for text, _ in runs("a 𓀀 b", 20)).replace(" ", "") == "a𓀀b".replace("𓀀", "")


def frames(video: Path) -> list[Frame]:
    with av.open(str(video)) as opened:
        return [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]


def test_in_the_frames_of_videos_and_streams_alike(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    words = (Word("Here", 0.2, 0.4), Word("it", 0.4, 0.48, ends_piece=True))
    audio = dataclasses.replace(speech, samples=speech.samples[:19_200], words=words)
    coming = ComingAudio(16_000, lambda cancel: iter([audio.samples]))
    coming.words = words
    options = RenderOptions(size=128, burn_captions=True)
    made = studio.generate(Request(audio, portrait, options=options), tmp_path / "v.mp4")
    plain = studio.generate(Request(audio, portrait, options=RenderOptions(size=128)), tmp_path / "p.mp4")
    stream = tmp_path / "s.mp4"
    with studio.stream(Request(coming, portrait, options=options)) as segments:
        stream.write_bytes(b"".join(segment.data for segment in segments))
    shown = [0.2 <= n / FPS < 0.88 for n in range(30)]
    for path in (made.path, stream):
        differences = [
            np.abs(one.astype(int) - other)[70:120].mean() for one, other in zip(frames(path), frames(plain.path), strict=True)
        ]
        assert [difference > 3 for difference in differences] == shown, differences


def test_without_words_and_in_live_sessions_it_is_refused(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    options = RenderOptions(burn_captions=True)
    with pytest.raises(OptionError, match="burn_captions") as caught:
        studio.generate(Request(speech, portrait, options=options), tmp_path / "v.mp4")
    assert caught.value.code == "captions_no_words"
    with pytest.raises(OptionError, match="burn_captions"):
        studio.live(portrait, "local", options=options)
