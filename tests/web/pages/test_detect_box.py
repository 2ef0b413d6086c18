"""The box of the Status tab that checks a video: what it says, in both languages, of what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import InputError
from core.provenance.mark_detection import MarkReading
from core.provenance.reading import Manifest, Provenance
from core.web.pages.language import LANGUAGES
from core.web.pages.tabs.detect import detected_html
from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH

FOUND = MarkReading(True, 3e-12, n_frames=250)


@pytest.mark.parametrize("texts", LANGUAGES, ids=lambda texts: texts.language)
def test_every_result_has_words(texts: Texts) -> None:
    unread = InputError("The video's pictures cannot be decoded.", "Try another file.")
    marks = ((None, unread), (MarkReading(False, 1.0), None), (FOUND, None))
    manifests = (None, Manifest("trusted"), Manifest("intact"), Manifest("broken"))
    said = {detected_html(texts, Provenance({}, manifest, mark, error)) for mark, error in marks for manifest in manifests}
    assert len(said) == 12
    assert all("{" not in html for html in said)


def test_what_is_found_is_told() -> None:
    html = detected_html(ENGLISH, Provenance({}, None, replace(FOUND, payload=0x2A)))
    for words in ("marked as synthetic", "once in 10¹¹ videos", "number 0000002a", "say nothing about it"):
        assert words in html
    assert "als künstlich gekennzeichnet" in detected_html(GERMAN, Provenance({"synthetic_media": "true"}, None, None))
    nothing = detected_html(ENGLISH, Provenance({"comment": "<b>holiday</b>"}, None, MarkReading(False, 1.0)))
    assert "does not prove that it is real" in nothing
    assert "holiday" not in nothing
