"""A microphone that sends more than can be decoded."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from aiortc import rtcrtpreceiver

from core.settings import Settings
from integrations.webrtc.microphone import MOST_UNDECODED, DecoderQueue
from integrations.webrtc.peers import Peers

pytestmark = pytest.mark.slow


def test_what_waits_for_the_decoder_is_bounded_and_its_end_is_told() -> None:
    waiting = DecoderQueue()
    for n in range(10 * MOST_UNDECODED):
        waiting.put(n)
    waiting.put(None)
    assert [waiting.get_nowait() for _ in range(waiting.qsize())] == [*range(MOST_UNDECODED), None]


def test_packets_that_cannot_be_decoded_fill_no_log() -> None:
    live: Any = None
    Peers(live, Settings())
    assert not logging.getLogger(rtcrtpreceiver.__name__).isEnabledFor(logging.WARNING)


def test_the_library_still_has_its_queue_under_that_name() -> None:
    assert "_RTCRtpReceiver__decoder_queue" in rtcrtpreceiver.RTCRtpReceiver.receive.__code__.co_names
