"""Messages for visitors tell no path of the server."""

from __future__ import annotations

from core.service.requests import hide_paths


def test_no_path_is_told() -> None:
    said = hide_paths("The file cannot be fetched into /tmp/some/models: see https://example.org/a/b and ./setup.sh, /etc.")
    assert said == "The file cannot be fetched into models: see https://example.org/a/b and ./setup.sh, etc."
