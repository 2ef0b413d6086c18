"""Writes the boxes of a fragmented MP4 (ISO/IEC 14496-12, -14, -15) with one H.264 and one AAC track.

FFmpeg's muxer cannot do this through PyAV: a fragment can be closed only by the next key frame or packet, packets wait in its
interleaver, and without knowing the first packets it writes no edit list, so the AAC encoder's priming would delay the picture. Here a
fragment ends exactly where it is asked to, and an edit list takes the priming out, so that sample and frame 0 both fall on 0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

VIDEO_TRACK, SOUND_TRACK = 1, 2
_MOVIE_SCALE = 1000
_KEY_FRAME, _OTHER_FRAME = 0x02000000, 0x01010000
"""Sample flags: depends on no other; depends on others and is no place to start."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UTF8 = 1
"""Type of a metadata value."""


@dataclass(frozen=True)
class VideoTrack:
    """sps, pps: the stream's parameter sets, without start codes. scale: ticks a second."""

    width: int
    height: int
    scale: int
    sps: bytes
    pps: bytes


@dataclass(frozen=True)
class SoundTrack:
    """config: the AudioSpecificConfig. priming: samples to be taken off the front. scale: of the times, the sample rate."""

    channels: int
    scale: int
    config: bytes
    bit_rate: int
    priming: int


@dataclass(frozen=True)
class Sample:
    """One coded frame or packet; duration in ticks of its track."""

    data: bytes
    duration: int
    keyframe: bool = True


def initialisation(video: VideoTrack, sound: SoundTrack, metadata: Mapping[str, str]) -> bytes:
    """ftyp and moov: what a player must have before the first fragment."""
    times = struct.pack(">4I", 0, 0, _MOVIE_SCALE, 0)
    header = _full(b"mvhd", times, struct.pack(">IHHQ", 0x10000, 0x100, 0, 0), _MATRIX, bytes(24), struct.pack(">I", SOUND_TRACK + 1))
    extends = b"".join(_full(b"trex", struct.pack(">5I", track, 1, 0, 0, 0)) for track in (VIDEO_TRACK, SOUND_TRACK))
    movie = (header, _video_track(video), _sound_track(sound), _box(b"mvex", extends), _metadata(metadata))
    brands = b"isom" + struct.pack(">I", 512) + b"isom" + b"iso6" + b"avc1" + b"mp41"
    return _box(b"ftyp", brands) + _box(b"moov", *movie)


def fragment(number: int, video_start: int, video: list[Sample], sound_start: int, sound: list[Sample]) -> bytes:
    """moof and mdat. number: counts from 1. Starts: of the first samples, in ticks of their tracks since the beginning."""
    tracks = [(VIDEO_TRACK, video_start, video), (SOUND_TRACK, sound_start, sound)]
    tracks = [track for track in tracks if track[2]]
    # The offsets to the data stand inside the box whose length they depend on: the box is made twice.
    size = len(_movie_fragment(number, tracks, 0))
    data = [sample.data for _, _, samples in tracks for sample in samples]
    return _movie_fragment(number, tracks, size + 8) + _box(b"mdat", *data)


def _movie_fragment(number: int, tracks: list[tuple[int, int, list[Sample]]], offset: int) -> bytes:
    parts = [_full(b"mfhd", struct.pack(">I", number))]
    for track, start, samples in tracks:
        # default-base-is-moof: offsets count from this box, so that a fragment can stand anywhere
        head = _full(b"tfhd", struct.pack(">I", track), flags=0x020000)
        time = _full(b"tfdt", struct.pack(">Q", start), version=1)
        entries = b"".join(
            struct.pack(">3I", sample.duration, len(sample.data), _KEY_FRAME if sample.keyframe else _OTHER_FRAME) for sample in samples
        )
        run = _full(b"trun", struct.pack(">Ii", len(samples), offset), entries, flags=0x000701)
        parts.append(_box(b"traf", head, time, run))
        offset += sum(len(sample.data) for sample in samples)
    return _box(b"moof", *parts)


def _video_track(track: VideoTrack) -> bytes:
    parameters = struct.pack(">4B", 1, track.sps[1], track.sps[2], track.sps[3])
    parameters += struct.pack(">BBH", 0xFF, 0xE1, len(track.sps)) + track.sps
    parameters += struct.pack(">BH", 1, len(track.pps)) + track.pps
    if track.sps[1] in (100, 110, 122, 144):  # the high profiles: 4:2:0, 8 bits, no extensions
        parameters += bytes((0xFD, 0xF8, 0xF8, 0))
    colour = _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 1, 0))
    square = _box(b"pasp", struct.pack(">2I", 1, 1))
    size = struct.pack(">HH", track.width, track.height)
    picture = struct.pack(">IIIH32sHh", 0x480000, 0x480000, 0, 1, b"", 24, -1)
    entry = _box(b"avc1", bytes(6), struct.pack(">H", 1), bytes(16), size, picture, _box(b"avcC", parameters), colour, square)
    handler = _full(b"vmhd", bytes(8), flags=1)
    shown = struct.pack(">II", track.width << 16, track.height << 16)
    return _track(VIDEO_TRACK, 0, shown, b"", track.scale, b"vide", handler, entry)


def _sound_track(track: SoundTrack) -> bytes:
    specific = _descriptor(5, track.config)
    decoder = _descriptor(4, struct.pack(">BBBHII", 0x40, 0x15, 0, 0, track.bit_rate, track.bit_rate) + specific)
    stream = _descriptor(3, struct.pack(">HB", SOUND_TRACK, 0) + decoder + _descriptor(6, b"\x02"))
    rate = struct.pack(">I", track.scale << 16)
    sound = struct.pack(">HHI", track.channels, 16, 0) + rate
    entry = _box(b"mp4a", bytes(6), struct.pack(">H", 1), bytes(8), sound, _full(b"esds", stream))
    edits = _box(b"edts", _full(b"elst", struct.pack(">IIiHH", 1, 0, track.priming, 1, 0)))
    return _track(SOUND_TRACK, 0x0100, bytes(8), edits, track.scale, b"soun", _full(b"smhd", bytes(4)), entry)


def _track(number: int, volume: int, shown: bytes, edits: bytes, scale: int, kind: bytes, handler: bytes, entry: bytes) -> bytes:
    times = struct.pack(">5I", 0, 0, number, 0, 0)
    header = _full(b"tkhd", times, bytes(8), struct.pack(">4H", 0, 0, volume, 0), _MATRIX, shown, flags=3)
    media = _full(b"mdhd", struct.pack(">4IHH", 0, 0, scale, 0, 0x55C4, 0))  # language: und
    named = _full(b"hdlr", bytes(4), kind, bytes(12), b"\0")
    here = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    empty = (_full(b"stts", bytes(4)), _full(b"stsc", bytes(4)), _full(b"stsz", bytes(8)), _full(b"stco", bytes(4)))
    table = _box(b"stbl", _full(b"stsd", struct.pack(">I", 1), entry), *empty)
    return _box(b"trak", header, edits, _box(b"mdia", media, named, _box(b"minf", handler, here, table)))


def _metadata(metadata: Mapping[str, str]) -> bytes:
    """Keys and values as QuickTime keeps them, any key allowed: what FFmpeg writes with use_metadata_tags."""
    if not metadata:
        return b""
    keys = b"".join(struct.pack(">I", 8 + len(key.encode())) + b"mdta" + key.encode() for key in metadata)
    values = b"".join(
        _box(struct.pack(">I", index), _box(b"data", struct.pack(">II", _UTF8, 0), value.encode()))
        for index, value in enumerate(metadata.values(), start=1)
    )
    named = _full(b"hdlr", bytes(4), b"mdta", bytes(12), b"\0")
    count = struct.pack(">I", len(metadata))
    return _box(b"udta", _full(b"meta", named, _full(b"keys", count, keys), _box(b"ilst", values)))


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, len(body))) + body  # all are shorter than 128 bytes


def _full(name: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *parts)


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body
