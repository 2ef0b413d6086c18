"""A microphone that comes over WebRTC, spoken by a live session as it is heard."""

from __future__ import annotations

import queue
import time
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError

from core.service.held_session import HeldSession

QUIET = 650
"""Of 32767: slices whose loudest sample is below it are pauses."""
PAUSE_S = 0.1
BEHIND_S = 0.1
"""While more sound than this waits, pauses are left out after PAUSE_S of them: clocks differ, and networks stall."""


MOST_UNDECODED = 50
"""Packets, a second of them."""


class DecoderQueue(queue.Queue[Any]):
    """What waits for the library's decoder, a thread, which it waits for at the end, on the event loop. Of what a client sends faster than
    it is decoded the rest is left out; None, which ends the decoder, is not.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None or self.qsize() < MOST_UNDECODED:
            super().put(item, block, timeout)


class Microphone:
    """heard_s: when sound came last, by time.monotonic()."""

    def __init__(self, session: HeldSession) -> None:
        self._session = session
        self.heard_s = time.monotonic()

    async def listen(self, track: Any) -> None:
        """Until the track ends. track: gives audio frames of 16-bit samples."""
        live = self._session
        quiet_s = 0.0
        try:
            while not live.closed:
                frame = await track.recv()
                self.heard_s = time.monotonic()
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).astype(np.int32).mean(axis=1).astype(np.int16)
                quiet_s = quiet_s + len(samples) / frame.sample_rate if np.abs(samples).max(initial=0) < QUIET else 0.0
                if quiet_s > PAUSE_S and live.buffered_s > BEHIND_S:
                    continue
                live.hear(samples, frame.sample_rate)  # without room it is not spoken: what is live does not wait
        except MediaStreamError:
            live.end_of_utterance()
