"""Frames and sound to an MP4: H.264 and AAC, encoded in process. The one place that knows codecs and container.

Why in process (PyAV) and not through a pipe to an ffmpeg binary: measured at 320×320 on two busy cores beside a thread that renders
(`benchmarks/encode.py`), a frame with its 40 ms of speech costs 1.8 ms of CPU in process and 1.9 to 2.0 ms through a pipe; no
child process can be killed or left behind, and packets come out as they are made, which streaming needs. PyAV releases
Python's lock while it encodes, so rendering goes on beside it.

One encoder thread: at this size a second one adds 15 to 20 % of CPU time that rendering needs. `veryfast` at CRF 18 gives 43 dB
(luma) at 35 kB/s with the shipped portrait; `superfast` saves 0.25 ms a frame and gives 46 dB, but writes more than twice the bytes.

Colours: sRGB pixels are converted with the BT.709 matrix (limited range) by swscale, chroma averaged over 2×2 pixels
(OpenCV's conversion is faster but takes every second pixel's colour, up to 21 levels off at edges such as lips), and tagged as
such, with the sRGB transfer curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from core.media.decode import Block
from core.types import FPS, Frame

_X264 = {"preset": "veryfast", "crf": "18", "profile": "high", "g": str(2 * FPS)}
_ONE_THREAD_PIXELS = 640 * 640
_BT709, _SRGB_CURVE, _LIMITED_RANGE = 1, 13, 1
"""ITU-T H.273 codes for matrix and primaries, and for the transfer curve; FFmpeg's code for the range."""
_MAX_BIT_RATE = 80_000
_BITS_PER_SAMPLE = 4
"""AAC bits per second and channel: 64 kbit/s for 16 kHz speech, 80 from 20 kHz on."""


class Mp4Muxer:
    """Encodes into `sink` (binary, writable, seekable; the caller closes it).

    sink_copy: opens what was written for reading: moving the index to the front needs a second look at the file.
    Frames and sound may come in any order; the n-th frame is shown at n / 25 s and the first sample heard at 0.
    Errors of the sink (OSError) and of the encoders (av.FFmpegError) come through unchanged.
    To give up, close the sink and drop the muxer.
    """

    def __init__(
        self,
        sink: BinaryIO,
        sink_copy: Callable[[], BinaryIO],
        width: int,
        height: int,
        sound_rate_hz: int,
        sound_channels: int,
        metadata: Mapping[str, str],
    ) -> None:
        def reopen(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
            sink.flush()  # may raise, which ends the muxing
            return sink_copy()

        # use_metadata_tags: keys of our own survive, not only those iTunes knows.
        options = {"movflags": "+faststart+use_metadata_tags"}
        self._sink = _Sink(sink)
        self._container = av.open(self._sink, "w", format="mp4", container_options=options, io_open=reopen)
        self._container.metadata.update(metadata)
        self._video = self._add_video(width, height)
        self._sound = self._add_sound(sound_rate_hz, sound_channels)
        self._reformatter = VideoReformatter()
        self._n_frames = 0
        self._n_samples = 0

    def _add_video(self, width: int, height: int) -> Any:
        stream = self._container.add_stream("libx264", rate=FPS, options=_X264)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, FPS)
        context.thread_count = 1 if width * height <= _ONE_THREAD_PIXELS else 2  # a constant: it changes the bytes
        context.colorspace = context.color_primaries = _BT709
        context.color_trc, context.color_range = _SRGB_CURVE, _LIMITED_RANGE
        return stream

    def _add_sound(self, rate_hz: int, channels: int) -> Any:
        layout = "mono" if channels == 1 else "stereo"
        stream = self._container.add_stream("aac", rate=rate_hz, layout=layout)
        stream.bit_rate = channels * min(_MAX_BIT_RATE, _BITS_PER_SAMPLE * rate_hz)
        stream.codec_context.time_base = Fraction(1, rate_hz)
        self._rate_hz, self._layout = rate_hz, layout
        return stream

    def add_frame(self, picture: av.VideoFrame) -> None:
        """picture: from `as_picture`."""
        picture = self._reformatter.reformat(
            picture, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE, interpolation="AREA", threads=1
        )
        picture.pts, picture.time_base = self._n_frames, Fraction(1, FPS)
        picture.color_primaries, picture.color_trc = _BT709, _SRGB_CURVE
        self._n_frames += 1
        self._container.mux(self._video.encode(picture))

    def add_sound(self, block: Block) -> None:
        """block: (channels, n) float32 at the muxer's rate, following the one before without a gap."""
        if not block.shape[1]:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._n_samples, Fraction(1, self._rate_hz)
        self._n_samples += block.shape[1]
        self._container.mux(self._sound.encode(frame))

    def finish(self) -> None:
        """Drains both encoders and writes the index. The sink still has to be closed."""
        self._container.mux(self._sound.encode(None))
        self._container.mux(self._video.encode(None))
        self._container.close()
        if self._sink.error is not None:
            raise self._sink.error


class _Sink:
    """What FFmpeg writes to. After an error FFmpeg goes on writing and seeking, and PyAV prints every error but the first: so the
    first is raised and kept, and whatever follows is done on nothing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    @property
    def closed(self) -> bool:
        """PyAV leaves a closed file unfinished when its container goes."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        return self._do(lambda: self._file.write(data), len(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._do(lambda: self._file.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._do(self._file.tell, 0)

    def _do(self, action: Callable[[], int], otherwise: int) -> int:
        if self.error is not None:
            return otherwise
        try:
            return action()
        except OSError as error:
            self.error = error
            raise


def as_picture(frame: Frame) -> av.VideoFrame:
    """A copy of an (H, W, 3) uint8 RGB frame for Mp4Muxer; the frame may be reused at once."""
    return av.VideoFrame.from_ndarray(frame, "rgb24")
