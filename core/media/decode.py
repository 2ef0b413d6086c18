"""Decodes any supported recording piece by piece; the only place where uploaded sound reaches FFmpeg.

The demuxer is named by `sniff`, decoders come from an allow-list, and opening anything beyond the given bytes is refused,
so an upload can neither reach other files nor the network. A video container gives its first sound track.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from core.errors import AudioError
from core.media.containers import is_allowed, open_container
from core.media.formats import SOUND_FORMATS, SOUNDS, names, with_sound
from core.media.sniff import identify

_CODECS = frozenset(
    {
        "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be",
        "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "mp3float", "mp3", "mp2",
        "mp2float", "aac", "aac_latm", "ac3", "eac3", "alac", "flac", "vorbis", "opus", "libopus", "libvorbis", "amrnb", "amrwb",
        "wmav1", "wmav2", "wmapro",
    }
)  # fmt: skip
_BLOCK_SAMPLES = 16_384
"""Decoded frames are gathered to blocks of at least this size: numpy's overhead is per call."""
_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
MAX_CHANNELS = 8
"""Beyond these PyAV reads past the end of a planar frame's plane pointers and the process dies (found by damaging headers)."""
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000
"""Speech of fewer samples a second cannot be understood; no recorder makes more."""
MOST_SILENT, SILENT_PER_SOUNDING = 500_000, 10
"""Packets of the file that give no sound (pictures, damage, nothing), at most, and so many more for each that does: 100 MiB may hold 100
million, each of which takes microseconds.
"""
_WITHOUT_LENGTH = ("aac", "ac3", "amr", "eac3")
"""Kinds of files that do not say how long they are: FFmpeg guesses it from the bit rate of their beginning."""
_PAUSES = {"amrnb": (8, 15), "amrwb": (9, 15)}
"""Types of AMR frames that phones send while nobody speaks, 20 ms each (3GPP TS 26.101 and 26.201, table 1a), which FFmpeg leaves out."""
_USUAL_ORDER = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")

Block = NDArray[np.float32]
"""(channels, n) float32, 1 or 2 channels, full scale -1..1."""


class SoundDecoder:
    """Decodes the bytes of one recording.

    Iterating yields Blocks, folded to stereo when there are more channels. After the first block `rate_hz` and `channels`
    (of the original) are known, and `start_s`, when the sound begins by the clock of the file (None: it does not say). After the
    last one `damaged` says whether parts could not be decoded, and `declared_s` what the header promised (None: nothing).
    Raises AudioError (from the constructor or while iterating) for anything that is not decodable sound.
    """

    def __init__(self, data: bytes, name: str = "The recording") -> None:
        self.name = name
        self.rate_hz = 0
        self.channels = 0
        self.damaged = False
        self.start_s: float | None = None
        content = identify(data)
        if content.kind in ("image", "animation"):
            hint = f"Give a recording ({SOUND_FORMATS}) here; were photo and recording swapped?"
            raise AudioError(
                f"{name} is not a recording: this is an image ({content.name}).", hint, code="recording_is_photo", parameters={"name": name}
            )
        if content.kind == "other":
            raise AudioError(
                f"{name} is not a recording but {content.name}.",
                f"Give {SOUND_FORMATS}.",
                code="recording_not_sound",
                parameters={"name": name, "formats": names([*SOUNDS, *with_sound()])},
            )
        if not content.decoder:
            raise AudioError(
                f"{name} is {content.name}, which is not supported.",
                f"Save it as {SOUND_FORMATS}.",
                code="recording_not_sound",
                parameters={"name": name, "formats": names([*SOUNDS, *with_sound()])},
            )
        self._what = content.name
        try:
            self._container = open_container(io.BytesIO(data), content.decoder, _CODECS, _options(content.decoder))
        except (av.FFmpegError, ValueError, OSError) as error:
            raise self._unreadable(error) from error
        if not self._container.streams.audio:
            self._container.close()
            raise AudioError(
                f"{name} is {content.name} without a sound track.",
                "Give a recording of speech.",
                code="recording_mute",
                parameters={"name": name},
            )
        self._stream = self._container.streams.audio[0]
        if not is_allowed(self._stream, _CODECS):
            self._container.close()
            raise self._unreadable(None)
        self.declared_s = self._of_file_s = None
        if content.decoder == "wav":
            self.declared_s = _wav_declared_s(data)
        elif content.decoder not in _WITHOUT_LENGTH:
            self.declared_s = _declared_s(self._stream)
        if content.decoder not in _WITHOUT_LENGTH and self._container.duration is not None:
            self._of_file_s = self._container.duration / av.time_base

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Block]:
        gathered: list[NDArray[Any]] = []
        n_gathered = 0
        frame: Any = None
        for frame in self._frames():
            samples = frame.to_ndarray()
            gathered.append(samples if frame.format.is_planar else samples.reshape(-1, self.channels).T)
            n_gathered += frame.samples
            if n_gathered >= _BLOCK_SAMPLES:
                yield _fold(_to_float(gathered, frame.format.name), frame.layout)
                gathered, n_gathered = [], 0
        if gathered:
            yield _fold(_to_float(gathered, frame.format.name), frame.layout)

    def _frames(self) -> Iterator[Any]:
        """Decoded frames of one format; a damaged packet is passed over, a damaged container ends the recording."""
        signature: tuple[Any, ...] = ()
        error: Exception | None = None
        packets = self._container.demux()
        read_to_s, may_be_silent = 0.0, MOST_SILENT
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError, OSError) as caught:
                self.damaged, error, packet = True, caught, None
            if packet is None:
                break
            may_be_silent -= 1
            if may_be_silent < 0:
                self.damaged, error = True, ValueError("too much in it is no sound")
                break
            if packet.pts is not None and packet.time_base is not None:
                read_to_s = max(read_to_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is not self._stream:
                continue
            try:
                frames = [_pause(packet)] if self._is_pause(packet) else packet.decode()
            except (av.FFmpegError, ValueError) as caught:
                self.damaged, error = True, caught
                continue
            for frame in frames:
                if not frame.samples:
                    continue
                may_be_silent += SILENT_PER_SOUNDING
                if not signature:
                    signature = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
                    self.rate_hz, self.channels = signature[:2]
                    self.start_s = frame.time
                    if self.rate_hz <= 0 or self.channels <= 0 or frame.format.name.removesuffix("p") not in _SCALE:
                        raise self._unreadable(None)
                    if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
                        hint = f"From {MIN_RATE_HZ} to {MAX_RATE_HZ} are accepted: is its header right?"
                        raise AudioError(
                            f"{self.name} has {self.rate_hz} samples a second.",
                            hint,
                            code="recording_bad_format",
                            parameters={"name": self.name},
                        )
                    if self.channels > MAX_CHANNELS:
                        hint = f"At most {MAX_CHANNELS} are accepted."
                        raise AudioError(
                            f"{self.name} has {self.channels} channels.", hint, code="recording_bad_format", parameters={"name": self.name}
                        )
                elif signature != (frame.sample_rate, frame.layout.nb_channels, frame.format.name):
                    text = f"{self.name} changes its format midway ({signature[0]} Hz to {frame.sample_rate} Hz)."
                    raise AudioError(
                        text, "Save it again as one WAV or MP3 file.", code="recording_bad_format", parameters={"name": self.name}
                    )
                yield frame
        if not signature and error is not None:
            raise self._unreadable(error) from error
        if self.declared_s is None and self._of_file_s is not None:
            self.declared_s = _own_length_s(self._of_file_s, self.start_s or 0.0, read_to_s, len(self._container.streams))

    def _is_pause(self, packet: Any) -> bool:
        types = _PAUSES.get(self._stream.codec_context.name, ())
        return bool(types) and self._stream.channels == 1 and packet.size > 0 and bytes(packet)[0] >> 3 & 15 in types

    def _unreadable(self, error: Exception | None) -> AudioError:
        reason = f" ({getattr(error, 'strerror', None) or error})" if error else ""
        text = f"{self.name} looks like {self._what} but cannot be decoded{reason}."
        return AudioError(text, "Is the file complete?", code="recording_damaged", parameters={"name": self.name})


def _pause(packet: Any) -> Any:
    """A frame of silence, in the format in which FFmpeg decodes AMR."""
    rate_hz = packet.stream.sample_rate
    frame = av.AudioFrame("fltp", "mono", rate_hz // 50)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, packet.pts, packet.time_base
    return frame


def _options(demuxer: str) -> dict[str, str]:
    if demuxer != "wav":
        return {}
    return {
        "max_size": str(1 << 16),  # fewer, larger packets than the default of 4096 bytes
        "probesize": "4096",  # the header says it all; looking further for a disguised codec takes 20 ms
    }


def _declared_s(stream: Any) -> float | None:
    """What the header says of the sound itself."""
    return float(stream.duration * stream.time_base) if stream.duration is not None and stream.time_base is not None else None


def _own_length_s(of_file_s: float, start_s: float, read_to_s: float, n_streams: int) -> float | None:
    """How long the sound should be where the header tells the file's length only: from its own beginning on; None where the file is there
    to its end, so that the sound is as long as it is, beside pictures that begin before it or last longer.
    """
    if n_streams > 1 and read_to_s >= 0.9 * of_file_s - 0.1:
        return None
    return max(0.0, of_file_s - start_s)


def _wav_declared_s(data: bytes) -> float | None:
    """The length that the header of a WAV file states, which may differ from what it holds; None where the writer could not know it."""
    at, byte_rate = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt ":
            byte_rate = int.from_bytes(data[at + 16 : at + 20], "little")
        if name == b"data":
            return size / byte_rate if byte_rate and size < 0x7FFFFF00 else None
        at += 8 + size + size % 2
    return None


def _to_float(pieces: list[NDArray[Any]], format_name: str) -> NDArray[np.float32]:
    """Pieces (channels, n_i) of one FFmpeg sample format, joined, as float32 of full scale -1..1."""
    joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
    base = format_name.removesuffix("p")
    samples = joined.astype(np.float32)
    if base == "u8":
        samples -= 128.0
    scale = _SCALE[base]
    return samples if scale == 1.0 else np.multiply(samples, np.float32(1.0 / scale), out=samples)


def _fold(samples: NDArray[np.float32], layout: Any) -> Block:
    """More than two channels become stereo (ITU-R BS.775 weights, scaled so that nothing can clip; no low-frequency channel)."""
    if len(samples) <= 2:
        return np.ascontiguousarray(samples)
    names = [channel.name for channel in layout.channels]
    if "FL" not in names:  # the file does not say which is which: the usual order
        names = [*_USUAL_ORDER, *["LFE"] * len(names)][: len(names)]
    weights = np.zeros((2, len(samples)), np.float32)
    for index, name in enumerate(names):
        if name.startswith("LFE"):
            continue
        weight = 1.0 if name in ("FL", "FR") else 0.5**0.5
        if not name.endswith("R"):
            weights[0, index] = weight
        if not name.endswith("L"):
            weights[1, index] = weight
    folded: Block = (weights / weights.sum(axis=1).max()) @ samples
    return folded
