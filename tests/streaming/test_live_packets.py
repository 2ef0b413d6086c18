"""A live session that gives packets: H.264 and Opus of each frame, encoded once, with the session's own time."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from core.errors import OptionError
from core.service.live_source import PACKETS
from core.streaming import LiveOptions, LivePacket
from tests.support.live_stage import Stage, rustle


def packets_of(stage: Stage) -> list[LivePacket]:
    return [output for output in stage.out if isinstance(output, LivePacket)]


def decoded(codec: str, parts: list[bytes]) -> list[Any]:
    context: Any = av.CodecContext.create(codec, "r")
    return [frame for part in (*map(av.Packet, parts), None) for frame in context.decode(part)]


def test_each_frame_is_one_packet_of_each_kind() -> None:
    stage = Stage(PACKETS)
    stage.run(0.4)
    stage.live.feed(rustle(1.0), 16_000)
    stage.live.end_of_utterance()
    stage.run(2.0)
    packets = packets_of(stage)
    assert [packet.at_s for packet in packets] == pytest.approx([n / 25 for n in range(len(packets))])
    n = len(packets)
    assert n == 61, "one now, and one every 40 ms"
    assert packets[0].key
    assert [n for n, packet in enumerate(packets) if packet.key] == [0, 50], "every two seconds"
    pictures = decoded("h264", [packet.picture for packet in packets])
    assert len(pictures) == n
    assert all(picture.pict_type in (av.video.frame.PictureType.I, av.video.frame.PictureType.P) for picture in pictures)
    sounds = decoded("libopus", [packet.sound for packet in packets])
    assert [sound.samples for sound in sounds] == [1920] * n
    heard = [float(np.abs(sound.to_ndarray()).max()) for sound in sounds]
    speaking = [packet.speaking for packet in packets]
    assert sum(speaking) == 25
    first = speaking.index(True)
    assert min(heard[first + 1 : first + 24]) > 0.02, "the voice is in the packets of the frames that speak"
    assert max(heard[:first]) < 0.001


def test_the_profile_is_constrained_baseline_and_a_key_frame_brings_it_along() -> None:
    stage = Stage(PACKETS)
    stage.run(0.2)
    first = packets_of(stage)[0].picture
    at = first.index(b"\x00\x00\x01\x67") + 4
    profile, constraints = first[at], first[at + 1]
    assert profile == 66
    assert constraints & 0xC0 == 0xC0


def test_a_key_frame_comes_when_one_is_asked_for() -> None:
    stage = Stage(PACKETS)
    stage.run(0.4)
    seen = len(packets_of(stage))
    stage.live.request_keyframe()
    stage.run(0.2)
    assert [packet.key for packet in packets_of(stage)[seen:]].index(True) == 0


def test_after_an_interrupt_nothing_older_comes() -> None:
    stage = Stage(PACKETS)
    stage.live.feed(rustle(2.0), 16_000)
    stage.run(0.6)
    generation = stage.live.interrupt()
    seen = len(packets_of(stage))
    stage.run(0.6)
    assert {packet.generation for packet in packets_of(stage)[seen:]} == {generation}
    assert not any(packet.speaking for packet in packets_of(stage)[seen:])


def test_opus_has_one_rate() -> None:
    with pytest.raises(OptionError, match="sound_rate_hz"):
        LiveOptions(output="packets", sound_rate_hz=24_000)
