"""Errors that the service keeps and tells: without paths of the server, and without the calls they came through."""

from __future__ import annotations

from core.errors import forget_frames
from core.service.errors import hide_paths


def test_no_path_is_told() -> None:
    said = hide_paths("The file cannot be fetched into /tmp/some/models: see https://example.org/a/b and ./setup.sh, WS /live.")
    assert said == "The file cannot be fetched into models: see https://example.org/a/b and ./setup.sh, WS /live."


def test_an_error_that_was_raised_from_itself_is_let_go_of() -> None:
    error = ValueError("round and round")
    error.__cause__ = KeyError("there")
    error.__cause__.__cause__ = error
    try:
        raise error
    except ValueError:
        forget_frames(error)
    assert error.__traceback__ is None
    assert error.__cause__.__traceback__ is None
