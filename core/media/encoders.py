"""Encodes frames to H.264 and sound to AAC in process; the only place with codec settings.

Why in process (PyAV) and not through a pipe to an ffmpeg binary: measured at 320×320 on two busy cores beside a thread that renders
(`benchmarks/encode.py`), a frame with its 40 ms of speech costs 1.0 ms of CPU in process and 2.0 to 2.2 ms through a pipe; no
child process can be killed or left behind, and packets come out as they are made, which streaming needs. PyAV releases
Python's lock while it encodes, so rendering goes on beside it.

One encoder thread: a second one adds 15 to 20 % of CPU time that rendering needs.

Colours: sRGB pixels are converted with the BT.709 matrix (limited range), chroma averaged over 2×2 pixels, and tagged as such, with the
sRGB transfer curve. OpenCV's own conversion takes every second pixel's colour, up to 21 levels off at edges such as lips; by its matrix
product a frame takes 0.1 ms where swscale takes 0.35, and no value is a whole level off.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from core.media.decode import Block
from core.types import FPS, Frame

_X264_BOTH = {"preset": "superfast", "profile": "high"}
_REPEATABLE = "cpu-independent=1"
"""The same frames give the same bytes, always and on every processor, at no cost here. Without it the fast form of x264's macroblock tree
rounds differently from run to run, by how its buffers happen to lie.
"""
X264 = {**_X264_BOTH, "crf": "18", "x264-params": f"{_REPEATABLE}:mbtree=1:rc-lookahead=13:b-adapt=0:bframes=4:weightp=0"}
"""For a finished file: what looks ahead (macroblock tree, B frames) pays for pictures that hardly move, what looks closely does not. The
picture is that of the preset `veryfast` (luma of the shipped portrait within 0.2 dB, structural similarity a little higher) in as many
bytes within 6 %, in half its time: 0.54 in place of 1.1 ms a frame of 320×320, 1.4 in place of 2.4 of 512×512.
"""
X264_STREAM = {**_X264_BOTH, "crf": "20", "tune": "zerolatency", "forced-idr": "1", "x264-params": _REPEATABLE}
"""For a stream: each frame comes out as it goes in, in order, and a key frame wherever one is asked for. `veryfast` is no better where
nothing may be delayed: `superfast` at CRF 20 gives the same picture (46.0 against 46.1 dB) in as many bytes (48 against 45 kB/s) and
takes 1.1 in place of 1.9 ms a frame.
"""
STREAM_CRF = int(X264_STREAM["crf"]) - int(X264["crf"])
"""What a stream's constant rate factor is above that of a file that looks the same."""
X264_PACKETS = {**X264_STREAM, "profile": "baseline", "maxrate": "4M", "bufsize": "1M"}
"""For packets on their own (WebRTC): constrained baseline, which every browser has, without B frames. The rate is bounded, as nobody on the
way holds back what is too much.
"""
OPUS = {"application": "lowdelay", "frame_duration": "40"}
"""One packet holds the sound of one frame, so both have the same time; the coder keeps 2.5 ms back."""
OPUS_BIT_RATE = 64_000


def x264_options(crf: int | None, stream: bool = False) -> dict[str, str]:
    """Of libx264. crf: as `RenderOptions` has it, of a file; None: the usual. stream: for what is looked at while it is made."""
    options = X264_STREAM if stream else X264
    return dict(options) if crf is None else {**options, "crf": str(crf + STREAM_CRF * stream)}


AAC = {"aac_coder": "fast", "aac_pns": "0", "aac_tns": "0"}
"""The coder that FFmpeg's documentation names as the better one from 64 kbit/s a channel on. Speech at 80 kbit/s is nearer to the original
than with the default one (41 against 32 dB, and as near in its spectrum), in a third of the CPU time (0.12 against 0.36 ms a frame).
"""
_ONE_THREAD_PIXELS = 1920 * 1080
_BT709, _SRGB_CURVE, _LIMITED_RANGE = 1, 13, 1
"""ITU-T H.273 codes for matrix and primaries, and for the transfer curve; FFmpeg's code for the range."""
_KR, _KG, _KB = 0.2126, 0.7152, 0.0722
_TO_YCBCR = np.array(
    [
        [219 / 255 * _KR, 219 / 255 * _KG, 219 / 255 * _KB, 16],
        [112 / 255 * -_KR / (1 - _KB), 112 / 255 * -_KG / (1 - _KB), 112 / 255, 128],
        [112 / 255, 112 / 255 * -_KG / (1 - _KR), 112 / 255 * -_KB / (1 - _KR), 128],
    ],
    np.float32,
)
"""ITU-R BT.709, 8 bits, limited range: from (R, G, B, 1) to (Y, Cb, Cr)."""
_MAX_BIT_RATE = 80_000
_BITS_PER_SAMPLE = 4
"""AAC bits per second and channel: 64 kbit/s for 16 kHz speech, 80 from 20 kHz on."""


class PictureEncoder:
    """H.264 at `rate` frames a second: the n-th frame given is shown at n / rate s, and playing can start every two seconds.

    context: a new libx264 codec context, of a container's stream or standing alone. Raises av.FFmpegError.
    """

    def __init__(self, context: Any, width: int, height: int, rate: Fraction = Fraction(FPS)) -> None:
        self._time_base = 1 / rate
        context.gop_size = round(2 * rate)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = self._time_base, rate
        context.thread_count = 1 if width * height <= _ONE_THREAD_PIXELS else 2  # a constant: it changes the bytes
        context.colorspace = context.color_primaries = _BT709
        context.color_trc, context.color_range = _SRGB_CURVE, _LIMITED_RANGE
        self._context = context
        self.n_frames = 0
        """Frames given so far."""

    def encode(self, picture: av.VideoFrame, *, keyframe: bool = False) -> list[av.Packet]:
        """picture: from `as_picture`. Returns the packets that are ready, in decoding order."""
        picture.pts, picture.time_base = self.n_frames, self._time_base
        picture.color_primaries, picture.color_trc = _BT709, _SRGB_CURVE
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        self.n_frames += 1
        packets: list[av.Packet] = self._context.encode(picture)
        return packets

    def finish(self) -> list[av.Packet]:
        """The packets still inside. Nothing can be encoded after it."""
        packets: list[av.Packet] = self._context.encode(None)
        return packets


class SoundEncoder:
    """AAC: the first sample given is heard at 0, each block follows the one before without a gap.

    context: a new AAC codec context, of a container's stream or standing alone. channels: 1 or 2. Raises av.FFmpegError.
    """

    def __init__(self, context: Any, rate_hz: int, channels: int) -> None:
        self.layout = "mono" if channels == 1 else "stereo"
        self.rate_hz = rate_hz
        context.options = AAC
        context.sample_rate, context.layout, context.format = rate_hz, self.layout, "fltp"
        context.bit_rate = channels * min(_MAX_BIT_RATE, _BITS_PER_SAMPLE * rate_hz)
        context.time_base = Fraction(1, rate_hz)
        self._context = context
        self.n_samples = 0
        """Samples given so far."""

    def encode(self, block: Block) -> list[av.Packet]:
        """block: (channels, n) float32 at the encoder's rate. Returns the packets that are ready."""
        if not block.shape[1]:
            return []
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.n_samples, Fraction(1, self.rate_hz)
        self.n_samples += block.shape[1]
        packets: list[av.Packet] = self._context.encode(frame)
        return packets

    def finish(self) -> list[av.Packet]:
        """The packets still inside. Nothing can be encoded after it."""
        packets: list[av.Packet] = self._context.encode(None)
        return packets


def as_picture(frame: Frame) -> av.VideoFrame:
    """An (H, W, 3) uint8 RGB frame as yuv420p for PictureEncoder; the frame may be reused at once."""
    picture = av.VideoFrame(frame.shape[1], frame.shape[0], "yuv420p")
    luma, *chroma = (np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in picture.planes)
    # In place, into the picture; other arrays of that size for the chroma, which is made smaller last.
    _, *colours = cv2.split(cv2.transform(frame, _TO_YCBCR), [luma, np.empty_like(luma), np.empty_like(luma)])
    for colour, plane in zip(colours, chroma, strict=True):
        cv2.resize(colour, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_AREA)
    return picture
