"""Writes frames and sound as fragmented MP4 in memory, for Media Source Extensions and pipes.

    stream = FragmentedMp4(320, 320, 24_000, 1, metadata)
    send(stream.initialisation())
    stream.add_sound(block)
    stream.add_frame(as_picture(frame), keyframe=True)
    send(stream.cut())

No B-frames, so that frames come out in the order they went in; one encoder for all of the sound, so that joints are those of the
codec. Both tracks begin at 0 exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags

from core.errors import EncodingError
from core.media import boxes
from core.media.codec_facts import AAC_FRAME, AAC_PRIMING
from core.media.decode import Block
from core.media.encoders import PictureEncoder, SoundEncoder, x264_options
from core.media.segments import Segment, StreamPlace
from core.types import FPS

_TICKS = 600
"""Of the picture's times, in a frame of a whole rate."""
_START_CODE = b"\0\0\1"
_SEI = 6
"""Kind of the units that say which encoder was used; 700 bytes at each key frame."""


class FragmentedMp4:
    """One stream. width, height: even. metadata: written to the first piece. crf: as `RenderOptions` has it; None: the usual. rate: frames
    a second. place: where it goes on; None: it begins. Not thread-safe.

    Raises EncodingError from any of its methods when an encoder fails.
    """

    def __init__(
        self,
        width: int,
        height: int,
        sound_rate_hz: int,
        sound_channels: int,
        metadata: Mapping[str, str],
        crf: int | None = None,
        rate: Fraction = Fraction(FPS),
        place: StreamPlace | None = None,
    ) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise EncodingError(f"A video of {width}×{height} pixels cannot be encoded.", "Both sides must be even.")
        video: Any = av.CodecContext.create("libx264", "w")
        video.options = x264_options(crf, stream=True)
        self._picture = PictureEncoder(video, width, height, rate)
        self._rate, self._frame_ticks = rate, _TICKS * rate.denominator
        sound: Any = av.CodecContext.create("aac", "w")
        self._sound = SoundEncoder(sound, sound_rate_hz, sound_channels)
        try:
            for context in (video, sound):
                context.flags |= Flags.global_header
                context.open()
        except av.FFmpegError as error:
            raise _failed(error) from error
        sps, pps = (unit for unit in _units(video.extradata) if unit[0] & 31 in (7, 8))
        config = bytes(sound.extradata[:2])  # what follows says nothing that players need
        self.mime_type = f'video/mp4; codecs="avc1.{sps[1:4].hex()}, mp4a.40.{config[0] >> 3}"'
        """As Media Source Extensions ask for it."""
        self._head = boxes.initialisation(
            boxes.VideoTrack(width, height, _TICKS * rate.numerator, sps, pps),
            boxes.SoundTrack(sound_channels, sound_rate_hz, config, sound.bit_rate, AAC_PRIMING),
            metadata,
        )
        self._video_samples: list[boxes.Sample] = []
        self._sound_samples: list[boxes.Sample] = []
        self._began_frames = self._cut_frames = 0 if place is None else place.n_frames
        self._cut_ticks = 0 if place is None else place.sound_end
        self._index = 0 if place is None else place.index
        self._repeated = 0
        """Packets of sound to come that the stream has already."""
        if place is not None:
            self._begin_before(place, sound_rate_hz)

    def initialisation(self) -> Segment:
        """The first piece; asked for once, before the first cut."""
        return Segment(0, "init", self._head)

    @property
    def n_frames(self) -> int:
        """Frames given so far."""
        return self._began_frames + self._picture.n_frames

    @property
    def n_samples(self) -> int:
        """Samples of sound given to this encoder so far."""
        return self._sound.n_samples

    def add_frame(self, picture: av.VideoFrame, *, keyframe: bool = False) -> None:
        """picture: from `as_picture`. keyframe: playing can start here."""
        try:
            packets = self._picture.encode(picture, keyframe=keyframe)
        except av.FFmpegError as error:
            raise _failed(error) from error
        for packet in packets:
            units = [unit for unit in _units(bytes(packet)) if unit[0] & 31 != _SEI]
            data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
            self._video_samples.append(boxes.Sample(data, self._frame_ticks, packet.is_keyframe))

    def add_sound(self, block: Block) -> None:
        """block: (channels, n) float32 at the stream's rate, following the one before without a gap; it may run ahead of the frames."""
        try:
            self._take_sound(self._sound.encode(block))
        except av.FFmpegError as error:
            raise _failed(error) from error

    def cut(self, *, final: bool = False) -> Segment:
        """What was encoded since the last cut. The sound encoder keeps less than 3 * AAC_FRAME samples back until the final cut."""
        if final:
            try:
                self._take_sound(self._sound.finish())
                self._picture.finish()  # holds nothing back: it works without delay
            except av.FFmpegError as error:
                raise _failed(error) from error
        first, ticks = self._cut_frames, self._cut_ticks
        self._cut_frames = self.n_frames
        self._cut_ticks += sum(sample.duration for sample in self._sound_samples)
        self._index += 1
        data = boxes.fragment(self._index, first * self._frame_ticks, self._video_samples, ticks, self._sound_samples)
        self._video_samples, self._sound_samples = [], []
        frames = self._cut_frames - first
        return Segment(self._index, "media", data, float(first / self._rate), float(frames / self._rate), frames, final, self._cut_ticks)

    def _begin_before(self, place: StreamPlace, sound_rate_hz: int) -> None:
        """Gives the encoder the end of the sound before again, from a packet's first sample on, and leaves out what the stream has."""
        end = round(place.n_frames * sound_rate_hz / self._rate)
        held = place.sound_before.shape[1]
        first = -(-(end - held) // AAC_FRAME) * AAC_FRAME  # the encoders' packets begin at the same samples
        self._repeated = max(0, place.sound_end - first) // AAC_FRAME
        self.add_sound(place.sound_before[:, held - (end - first) :])

    def _take_sound(self, packets: list[av.Packet]) -> None:
        left_out, packets = packets[: self._repeated], packets[self._repeated :]
        self._repeated -= len(left_out)
        self._sound_samples += [boxes.Sample(bytes(packet), packet.duration or AAC_FRAME) for packet in packets]


def _units(data: bytes) -> list[bytes]:
    """The units of an H.264 byte stream, without start codes. A unit never ends with a zero byte: those belong to the next start code."""
    return [unit.rstrip(b"\0") for unit in bytes(data).split(_START_CODE)[1:]]


def _failed(error: av.FFmpegError) -> EncodingError:
    return EncodingError(f"The stream could not be encoded ({error}).")
