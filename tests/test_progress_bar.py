"""The line on a terminal: what it shows, how often, and that it can be taken away."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from core import progress_bar
from core.generation import Progress
from core.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def lines(terminal: Terminal) -> list[str]:
    return terminal.getvalue().split("\r\x1b[K")[1:]


@pytest.mark.usefixtures("columns")
def test_it_shows_stage_and_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "TELL_EVERY_S", 0.0)
    with redirect_stderr(terminal := Terminal()):
        bar = ProgressBar()
        for progress in (Progress("loading"), Progress("animating", 15, 60), Progress("animating", 7)):
            bar(progress)
        bar.end()
    shown = lines(terminal)
    assert shown[0].startswith("loading  ")
    assert f"[{'#' * 7}{'.' * 23}] 15/60 frames" in shown[1]
    assert "] " not in shown[2]
    assert "7 frames" in shown[2]
    assert shown[3] == ""


@pytest.mark.usefixtures("columns")
def test_it_is_written_seldom_but_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "TELL_EVERY_S", 3600.0)
    monkeypatch.setattr("time.monotonic", iter([10_000.0, 10_001.0, 10_002.0, 10_003.0]).__next__)
    with redirect_stderr(terminal := Terminal()):
        bar = ProgressBar()
        for done in (1, 2, 3):
            bar(Progress("animating", done, 3))
    assert ["1/3" in lines(terminal)[0], "3/3" in lines(terminal)[1], len(lines(terminal))] == [True, True, 2]


@pytest.mark.usefixtures("columns")
def test_a_long_line_fits_the_terminal() -> None:
    with redirect_stderr(terminal := Terminal()):
        ProgressBar().show("x" * 200)
    assert len(lines(terminal)[0]) == 79


def test_elsewhere_it_is_silent() -> None:
    with redirect_stderr(written := io.StringIO()):
        bar = ProgressBar()
        bar(Progress("animating", 3, 3))
        bar.end()
    assert written.getvalue() == ""
