"""The size of the pages' videos: sharp where the machine was fast enough, which is found out once and kept."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from core.generation import GenerationInfo
from core.optimization.cache_folder import CacheFolder
from core.service.examples import EXAMPLES
from core.service.page_size import FAST_RTF, PageSize
from core.settings import Settings
from core.studio import Studio

INFO = GenerationInfo(
    engine="lite", engine_reason="", frames=75, fps=25, width=512, height=512, audio_s=3.0, wall_s=0.6, rtf=0.2, first_frame_ms=50.0,
    register_ms=0.0, load_ms=0.0, seed=0, warnings=(), avatar=None, label=True,
)  # fmt: skip


@pytest.fixture
def sizes(serving: Studio, own_settings: Settings) -> PageSize:
    return PageSize(serving, own_settings, CacheFolder(own_settings.cache_dir))


def ended(**facts: Any) -> Any:
    """The record of a video that was made."""
    return SimpleNamespace(kind="video", state="done", result={"info": dataclasses.replace(INFO, **facts).to_dict()})


def test_nothing_known_is_the_default_of_all_interfaces(sizes: PageSize) -> None:
    assert sizes.px == 320


@pytest.mark.parametrize(
    ("facts", "px"),
    [
        ({"wall_s": 0.6}, 512),
        ({"wall_s": 3 * FAST_RTF}, 320),
        ({"wall_s": 1.2, "register_ms": 600.0}, 512),  # finding the face is not what a frame costs
        ({"wall_s": 0.6, "width": 320, "height": 320}, 320),  # sharp ones have 2.56 times the pixels
        ({"wall_s": 0.3, "width": 320, "height": 320}, 512),
        ({"wall_s": 1.5, "width": 1024, "height": 1024}, 320),
        ({"wall_s": 0.1, "audio_s": 0.5}, 320),  # too short to tell
        ({"wall_s": 0.1, "cache_hit": True}, 320),
        ({"wall_s": 0.6, "engine": "ditto"}, 320),  # not the one that serves
    ],
)
def test_a_video_that_was_made_tells_how_fast_the_machine_is(sizes: PageSize, facts: dict[str, Any], px: int) -> None:
    sizes.job_ended(ended(**facts))
    assert sizes.px == px


def test_what_was_found_out_is_kept_and_a_busy_moment_changes_nothing(sizes: PageSize, serving: Studio, own_settings: Settings) -> None:
    sizes.job_ended(ended(wall_s=2.0))
    sizes.job_ended(ended(wall_s=0.6))
    sizes.job_ended(ended(wall_s=2.0))
    assert PageSize(serving, own_settings, CacheFolder(own_settings.cache_dir)).px == 512


def test_a_damaged_file_is_as_none(serving: Studio, own_settings: Settings) -> None:
    cache = CacheFolder(own_settings.cache_dir)
    (cache.make_subfolder("speed") / "rtf.json").write_text("[1, 2")
    assert PageSize(serving, own_settings, cache).px == 320


def test_it_is_measured_once(sizes: PageSize, serving: Studio, own_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes.measure(EXAMPLES[0])
    assert (own_settings.cache_dir / "speed" / "rtf.json").read_text().startswith('{"lite"')
    monkeypatch.setattr(serving, "generate", lambda *arguments: pytest.fail("it was measured again"))
    sizes.measure(EXAMPLES[0])
    PageSize(serving, own_settings, CacheFolder(own_settings.cache_dir)).measure(EXAMPLES[0])


def test_a_deployment_can_say_it(serving: Studio, own_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = PageSize(serving, own_settings.model_copy(update={"page_size": 400}), CacheFolder(own_settings.cache_dir))
    monkeypatch.setattr(serving, "generate", lambda *arguments: pytest.fail("there is nothing to be found out"))
    fixed.measure(EXAMPLES[0])
    assert fixed.px == 400
