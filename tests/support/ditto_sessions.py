"""Sessions of the Ditto engine on the small synthetic set: sound, frames and keypoints; and what is in a video made by it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from core.engines.ditto import DittoEngine, DittoRegistered
from core.engines.ditto_session import DittoSession
from core.options import read_options
from core.types import Frame, Photo, Samples
from tests.support.golden_io import SEED
from tests.support.synthetic import synthetic_input

QUICK = {"sampling_timesteps": 2, "size": 96}


def sound(n_samples: int) -> Samples:
    return synthetic_input("sound", (n_samples,), SEED, -0.3, 0.3)


def session(engine: DittoEngine, registered: DittoRegistered, **values: Any) -> DittoSession:
    options = read_options({**QUICK, **values})
    engine.verify(Photo(np.zeros((2, 2, 3), np.uint8), ""), options.framing, options.controls, options.render)
    return engine.session(registered, options.controls, options.render)


def spoken(session: DittoSession, samples: Samples, cuts: Sequence[int] = ()) -> list[Frame]:
    """All frames of `samples`, pushed in pieces of these lengths, round and round; at once without any."""
    frames: list[Frame] = []
    start = 0
    for length in itertools.cycle(cuts or [len(samples)]):
        if start >= len(samples):
            break
        frames += session.push(samples[start : start + length])
        start += length
    return [*frames, *session.flush()]


def moved(engine: DittoEngine, registered: DittoRegistered, n_frames: int = 12, **values: Any) -> np.ndarray:
    """(n, 21, 3): driven keypoints without any rendering."""
    made = session(engine, registered, **values)
    made._begin()
    frames = list(made._spoken(made._features.push(sound(640 * n_frames)))) + list(made._spoken(made._features.flush(), ended=True))
    return np.concatenate([frame.kp_driving for frame in frames])


def same(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def frames_of(path: Path) -> tuple[int, int, int, bool]:
    """Frames, width, height, and whether there is sound."""
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
        return len(pictures), pictures[0].width, pictures[0].height, bool(container.streams.audio)
