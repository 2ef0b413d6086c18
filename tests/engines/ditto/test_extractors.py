"""Appearance and motion of a source as one call: what the networks give one by one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.atomic_components.saved_registration import saved
from core.engines import ditto_extractors, ditto_networks
from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_extractors import RecordedExtractors
from core.request import Framing
from core.types import Photo
from tests.support.golden_io import SEED
from tests.support.synthetic_checkpoints import TINY, checkpoints, network_of

pytestmark = pytest.mark.usefixtures("tiny_ditto")


def crops(n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, 3, 256, 256, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def recorded(engine: DittoEngine) -> RecordedExtractors:
    networks = engine._networks
    return RecordedExtractors(networks.appearance, networks.motion, torch.device("cpu"))


def test_one_call_gives_what_two_give_and_keeps_nothing_of_it(engine: DittoEngine, recorded: RecordedExtractors) -> None:
    with torch.inference_mode():
        first, _ = recorded.both(crops(1, 1)), recorded.both(crops(1, 2))
        wanted = engine._networks.appearance(crops(1, 1)), engine._networks.motion(crops(1, 1))
        assert torch.equal(first[0], wanted[0])
        assert all(torch.equal(got, want) for got, want in zip(first[1], wanted[1], strict=True))
        assert torch.equal(recorded.appearance(crops(1, 1)), wanted[0])
        four = recorded.motion(crops(4, 3))
        assert torch.equal(four.exp, engine._networks.motion(crops(4, 3)).exp)


def test_several_callers_get_their_own(recorded: RecordedExtractors) -> None:
    found: dict[int, Any] = {}

    def ask(i: int) -> None:
        with torch.inference_mode():
            for _ in range(2):
                found[i] = recorded.both(crops(1, i))[1].kp

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with torch.inference_mode():
        assert all(torch.equal(found[i], recorded.motion(crops(1, i)).kp) for i in range(4))


def test_without_room_for_a_recording_the_networks_are_called(
    engine: DittoEngine, recorded: RecordedExtractors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def no_room(*given: Any) -> Any:
        tried.append(given)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(ditto_extractors, "RecordedCall", no_room)
    with torch.inference_mode():
        got = [recorded.motion(crops(1, 1)).kp for _ in range(2)]
        assert torch.equal(got[0], engine._networks.motion(crops(1, 1)).kp)
    assert torch.equal(got[0], got[1])
    assert len(tried) == 1
    assert "no room for it" in caplog.text


def test_a_photo_is_registered_by_one_call(
    root: Path, portrait: Photo, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU. What is kept of the photo is the same to the last bit, and its appearance is there already."""
    networks = ditto_networks._torch_networks

    def on_gpu(*given: Any) -> Any:
        made = networks(*given)
        both = RecordedExtractors(made.appearance, made.motion, torch.device("cpu")).both
        return ditto_networks.dataclasses.replace(made, both=both)

    monkeypatch.setattr(ditto_networks, "_torch_networks", on_gpu)
    engine = DittoEngine(checkpoints(root), "cpu")
    found = engine.register(portrait, Framing())
    monkeypatch.setattr(found.source, "_extract", None)  # is not asked for it
    ours, wanted = saved(found.source)[0], saved(registered.source)[0]
    assert ours.keys() == wanted.keys()
    assert all(np.array_equal(ours[name], wanted[name]) for name in wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recorded_on_a_gpu() -> None:
    device = torch.device("cuda")
    appearance, motion = (network_of(role, TINY[role], SEED).to(device) for role in ("appearance_extractor", "motion_extractor"))
    recorded = RecordedExtractors(appearance, motion, device)
    with torch.inference_mode():
        recorded.both(crops(1, 1).to(device))
        feature, info = recorded.both(crops(1, 2).to(device))
        assert torch.allclose(feature, appearance(crops(1, 2).to(device)), atol=1e-3)
        assert torch.allclose(info.kp, motion(crops(1, 2).to(device)).kp, atol=1e-3)
