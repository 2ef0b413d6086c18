"""Sessions whose frames and windows are computed in shared batches get what they get alone, also beside one that fails or is cancelled."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.motion_server import MotionServer
from core.engines.render_server import RenderServer
from core.errors import Cancelled
from core.types import Frame
from tests.support.ditto_sessions import session, sound, spoken

STEP = 1
"""Of 255: batches of another size may round differently."""


@pytest.fixture
def sharing(engine: DittoEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DittoEngine]:
    """The engine with its servers, as on a GPU, but without recorded calls."""
    networks, device = engine._networks, engine.placement.device
    server = RenderServer(networks.warp.from_source, networks.decode, device, (2, 5))
    lmdm = networks.sampler(1).__closure__
    assert lmdm is not None
    network = next(cell.cell_contents for cell in lmdm if hasattr(cell.cell_contents, "sampler"))
    motion = MotionServer(network.sampler, device)
    monkeypatch.setattr(engine, "_server", server)
    theirs = dataclasses.replace(networks, sampler=motion.sampler, warm_motion=motion.warmup, close=motion.close)
    monkeypatch.setattr(engine, "_networks", theirs)
    monkeypatch.setattr(engine, "placement", dataclasses.replace(engine.placement, batch=5, batches_at_once=2))
    yield engine
    engine.close()


def near(a: list[Frame], b: list[Frame]) -> bool:
    return len(a) == len(b) and all(np.abs(x.astype(int) - y).max() <= STEP for x, y in zip(a, b, strict=True))


def test_together_as_alone_beside_one_that_fails_and_one_that_stops(
    sharing: DittoEngine, registered: DittoRegistered, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = sound(640 * 13)
    alone = {seed: spoken(session(sharing, registered, seed=seed), samples) for seed in (1, 2)}
    results: dict[int, Any] = {}

    def work(seed: int) -> None:
        made = session(sharing, registered, seed=seed)
        try:
            if seed == 3:  # one whose pictures cannot be made
                monkeypatch.setattr(made._renderer, "_canvas", lambda index: Broken())
            if seed == 4:  # one that is stopped in the middle
                made._begin()
                reader = made.push(samples)
                results[seed] = next(reader, None)
                made.interrupt()
                return
            results[seed] = spoken(made, samples)
        except BaseException as error:
            results[seed] = error

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert near(results[1], alone[1])
    assert near(results[2], alone[2])
    assert isinstance(results[3], ValueError)


class Broken:
    """A canvas on which nothing can be put."""

    def on(self, device: Any) -> Broken:
        return self

    def put(self, renders: Any) -> Any:
        raise ValueError("no room for the picture")


def test_a_closed_engine_wakes_its_sessions(sharing: DittoEngine, registered: DittoRegistered) -> None:
    sharing._run_networks()
    made = session(sharing, registered)
    sharing.close()
    with pytest.raises(Cancelled):
        spoken(made, sound(640 * 5))
