"""Streams to real RTMP servers: what arrives, that they go on after the server was away, and what is said of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import OptionError
from integrations.broadcast.moments import SAMPLES, Moment
from integrations.broadcast.rtmp import RtmpStream, place_of
from integrations.broadcast.sending import Job
from tests.support.ports import free_port
from tests.support.rtmp_server import MODULE, Nginx, listening, read
from tests.support.serving import wait_for

WIDTH, HEIGHT = 320, 180


NOISE = np.random.default_rng(1).integers(0, 256, (8, HEIGHT, WIDTH, 3), np.uint8)
"""Fills any bit rate, so that the buffers of a connection that hangs are full soon."""


def moments() -> Iterator[Moment]:
    """Pictures that change, a tone, in real time."""
    began_s, n = time.monotonic(), 0
    while True:
        picture = NOISE[n % len(NOISE)]
        t = (n * SAMPLES + np.arange(SAMPLES)) / 48_000
        yield Moment(picture, (0.2 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), n % 50 < 25)
        n += 1
        time.sleep(max(0.0, began_s + n / 25 - time.monotonic()))


def job(port: int, video_bps: int = 300_000) -> Job:
    return Job(f"rtmp://127.0.0.1:{port}/live/secret-key", WIDTH, HEIGHT, video_bps, 64_000, "veryfast", {"comment": "made by a machine"})


def send_until(stream: RtmpStream, true: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    for moment in moments():
        stream.put(moment)
        if true():
            return
        assert time.monotonic() < deadline, stream.state


def test_pictures_and_sound_arrive_at_a_constant_rate(tmp_path: Path) -> None:
    port, said = free_port(), []
    server = listening(port, tmp_path / "taken.flv")
    stream = RtmpStream(job(port), said.append)
    try:
        sent = 0

        def enough() -> bool:
            nonlocal sent
            sent += stream.state.endswith("live")
            return sent > 130

        send_until(stream, enough)
    finally:
        stream.close()
        server.wait(20)
    taken = read(tmp_path / "taken.flv")
    assert taken.codecs == {"video": "h264", "audio": "aac"}
    assert len(taken.pictures) > 100
    assert np.diff(taken.pictures) == pytest.approx(0.04, abs=0.0015)
    assert np.diff(taken.sounds) == pytest.approx(1024 / 48_000, abs=0.0015)
    assert abs(taken.pictures[-1] - taken.sounds[-1]) < 0.1
    assert np.diff(taken.keys) == pytest.approx(2.0, abs=0.002)
    assert said[-1] == f"rtmp://127.0.0.1:{port}/live: connected"
    assert not any("secret-key" in line for line in said)


def test_a_server_that_is_not_there_is_tried_again_ever_more_seldom() -> None:
    said: list[str] = []
    stream = RtmpStream(job(free_port()), said.append)
    send_until(stream, lambda: len(said) >= 2)
    began_s = time.monotonic()
    stream.close()
    assert time.monotonic() - began_s < 9
    assert "Connection refused; next try in 1 s" in said[0]
    assert "next try in 2 s" in said[1]
    assert "secret-key" not in stream.state


@pytest.mark.parametrize("url", ["http://a/b", "rtmp://", "rtmp://host", "file:///etc/passwd", "rtmp:///live/key"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="no address"):
        place_of(url)


def test_keys_are_not_shown() -> None:
    assert place_of("rtmps://user:word@live.example:443/app/key?auth=1") == "rtmps://live.example:443/app"


@pytest.mark.slow
@pytest.mark.skipif(not MODULE.is_file(), reason="no nginx with libnginx-mod-rtmp (Debian): the loss of a server was not tried")
def test_it_goes_on_when_the_server_was_away_and_when_it_hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.broadcast.rtmp.STALL_S", 2.0)
    monkeypatch.setattr("integrations.broadcast.rtmp.FIRST_PAUSE_S", 0.2)
    server, said = Nginx(tmp_path, free_port()), []
    stream = RtmpStream(job(server.port, 12_000_000), said.append)
    try:
        for n in range(1, 4):
            send_until(stream, lambda n=n: stream.n_connections == n)  # type: ignore[misc]
            began_s = time.monotonic()
            send_until(stream, lambda began_s=began_s: time.monotonic() - began_s > 3)  # type: ignore[misc]
            if n == 1:
                server.stop()
                send_until(stream, lambda: any("next try" in line for line in said))
                server.start()
            elif n == 2:
                server.hang()
                send_until(stream, lambda: len([line for line in said if "next try" in line]) > 1)
                server.stop()
                server.start()
    finally:
        stream.close()
        with contextlib.suppress(ProcessLookupError):
            server.stop()
    wait_for(lambda: len(server.recordings) == 3)
    for path in server.recordings:
        taken = read(path)
        assert taken.codecs == {"video": "h264", "audio": "aac"}
        assert len(taken.pictures) > 50
        assert taken.keys[0] == pytest.approx(taken.pictures[0], abs=1e-6)


@pytest.mark.parametrize("url", ["rtmp://host:99999/live/secret", "rtmp://[::1/live/secret", "rtmp://host:x/live/secret"])
def test_half_an_address_is_refused_without_its_key(url: str) -> None:
    with pytest.raises(OptionError) as refused:
        place_of(url)
    assert "secret" not in str(refused.value)
