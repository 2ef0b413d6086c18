"""Consent that a deployment demands before any work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import OptionError
from core.service.avatars import Shelf
from core.service.outputs import OutputFolder
from core.service.requests import Desk, Wish
from core.service.tickets import Visitor
from core.service.videos import History
from core.settings import Settings
from core.studio import Studio, open_studio
from core.web.pages.texts_en import ENGLISH
from tests.support.paths import PORTRAIT, SPEECH


class TestConsent:
    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[Desk]:
        settings = Settings(require_consent=True, cache_dir=tmp_path / "cache", output_dir=tmp_path / "out")
        studio: Studio = open_studio(settings)
        outputs = OutputFolder(tmp_path / "out" / "page", 100.0)
        outputs.prepare()
        yield Desk(studio, outputs, History(outputs))
        studio.close()

    def test_a_deployment_can_demand_it_before_any_work(self, desk: Desk) -> None:
        visitor = Visitor("ada", "tab")

        async def video() -> None:
            await anext(desk.serve(Wish(str(SPEECH), str(PORTRAIT)), visitor, ENGLISH))

        async def avatar() -> None:
            await anext(Shelf(desk).register(str(PORTRAIT), "", 0, False, visitor, ENGLISH))

        for call in (video, avatar):
            with pytest.raises(OptionError, match="agreed"):
                asyncio.run(call())
