"""Consent that a deployment demands before any work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import OptionError
from core.service.outputs import OutputFolder
from core.service.requests import AvatarInputs, VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.studio import open_studio
from tests.support.paths import PORTRAIT, SPEECH


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    studio = open_studio(Settings(require_consent=True, cache_dir=tmp_path / "cache", output_dir=tmp_path / "out"))
    outputs = OutputFolder(tmp_path / "out" / "videos", 100.0)
    outputs.prepare()
    service = Service(studio, outputs)
    yield service
    service.close(0.0)
    studio.close()


def test_a_deployment_can_demand_it_before_any_work(service: Service) -> None:
    for call in (service.requests.video(VideoInputs(SPEECH, PORTRAIT), "ada"), service.requests.avatar(AvatarInputs(PORTRAIT), "ada")):
        with pytest.raises(OptionError, match="consent") as caught:
            asyncio.run(call)
        assert caught.value.code == "consent_missing"
    assert service.jobs.of("ada") == []
    assert service.requests.check_consent(True) is None
