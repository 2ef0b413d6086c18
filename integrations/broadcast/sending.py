"""The process that encodes moments and sends them to an RTMP server: H.264 and AAC in FLV.

A process of its own, for FFmpeg waits for ever in a connection that is stuck, and only a process can then be ended. On stdin: one line of
JSON (`Job`), then for each moment `HEAD` (1: a picture follows), the sound (float32, mono) and the picture (RGB). On stdout a line of JSON
at a time: {"connected": true}; {"bytes": …} about every second; {"error": …} before it ends with 1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import av
import numpy as np

from core.media.encoders import PictureEncoder, SoundEncoder, as_picture
from core.types import FPS
from integrations.broadcast.moments import RATE_HZ, SAMPLES

KEYFRAME_S = 2
CHANNELS = 2
"""Platforms expect stereo; both are the same."""


@dataclass(frozen=True)
class Job:
    """url: with the stream's key in it. video_bps, audio_bps: bits a second. preset: of x264. metadata: what the stream says of itself."""

    url: str
    width: int
    height: int
    video_bps: int
    audio_bps: int
    preset: str
    metadata: Mapping[str, str]

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class FlvStream:
    """An open connection. Raises av.FFmpegError, as `write` and `close` do."""

    def __init__(self, job: Job) -> None:
        self.n_bytes = 0
        self._container = av.open(job.url, "w", format="flv", options={"flvflags": "no_duration_filesize"})
        self._container.metadata.update(job.metadata)
        self._video = self._container.add_stream("libx264", rate=FPS)
        context = self._video.codec_context
        context.bit_rate = job.video_bps
        context.options = {
            "preset": job.preset, "tune": "zerolatency", "profile": "high", "maxrate": str(job.video_bps), "bufsize": str(job.video_bps),
            "forced-idr": "1", "x264-params": "keyint=infinite:scenecut=0",
        }  # fmt: skip
        self._pictures = PictureEncoder(context, job.width, job.height)
        self._audio = self._container.add_stream("aac", rate=RATE_HZ)
        self._sounds = SoundEncoder(self._audio.codec_context, RATE_HZ, CHANNELS)
        self._audio.codec_context.bit_rate = job.audio_bps
        self._next_key = 0
        """By the time of the stream, not by the pictures that were sent: some may be left out."""
        self._shape = job.height, job.width, 3
        self._container.start_encoding()

    def write(self, sound: bytes, picture: bytes | None) -> None:
        """picture: None where it is left out; then the one before stays for longer."""
        samples = np.frombuffer(sound, np.float32)
        self._mux(self._audio, self._sounds.encode(np.stack([samples] * CHANNELS)))
        if picture is None:
            self._pictures.n_frames += 1
            return
        frame = as_picture(np.frombuffer(picture, np.uint8).reshape(self._shape))
        key = self._pictures.n_frames >= self._next_key
        if key:
            self._next_key += KEYFRAME_S * FPS
        self._mux(self._video, self._pictures.encode(frame, keyframe=key))

    def close(self) -> None:
        """Sends what is left and closes the stream."""
        self._mux(self._audio, self._sounds.finish())
        self._mux(self._video, self._pictures.finish())
        self._container.close()

    def _mux(self, stream: Any, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.stream = stream
            self.n_bytes += packet.size
            self._container.mux(packet)


def tell(**news: Any) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def send(taken: BinaryIO) -> None:
    job = Job(**json.loads(taken.readline()))
    stream = FlvStream(job)
    tell(connected=True)
    n_sound, n_picture, told_s = 4 * SAMPLES, job.width * job.height * 3, time.monotonic()
    while len(head := taken.read(1 + n_sound)) == 1 + n_sound:
        picture = taken.read(n_picture) if head[0] else None
        if picture is not None and len(picture) < n_picture:
            break
        stream.write(head[1:], picture)
        if time.monotonic() - told_s >= 1:
            told_s = time.monotonic()
            tell(bytes=stream.n_bytes)
    stream.close()
    tell(bytes=stream.n_bytes)


def main() -> int:
    try:
        send(sys.stdin.buffer)
    except (av.FFmpegError, OSError) as error:
        tell(error=error.strerror or type(error).__name__)  # its whole text has the address, and with it the stream's key
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
