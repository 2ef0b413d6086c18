"""Names of visemes and blendshapes: complete, and what each phone has."""

from __future__ import annotations

import pytest

from core.lite.phones import ARPABET, TABLE
from core.visemes.names import OCULUS, OF_SOUND, PHONES, visemes_of
from core.visemes.weights import DRIVEN

ARKIT = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft",
    "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
"""All blendshapes of ARKit, in the order of their names."""


def test_every_phone_has_visemes_of_both_kinds() -> None:
    assert set(PHONES) == set(TABLE)
    assert {viseme.oculus for viseme in PHONES.values()} == set(OCULUS)
    # the three of diphthongs belong to no single phone
    assert {viseme.azure for viseme in PHONES.values()} | {9, 10, 11} == set(range(22))
    for phone in ARPABET.values():
        assert list(visemes_of(phone))


def test_names_are_those_of_the_standards() -> None:
    assert (len(OCULUS), len(ARKIT), len(set(ARKIT))) == (15, 52, 52)
    assert set(DRIVEN) <= set(ARKIT)
    assert set(OF_SOUND) < set(OCULUS)


@pytest.mark.parametrize(
    ("phone", "visemes"),
    [
        ("p", [("PP", 21)]), ("θ", [("TH", 19)]), ("ð", [("TH", 17)]), ("tʃ", [("DD", 19), ("CH", 16)]), ("aɪ", [("aa", 11), ("I", 11)]),
        ("iː", [("I", 6)]), ("ŋ", [("nn", 20)]), ("", [("sil", 0)]),
    ],
)  # fmt: skip
def test_phones_as_voices_write_them(phone: str, visemes: list[tuple[str, int]]) -> None:
    assert [tuple(viseme) for viseme in visemes_of(phone)] == visemes
