"""Draws captions into frames: white letters with a dark rim, in lines that fit the picture."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from core.errors import OptionError
from core.media.caption_font import missing_letters, runs
from core.media.captions import Caption, broken, captions
from core.media.label import Label
from core.media.overlay import Overlay
from core.types import Frame, Word

_SIZE, _LEAST_SIZE_PX = 0.06, 11
"""Height of the letters as a share of the picture's shorter side, and the least at which they can be read."""
_RIM, _SPACING, _WIDTH = 0.13, 1.28, 0.92
"""Width of the rim and distance of the lines, in heights of the letters; width of a line, at most, as a share of the picture's."""


class BurnedCaptions:
    """Captions for pictures of one size. They stand at the lower edge, above the place of the label, in the middle."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._size_px = max(_LEAST_SIZE_PX, round(_SIZE * min(width, height)))
        self._rim_px = max(1, round(_RIM * self._size_px))
        self._bottom = Label(width, height).box[0]
        self._n_words = -1
        self._captions: list[Caption] = []
        self._at = 0
        self._shown: tuple[Caption, Overlay] | None = None

    @staticmethod
    def check(words: Sequence[Word]) -> None:
        """Raises OptionError where captions cannot be made of these words."""
        if not words:
            raise OptionError(
                "burn_captions is given, but it is not known when which word is said.",
                "Give a text and a voice that tells it, or leave burn_captions out.", code="captions_no_words",
            )  # fmt: skip
        check_letters(" ".join(word.text for word in words))

    def draw(self, frame: Frame, words: Sequence[Word], at_s: float) -> None:
        """Draws into `frame`, (height, width, 3) uint8 RGB, in place, what is shown at `at_s`, which never gets less.

        words: of the recording as far as they are known, at least to `at_s`; those given before stay as they are.
        """
        if len(words) != self._n_words:
            self._n_words = len(words)
            self._captions = captions(broken(words, self._fits), self._fits)
        while self._at < len(self._captions) and self._captions[self._at].end_s <= at_s:
            self._at += 1
        if self._at == len(self._captions) or self._captions[self._at].start_s > at_s:
            return
        caption = self._captions[self._at]
        if self._shown is None or self._shown[0].lines != caption.lines:
            self._shown = caption, self._drawn(caption.lines)
        self._shown[1].draw(frame)

    def _fits(self, line: str) -> bool:
        return _width(line, self._size_px) + 2 * self._rim_px <= _WIDTH * self._width

    def _drawn(self, lines: Sequence[str]) -> Overlay:
        step = round(_SPACING * self._size_px)
        tall = min(step * len(lines) + 2 * self._rim_px, self._bottom)
        white, dark = (Image.new("L", (self._width, tall)) for _ in range(2))
        for index, line in enumerate(lines):
            x = (self._width - _width(line, self._size_px)) / 2
            baseline = tall - self._rim_px - step * (len(lines) - index - 1) - round(0.25 * self._size_px)
            for text, font in runs(line, self._size_px):
                ImageDraw.Draw(white).text((x, baseline), text, 255, font, "ls")
                ImageDraw.Draw(dark).text((x, baseline), text, 255, font, "ls", stroke_width=self._rim_px)
                x += font.getlength(text)
        return Overlay(self._bottom - tall, 0, np.asarray(white, np.float32) / 255, np.asarray(dark, np.float32) / 255)


@functools.lru_cache(maxsize=1024)
def _width(line: str, size_px: int) -> float:
    return sum(font.getlength(text) for text, font in runs(line, size_px))


def check_letters(text: str) -> None:
    """Raises OptionError for a text with letters that no font here has."""
    missing = missing_letters(text)
    if missing:
        raise OptionError(
            f"No font here can show {missing[:12]!r}, which the captions need.",
            "Install a font with these letters, such as Noto Sans (docs/usage.md), or leave out burn_captions.",
            code="captions_no_font", parameters={"letters": missing[:12]},
        )  # fmt: skip
