"""The voices of requirements-speech.txt, loaded once for all tests."""

from __future__ import annotations

import pytest

from core.speech_synthesis.espeak import Espeak
from core.speech_synthesis.kokoro import Kokoro


@pytest.fixture(scope="session")
def kokoro() -> Kokoro:
    return Kokoro()


@pytest.fixture(scope="session")
def espeak() -> Espeak:
    return Espeak()
