"""Videos that are shown while they are made: each address works once, for its own tab."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import FaceError
from core.generation_run import GenerationRun
from core.service.streams import StreamRoute, Streams
from core.studio import Studio
from core.types import Audio, Photo, RenderOptions, Request
from tests.support.app_process import probe


class TestStreams:
    @pytest.fixture
    def streams(self) -> Iterator[Streams]:
        streams = Streams()
        yield streams
        streams.stop()

    def open(self, streams: Streams, studio: Studio, portrait: Photo, speech: Audio) -> str:
        request = Request(speech, portrait, options=RenderOptions(size=64), owner="ada")
        return streams.open(studio.stream(request), "tab")

    @staticmethod
    def get(streams: Streams, address: str) -> tuple[int, str, bytes]:
        from starlette.testclient import TestClient

        async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError(f"{scope['path']} was handed on")

        answer = TestClient(StreamRoute(elsewhere, streams)).get(f"/{address}")
        return answer.status_code, answer.headers["content-type"], answer.content

    def test_it_comes_once(self, streams: Streams, studio: Studio, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
        address = self.open(streams, studio, portrait, speech)
        assert re.fullmatch(r"talking_head_stream/[0-9a-f]{48}", address)
        status, kind, data = self.get(streams, address)
        assert status == 200
        assert kind.startswith('video/mp4; codecs="avc1')
        (tmp_path / "stream.mp4").write_bytes(data)
        assert probe(str(tmp_path / "stream.mp4"))[:3] == (64, 64, speech.n_frames)
        assert self.get(streams, address)[0] == 404
        pieces = streams.of(address, "tab")
        assert pieces is not None
        assert pieces.job.result().frames == speech.n_frames
        assert streams.of(address, "another tab") is None

    def test_what_fails_at_once_has_an_answer_and_a_reason(self, streams: Streams, studio: Studio, speech: Audio) -> None:
        wall = Photo(np.full((128, 128, 3), 90, np.uint8), "wall")
        address = self.open(streams, studio, wall, speech)
        assert self.get(streams, address)[0] == 409
        pieces = streams.of(address, "tab")
        assert pieces is not None
        with pytest.raises(FaceError):
            pieces.job.result(10)

    def test_a_fault_in_the_middle_ends_what_was_sent_and_is_logged(
        self, streams: Streams, studio: Studio, portrait: Photo, speech: Audio, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        whole = GenerationRun.frames

        def breaks_off(performance: GenerationRun, job: Any) -> Iterator[Any]:
            yield from itertools.islice(whole(performance, job), 50)
            raise RuntimeError("a fault")

        monkeypatch.setattr(GenerationRun, "frames", breaks_off)
        address = self.open(streams, studio, portrait, speech)
        status, _, data = self.get(streams, address)
        assert status == 200
        assert len(data) > 1000
        assert "a stream failed" in caplog.text

    def test_who_leaves_stops_the_work(self, streams: Streams, studio: Studio, portrait: Photo, speech: Audio) -> None:
        address = self.open(streams, studio, portrait, speech)
        pieces = streams.claim(address.rpartition("/")[2])
        assert pieces is not None
        streams.stop("tab")
        assert pieces.job.wait(10)
        assert streams.of(address, "tab") is None
