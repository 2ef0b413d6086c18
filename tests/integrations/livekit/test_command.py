"""The worker's command line."""

from __future__ import annotations

import pytest

from core.settings import Settings

pytestmark = pytest.mark.slow  # for the packages that it needs


@pytest.mark.parametrize(("asked", "deployment", "label"), [([], True, True), ([], False, False), (["--set", "label=true"], False, True)])
def test_the_avatar_discloses_itself_as_on_every_server(asked: list[str], deployment: bool, label: bool) -> None:
    from integrations.livekit.__main__ import options_of, parse_arguments

    render = options_of(parse_arguments(["photo.png", "--set", "size=320", *asked]), Settings(label=deployment)).render
    assert (render.label, render.mark, render.size) == (label, True, 320)
