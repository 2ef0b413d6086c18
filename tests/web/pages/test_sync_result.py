"""What the pages say of how well the lips of a video fit its sound."""

from __future__ import annotations

import dataclasses

import pytest

from core.generation import GenerationInfo
from core.notices import notice
from core.web.pages.html import facts, result_html
from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH

INFO = GenerationInfo("lite", "", 75, 25, 320, 320, 3.0, 0.3, 0.1, 50.0, 0.0, 0.0, 1, sync_offset_ms=-12.4, sync_confidence=0.934)


@pytest.mark.parametrize(
    ("texts", "said"),
    [(ENGLISH, "lips -12 ms against the sound, confidence 0.93"), (GERMAN, "Lippen -12 ms gegen den Ton, Verlässlichkeit 0,93")],
)
def test_details_have_offset_and_confidence(texts: Texts, said: str) -> None:
    assert said in facts(texts, INFO.to_dict())
    assert said in result_html(texts, INFO)
    unknown = dataclasses.replace(INFO, sync_offset_ms=None, sync_confidence=None)
    assert not any("0.93" in each or "0,93" in each for each in facts(texts, unknown.to_dict()))


def test_a_video_that_was_made_before_it_was_measured_is_shown() -> None:
    kept = {key: value for key, value in INFO.to_dict().items() if not key.startswith("sync_")}
    assert len(facts(ENGLISH, kept)) == len(facts(ENGLISH, INFO.to_dict())) - 1
    assert GenerationInfo.from_dict(kept).sync_confidence is None


@pytest.mark.parametrize(("texts", "why"), [(ENGLISH, "music, noise or several voices"), (GERMAN, "Musik, Geräusche oder mehrere Stimmen")])
def test_a_low_confidence_is_said_with_the_reason(texts: Texts, why: str) -> None:
    low = dataclasses.replace(INFO, sync_confidence=0.21, warnings=(notice("sync_unlike", confidence="0.21", least="0.49"),))
    said = result_html(texts, low)
    assert why in said
    assert f"0{texts.decimal}21" in said
    assert "th-note" in said
