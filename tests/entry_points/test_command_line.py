"""Exit codes and the one line that an error becomes, as all command lines share them."""

from __future__ import annotations

import pytest

from core.command_line import OneLineParser, exit_code
from core.errors import AudioError, EngineUnavailable, TalkingHeadError


def failing(error: BaseException) -> int:
    def run() -> None:
        raise error

    return exit_code(run, "stopped; nothing was written")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (AudioError("a.wav is empty.", "Choose another\nrecording."), 2, "a.wav is empty. Choose another recording."),
        (EngineUnavailable("There is no GPU.", "Use another device."), 1, "There is no GPU. Use another device."),
        (TalkingHeadError("It broke."), 1, "It broke."),
        (KeyboardInterrupt(), 130, "stopped; nothing was written"),
    ],
)
def test_an_error_is_one_line_and_a_code(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(error) == code
    assert capsys.readouterr().err == line + "\n"


def test_a_good_end_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_code(lambda: None) == 0
    assert exit_code(lambda: 1) == 1
    assert exit_code(interrupted, interrupted="") == 0
    assert capsys.readouterr().err == ""


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)


def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = OneLineParser(prog="tool.py")
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--what"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "tool.py: unrecognized arguments: --what. See --help.\n"
