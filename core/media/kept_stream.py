"""Keeps the pieces of a stream in a file, which becomes an ordinary MP4 with its index in front when the stream is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import av

from core.media.video import as_project_error, open_beside, regular


class KeptStream:
    """One video. path: where it will be; its folder exists. sign: as in VideoWriter.

    Nothing is at `path` before `finish`, and nothing is left behind where that is not reached: call `close` in any case. Raises OutputError
    (it cannot be written, disk full) and EncodingError from `write` and `finish`. One thread.
    """

    def __init__(self, path: Path, sign: Callable[[Path, Mapping[str, str]], None] | None = None) -> None:
        self._path, self._sign = path, sign
        self._part: Path | None = None
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """One more piece of a fragmented MP4."""
        if self._file is None:
            self._part, self._file = open_beside(regular(self._path))
        try:
            self._file.write(data)
        except OSError as error:
            raise as_project_error(error, self._path) from error

    def finish(self, metadata: Mapping[str, str]) -> None:
        """All pieces came: packs them anew, without encoding anything, and moves the file into place."""
        if self._file is None or self._part is None:
            return
        whole, sink = open_beside(regular(self._path))
        sink.close()
        try:
            self._file.close()
            _pack(self._part, whole, metadata)
            if self._sign is not None:
                self._sign(whole, metadata)
            os.replace(whole, regular(self._path))
        except (OSError, av.FFmpegError) as error:
            raise as_project_error(error, self._path) from error
        finally:
            whole.unlink(missing_ok=True)

    def close(self) -> None:
        """Removes what was not finished. Does nothing the second time."""
        if self._file is not None and self._part is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)


def _pack(pieces: Path, whole: Path, metadata: Mapping[str, str]) -> None:
    options = {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(pieces), format="mp4") as source, av.open(str(whole), "w", format="mp4", options=options) as target:
        target.metadata.update(metadata)
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:  # None: the end of a track
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
