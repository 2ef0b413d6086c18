"""A photo in which no face is found, and where its face is."""

from __future__ import annotations

from tests.support.paths import ROOT

CAT = ROOT / "tests" / "data" / "cat.jpg"
WIDTH, HEIGHT = 451, 300
POINTS = ((170, 116), (318, 136), (203, 271), (306, 271), (256, 276), (258, 298))
"""Pixels: eyes, corners of the mouth, lips, chin."""
LANDMARKS = tuple((round(x / WIDTH, 4), round(y / HEIGHT, 4)) for x, y in POINTS)
AS_TEXT = " ".join(f"{x},{y}" for x, y in LANDMARKS)
