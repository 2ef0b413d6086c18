"""Settings from the environment: what is said of a bad one."""

from __future__ import annotations

import traceback

import pytest

from core.errors import OptionError
from core.settings import read_settings
from core.web.api.settings import ServerSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOBS_DATABASE", "mysql://ada:hidden-one@host/jobs"),
        ("REDIS_URL", "http://:hidden-one@host/0"),
        ("MARK_KEY", "hidden-one"),
        ("S3_ENDPOINT", "https://ada:hidden-one@host:9000"),
        ("SPEECH_URL", "https://ada:hidden-one@host/v1?model=a"),
    ],
)
def test_a_bad_setting_is_named_without_its_secret(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes into logs, and so would its cause."""
    monkeypatch.setenv(f"TALKING_HEAD_{name}", value)
    with pytest.raises(OptionError, match=f"TALKING_HEAD_{name}") as caught:
        read_settings(ServerSettings)
    assert "hidden-one" not in "".join(traceback.format_exception(caught.value))


def test_of_any_other_its_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_MAX_JOBS", "many")
    with pytest.raises(OptionError, match="TALKING_HEAD_MAX_JOBS is 'many'"):
        read_settings(ServerSettings)
