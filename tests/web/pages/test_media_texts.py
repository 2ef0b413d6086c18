"""What is said of photos and recordings: every warning is recognised and every error filled, in each language."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.mark_attacks import Attack, encoded
from core.errors import TalkingHeadError
from core.media import luma
from core.media.audio import load_audio
from core.media.image import load_image
from core.notices import CODES, notice, read_notice
from core.provenance.mark_reading import read_mark
from core.provenance.reading import read_all
from core.request import Controls, RenderOptions
from core.settings import Settings
from core.web.pages.error_texts import sentence, warning
from core.web.pages.language import LANGUAGES
from core.web.pages.tabs.detect import detected_html
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH
from tests.support.paths import PORTRAIT, ROOT, SPEECH

SETTINGS = Settings()


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", CODES)
def test_a_warning_is_recognised_and_said_in_each_language(code: Any) -> None:
    parameters = {name: f"7.5 {name}" for name in placeholders(ENGLISH.notices[code])}
    said = notice(code, **parameters)
    assert read_notice(said) == (code, parameters)
    for texts in LANGUAGES:
        told = warning(texts, said)
        assert "{" not in told
        assert all(value.replace(".", texts.decimal) in told for value in parameters.values())
    assert warning(GERMAN, said) != warning(ENGLISH, said)


def test_limits_have_the_mark_of_the_language_and_names_of_files_stay() -> None:
    error = TalkingHeadError("-", code="upload_too_large", parameters={"name": "v1.2.wav", "limit": "1.5 MiB"})
    said = sentence(GERMAN, error)
    assert "v1.2.wav" in said
    assert "1,5 MiB" in said


def test_another_sentence_stays_as_it_is() -> None:
    assert read_notice("Something else.") is None
    assert warning(GERMAN, "Something else.") == "Something else."


def test_the_tables_have_the_same_placeholders() -> None:
    for name in ("media_errors", "notices"):
        english, german = getattr(ENGLISH, name), getattr(GERMAN, name)
        assert english.keys() == german.keys()
        for code in english:
            assert placeholders(english[code]) == placeholders(german[code]), code


def test_every_code_of_an_error_is_said_in_each_language() -> None:
    raised = {code for file in (ROOT / "core").rglob("*.py") for code in re.findall(r'\bcode="(\w+)"', file.read_text())}
    assert len(raised) > 80
    for texts in LANGUAGES:
        assert raised - {*texts.errors, *texts.media_errors} == set(), texts.language


def failing(path: Path, data: bytes) -> list[TalkingHeadError]:
    """What the readers of photos and of recordings say of a file."""
    path.write_bytes(data)
    caught = []
    for read in (load_image, load_audio):
        with pytest.raises(TalkingHeadError) as error:
            read(path, SETTINGS)
        caught.append(error.value)
    return caught


def small_png() -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1])


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", ["file_empty", "file_empty"]),
        (b"%PDF-1.7 \x80", ["photo_not_image", "recording_not_sound"]),
        (small_png(), ["photo_too_small", "recording_is_photo"]),
        (PORTRAIT.read_bytes()[:3000], ["photo_damaged", "recording_is_photo"]),
        (SPEECH.read_bytes()[:30], ["photo_is_recording", "recording_damaged"]),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_each_language(tmp_path: Path, data: bytes, codes: list[str]) -> None:
    errors = failing(tmp_path / "file.dat", data)
    assert [error.code for error in errors] == codes
    for error in errors:
        english, german = sentence(ENGLISH, error), sentence(GERMAN, error)
        assert "file.dat" in english
        assert "file.dat" in german
        assert english != german
        assert "{" not in german


def test_what_is_wrong_with_a_video_that_is_looked_at_for_marks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.dat"
    monkeypatch.setattr(luma, "MAX_FRAME_PIXELS", 1000)
    video = encoded([np.zeros((64, 48, 3), np.uint8)], Attack())
    for data, code, said in ((video, "frames_too_large", "48×64"), (small_png(), "not_a_video", "kein Video")):
        path.write_bytes(data)
        with pytest.raises(TalkingHeadError) as caught:
            read_mark(path)
        assert caught.value.code == code
        assert "file.dat" in sentence(ENGLISH, caught.value)
        assert said in sentence(GERMAN, caught.value)


def test_pictures_that_are_too_large_are_told_with_their_size_and_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page, in the body of an answer and on the command line, beside what an MP4 says of itself."""
    monkeypatch.setattr(luma, "MAX_FRAME_PIXELS", 1000)
    path = tmp_path / "file.mp4"
    path.write_bytes(encoded([np.zeros((64, 48, 3), np.uint8)], Attack()))
    found = read_all(path)
    assert found.mark is None
    for said in (detected_html(ENGLISH, found), detected_html(GERMAN, found), str(found.to_dict()["mark_problem"])):
        assert "48×64" in said
        assert "1000" in said


def test_options_are_named_as_on_the_page() -> None:
    with pytest.raises(TalkingHeadError) as caught:
        Controls(gaze_x=7.0).verify(frozenset({"gaze_x"}), "lite")
    assert sentence(GERMAN, caught.value) == "Blick zur Seite ist 7.0. Möglich ist -1.0 bis 1.0."
    with pytest.raises(TalkingHeadError) as caught:
        RenderOptions(size=7).verify()
    assert "gerade Zahl" in sentence(GERMAN, caught.value)
