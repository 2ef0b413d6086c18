"""A line of the log that repeats stands once, with its count."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from core import log_repeats
from core.log_repeats import MAX_LINES, RepeatFilter
from tests.support.paths import ROOT
from tests.support.serving import wait_for


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger().addHandler(handler)
    yield handler
    logger().removeHandler(handler)


def logger() -> logging.Logger:
    return logging.getLogger("tests.log_repeats")


def counted(handler: logging.Handler, window_s: float = 3600.0) -> RepeatFilter:
    repeats = RepeatFilter(handler, window_s)
    handler.addFilter(repeats)
    return repeats


def test_a_line_that_repeats_stands_once_and_its_count_at_the_end(lines: Lines) -> None:
    repeats = counted(lines)
    for n in range(5):
        logger().warning("the disk is full: %s", "/x")
        logger().warning("another %d", n)
    assert lines.said == ["the disk is full: /x", *(f"another {n}" for n in range(5))]
    repeats.flush()
    assert re.fullmatch(r"the disk is full: /x \(repeated 4 times in \d+ s\)", lines.said[-1])
    logger().warning("the disk is full: /x")
    assert lines.said[-1] == "the disk is full: /x", "after its count it is news again"
    repeats.flush()
    assert len(lines.said) == 8


def test_lines_are_the_same_with_the_same_error_only(lines: Lines) -> None:
    counted(lines)
    for problem in ("a", "b", "a"):
        try:
            raise OSError(problem)
        except OSError:
            logger().exception("it failed")
    assert [said.splitlines()[-1] for said in lines.said] == ["OSError: a", "OSError: b"]


def test_the_count_comes_by_itself_when_the_window_ends(lines: Lines) -> None:
    counted(lines, window_s=0.2)
    for _ in range(3):
        logger().warning("again")
    wait_for(lambda: len(lines.said) >= 2 and "(repeated" in lines.said[-1])


def test_many_threads_and_many_lines_are_counted_right(lines: Lines) -> None:
    repeats = counted(lines)

    def shout() -> None:
        for _ in range(200):
            logger().warning("all together")

    threads = [threading.Thread(target=shout) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(2 * MAX_LINES):  # more than are remembered
        logger().warning("line %d", n)
    repeats.flush()
    told = [said for said in lines.said if said.startswith("all together")]
    assert len(told) == 2
    assert "(repeated 1599 times" in told[1]


def test_a_process_that_ends_says_what_it_held_back() -> None:
    program = "import logging; from core.command_line import log_to_stderr; log_to_stderr()\nfor _ in range(3): logging.warning('again')"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    first, second = ended.stderr.splitlines()
    assert first.endswith("WARNING root: again")
    assert "WARNING root: again (repeated 2 times in" in second


def test_installing_again_changes_nothing(lines: Lines) -> None:
    log_repeats.install(logger())
    log_repeats.install(logger())
    assert sum(isinstance(each, RepeatFilter) for each in lines.filters) == 1
