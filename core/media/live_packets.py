"""Encodes a live session to packets of H.264 and Opus, one of each for a frame, as WebRTC carries them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from core.errors import EncodingError
from core.media.codec_facts import OPUS_HZ
from core.media.decode import Block
from core.media.encoders import OPUS, OPUS_BIT_RATE, STREAM_CRF, X264_PACKETS, PictureEncoder
from core.types import FPS


class LivePackets:
    """One session's. width, height: even. crf: as `RenderOptions` has it; None: the usual. Not thread-safe. Raises EncodingError."""

    def __init__(self, width: int, height: int, crf: int | None = None) -> None:
        video: Any = av.CodecContext.create("libx264", "w")
        video.options = X264_PACKETS if crf is None else {**X264_PACKETS, "crf": str(crf + STREAM_CRF)}
        self._picture = PictureEncoder(video, width, height)
        self._sound: Any = av.CodecContext.create("libopus", "w")
        self._sound.options = OPUS
        self._sound.sample_rate, self._sound.layout, self._sound.format = OPUS_HZ, "mono", "flt"
        self._sound.bit_rate, self._sound.time_base = OPUS_BIT_RATE, Fraction(1, OPUS_HZ)
        self._n_samples = 0
        try:
            video.open()
            self._sound.open()
        except av.FFmpegError as error:
            raise EncodingError(f"An encoder failed: {error}.", "") from error

    def encode(self, picture: av.VideoFrame, sound: Block, keyframe: bool) -> tuple[bytes, bytes]:
        """The H.264 of a frame (Annex B; a key frame brings its parameter sets along), and the Opus packet of its sound.

        picture: from `as_picture`. sound: (1, OPUS_HZ / 25) float32.
        """
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = OPUS_HZ, self._n_samples, Fraction(1, OPUS_HZ)
        self._n_samples += OPUS_HZ // FPS
        try:
            pictures = self._picture.encode(picture, keyframe=keyframe)
            sounds = self._sound.encode(frame)
        except av.FFmpegError as error:
            raise EncodingError(f"An encoder failed: {error}.", "") from error
        return b"".join(map(bytes, pictures)), b"".join(map(bytes, sounds))
