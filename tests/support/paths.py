"""Where the repository, its shipped assets and the data of the tests are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
DATA = ROOT / "tests" / "data"
PORTRAIT, SPEECH, LONG_SPEECH = ASSETS / "portrait.png", ASSETS / "speech_3s.wav", ASSETS / "speech_7s.wav"
