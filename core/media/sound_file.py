"""Writes mono sound as a file that can be played while it is written: WAV, MP3 or raw samples."""

from __future__ import annotations

import io
import struct
from typing import Literal

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import EncodingError
from core.types import Samples

SoundFormat = Literal["wav", "mp3", "pcm"]
RATE_HZ = 24_000
"""Of all that is written: raw samples do not tell it, and programs take them for this."""
MIME_TYPES: dict[SoundFormat, str] = {"wav": "audio/wav", "mp3": "audio/mpeg", "pcm": "audio/pcm"}
_MP3_BIT_RATE = 64_000
_UNKNOWN = 0xFFFFFFFF
"""A length that is not known yet, in the head of a WAV file."""


class SoundWriter:
    """form: wav and pcm have 16 bits, little endian. rate_hz: of the samples that are given."""

    def __init__(self, form: SoundFormat, rate_hz: int) -> None:
        self._resampler = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ") if rate_hz != RATE_HZ else None
        self._mp3 = _Mp3() if form == "mp3" else None
        self._head = _wav_head(RATE_HZ, None) if form == "wav" else b""

    def write(self, samples: Samples) -> bytes:
        """samples: (n,) float32, -1..1. What is ready of the file; may be nothing."""
        return self._written(samples, False)

    def finish(self) -> bytes:
        """The rest. Nothing can be written after it."""
        rest = self._written(np.zeros(0, np.float32), True)
        return rest + self._mp3.finish() if self._mp3 is not None else rest

    def _written(self, samples: Samples, last: bool) -> bytes:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        raw = _int16(samples)
        head, self._head = self._head, b""
        return self._mp3.write(raw) if self._mp3 is not None else head + raw.tobytes()


class _Mp3:
    def __init__(self) -> None:
        self._sink = _Sink()
        # Neither a tag nor a frame with the length, which would be filled in at the end.
        self._container = av.open(self._sink, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"})
        self._stream = self._container.add_stream("libmp3lame", rate=RATE_HZ, layout="mono")
        self._stream.bit_rate = _MP3_BIT_RATE
        self._n = 0

    def write(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bytes:
        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, self._n
            self._n += len(samples)
            self._mux(frame)
        return self._sink.take()

    def finish(self) -> bytes:
        self._mux(None)
        self._container.close()
        return self._sink.take()

    def _mux(self, frame: av.AudioFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise EncodingError(f"The sound cannot be encoded ({error}).") from error


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # bytes are all that comes
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


def wav_file(samples: Samples, rate_hz: int) -> bytes:
    """A whole WAV file (16 bits, mono). samples: (n,) float32, -1..1."""
    raw = _int16(samples).tobytes()
    return _wav_head(rate_hz, len(raw)) + raw


def _int16(samples: Samples) -> NDArray[np.int16]:
    return (np.clip(samples, -1.0, 32767 / 32768) * 32768).round().astype("<i2")


def _wav_head(rate_hz: int, nbytes: int | None) -> bytes:
    """nbytes: of the samples; None where it is not known yet."""
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    whole, data = (_UNKNOWN, _UNKNOWN) if nbytes is None else (20 + len(form) + nbytes, nbytes)
    return b"RIFF" + struct.pack("<I", whole) + b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", data)
