"""Writes the packets of both encoders into an MP4 file with its index at the front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, BinaryIO

import av

from core.media.decode import Block
from core.media.encoders import PictureEncoder, SoundEncoder, x264_options
from core.types import FPS


class Mp4Muxer:
    """Encodes into `sink` (binary, writable, seekable; the caller closes it).

    sink_copy: opens what was written for reading: moving the index to the front needs a second look at the file. crf, at_once: as in
    `VideoWriter`.
    Frames and sound may come in any order; the n-th frame is shown at n / rate s and the first sample heard at 0.
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
        crf: int | None = None,
        rate: Fraction = Fraction(FPS),
        at_once: bool = False,
    ) -> None:
        def reopen(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
            sink.flush()  # may raise, which ends the muxing
            return sink_copy()

        # use_metadata_tags: keys of our own survive, not only those iTunes knows.
        options = {"movflags": "+faststart+use_metadata_tags"}
        self._sink = _Sink(sink)
        self._container = av.open(self._sink, "w", format="mp4", container_options=options, io_open=reopen)
        self._container.metadata.update(metadata)
        self._video_stream: Any = self._container.add_stream("libx264", rate=rate, options=x264_options(crf, stream=at_once))
        self._video = PictureEncoder(self._video_stream.codec_context, width, height, rate)
        layout = "mono" if sound_channels == 1 else "stereo"
        self._sound_stream: Any = self._container.add_stream("aac", rate=sound_rate_hz, layout=layout)
        self._sound = SoundEncoder(self._sound_stream.codec_context, sound_rate_hz, sound_channels)

    def add_frame(self, picture: av.VideoFrame) -> None:
        """picture: from `as_picture`."""
        self._mux(self._video_stream, self._video.encode(picture))

    def add_sound(self, block: Block) -> None:
        """block: (channels, n) float32 at the muxer's rate, following the one before without a gap."""
        self._mux(self._sound_stream, self._sound.encode(block))

    def finish(self) -> None:
        """Drains both encoders and writes the index. The sink still has to be closed."""
        self._mux(self._sound_stream, self._sound.finish())
        self._mux(self._video_stream, self._video.finish())
        self._container.close()
        if self._sink.error is not None:
            raise self._sink.error

    def _mux(self, stream: Any, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.stream = stream
        self._container.mux(packets)


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
