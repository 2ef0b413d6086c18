"""Streams over the Ditto engine, with networks that are as small as they can be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from core.engines.ditto import DittoEngine  # noqa: E402
from core.errors import OptionError  # noqa: E402
from core.request import Controls, RenderOptions, Request  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.streaming import LiveEvent, LiveFrame, LiveOptions, LiveOutput  # noqa: E402
from core.studio import Studio, open_studio  # noqa: E402
from core.types import Audio, Photo  # noqa: E402
from tests.support.streams import Clock, pictures  # noqa: E402
from tests.support.synthetic_checkpoints import TINY, checkpoints, tiny_networks, write_checkpoints  # noqa: E402

pytestmark = pytest.mark.slow
QUICK = RenderOptions(size=96, sampling_timesteps=2)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    root: Path = write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)
    settings = Settings(output_dir=root / "out", cache_dir=root / "cache")
    with tiny_networks():
        studio = open_studio(settings, lambda: DittoEngine(checkpoints(root), "cpu"))
        yield studio
        studio.close()


def test_a_recording_in_pieces(studio: Studio, speech: Audio, portrait: Photo) -> None:
    speech = dataclasses.replace(speech, samples=speech.samples[:8_000])
    stream = studio.stream(Request(speech, portrait, engine="ditto", options=QUICK))
    pieces = list(stream)
    assert len(pictures(b"".join(piece.data for piece in pieces))) == speech.n_frames
    assert stream.job.result(5).engine == "ditto"


def test_live_speech_idle_interrupt_and_another_emotion(studio: Studio, speech: Audio, portrait: Photo) -> None:
    clock = Clock()
    options = LiveOptions(output="frames", lead_s=0)
    live = studio.live(portrait, "local", engine="ditto", options=QUICK, live=options, clock=clock)
    out: list[LiveOutput] = []

    def run(seconds: float) -> None:
        for _ in range(round(seconds * 25)):
            clock.advance(0.04)
            while (output := live.next_output()) is not None:
                out.append(output)

    run(0.4)
    live.feed(speech.samples[:16_000], 16_000)
    live.end_of_utterance()
    run(1.4)
    with pytest.raises(OptionError, match="emo is 99"):
        live.set_controls(Controls(emo=99))
    live.set_controls(Controls(emo=6))
    live.feed(speech.samples, 16_000)
    run(1.0)
    live.interrupt()
    run(0.4)
    live.close()
    assert [output.kind for output in out if isinstance(output, LiveEvent)] == [
        "ready", "speaking", "idle", "speaking", "interrupted", "idle",
    ]  # fmt: skip
    frames = [output for output in out if isinstance(output, LiveFrame)]
    assert [frame.at_s for frame in frames] == [i / 25 for i in range(len(frames))]
    assert sum(frame.speaking for frame in frames[:46]) == 25
    assert not any(frame.speaking for frame in frames if frame.generation == 1)
    assert all(np.ptp(frame.frame) > 0 for frame in frames)
