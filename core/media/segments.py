"""The pieces of a stream, and the place in it where another encoder goes on: values, known also where no codec is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.media.codec_facts import AAC_FRAME

if TYPE_CHECKING:
    from core.media.decode import Block

PREROLL = 8 * AAC_FRAME
"""Samples of sound that an encoder keeps back, and those that it must have heard before, to go on as if it had heard all."""


@dataclass(frozen=True)
class Segment:
    """One piece of a stream. Pieces put one after the other are a fragmented MP4.

    index: counts from 0, the "init" piece; the first "media" piece is 1. start_s, duration_s, n_frames: of its picture; its sound may begin
    and end a few milliseconds beside it. final: nothing follows. sound_end: samples of sound in the stream up to here.
    """

    index: int
    kind: Literal["init", "media"]
    data: bytes
    start_s: float = 0.0
    duration_s: float = 0.0
    n_frames: int = 0
    final: bool = False
    sound_end: int = 0


@dataclass(frozen=True, eq=False)
class StreamPlace:
    """Where a stream goes on that another encoder began with the same arguments. index, n_frames: pieces and frames so far.
    sound_end: of the last piece. sound_before: (channels, n) float32, the last of the sound before the frames that follow, PREROLL at
    least where there is so much: it is encoded again, so that the joint is heard as little as any other place.
    """

    index: int
    n_frames: int
    sound_end: int
    sound_before: Block
