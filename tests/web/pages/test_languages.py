"""The page's languages: which one fits, and that translations are complete."""

from __future__ import annotations

import string
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio
import pytest

from core.web.pages.component_labels import BY_LANGUAGE
from core.web.pages.figures import filled, human_bytes
from core.web.pages.language import LANGUAGES, choose
from core.web.pages.texts_en import ENGLISH


class TestLanguages:
    @pytest.mark.parametrize(
        ("requested", "accepted", "chosen"),
        [
            ("", "", "en"),
            ("", "de", "de"),
            ("", "de-AT,en;q=0.9", "de"),
            ("", "en,de;q=0.9", "en"),
            ("", "fr,de;q=0.1", "de"),
            ("", "de;q=0", "en"),
            ("en", "de", "en"),
            ("DE", "en", "de"),
            ("xx", "de", "de"),
            ("", ";;q=,*,de;q=abc", "en"),
        ],
    )
    def test_the_language_that_fits_best(self, requested: str, accepted: str, chosen: str) -> None:
        assert choose(requested, accepted, ("en", "de"), "en") == chosen

    @pytest.mark.parametrize("texts", LANGUAGES[1:], ids=lambda texts: texts.language)
    def test_a_translation_says_all_that_english_says(self, texts: Any) -> None:
        def placeholders(sentence: str) -> set[str]:
            return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}

        hints = {"bad_options_hint"}  # shows braces of its own, and is never filled in
        for field in fields(ENGLISH):
            ours, theirs = getattr(ENGLISH, field.name), getattr(texts, field.name)
            assert theirs, field.name
            if isinstance(ours, dict):
                assert ours.keys() == theirs.keys(), field.name
            elif field.name not in hints:
                assert placeholders(ours) == placeholders(theirs), field.name

    def test_each_has_the_words_of_the_components(self) -> None:
        assert {texts.language for texts in LANGUAGES} == set(BY_LANGUAGE)

    @pytest.mark.parametrize("language", [each for each in BY_LANGUAGE if each != "en"])
    def test_what_is_translated_for_gradio_is_what_it_says(self, language: str) -> None:
        """Of the words that appear only when something fails, which nobody would miss on a page that works."""
        said = ["Connection Lost", "Connection to the server was lost. Attempting reconnection...", "Connection errored out.",
                "This application is currently busy. Please try again.", "Could not parse server response: ", "Upload failed",
                "Failed to upload file: "]  # fmt: skip
        assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
        files = [*assets.glob("Blocks-*.js"), *assets.glob("[iI]ndex-*.js")]
        code = "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)
        for words in said:
            assert words in BY_LANGUAGE[language]
            assert words in code, words

    def test_numbers_are_written_as_in_the_language(self) -> None:
        written = [filled(texts, "{s:.1f} s, {n} frames", s=1234.56, n=7) for texts in LANGUAGES]
        assert written == ["1234.6 s, 7 frames", "1234,6 s, 7 frames"]
        sizes = (0, 512, 1536, 150 * 1024, 5.5 * 2**30)
        assert [human_bytes(LANGUAGES[1], size) for size in sizes] == ["0 B", "512 B", "1,5 KiB", "150 KiB", "5,5 GiB"]
