"""What happens to videos on their way: recoding, scaling, cutting, mirroring and filming off a screen."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import cv2
import numpy as np

from core.media.encoders import X264
from core.media.luma import luma_frames
from core.provenance.mark_detection import MarkDetector, MarkReading
from core.types import Frame

Frames = Sequence[Frame]


@dataclass(frozen=True)
class Attack:
    """frames: what becomes of the pictures. codec, options: of the encoder; bit_rate: in place of a quality. fps: of the file."""

    frames: Callable[[Frames], Frames] = lambda frames: frames
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "23", "preset": "fast"})
    bit_rate: int = 0
    fps: int = 25


def _each(change: Callable[[Frame], Any]) -> Callable[[Frames], Frames]:
    return lambda frames: [np.ascontiguousarray(change(frame), np.uint8) for frame in frames]


def scaled(factor: float) -> Callable[[Frames], Frames]:
    def one(frame: Frame) -> Any:
        size = [2 * round(side * factor / 2) for side in frame.shape[1::-1]]
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)

    return _each(one)


def cropped(share: float) -> Callable[[Frames], Frames]:
    """share: of each side."""

    def one(frame: Frame) -> Any:
        top, left = (2 * round(side * share / 2) for side in frame.shape[:2])
        return frame[top : frame.shape[0] - top, left : frame.shape[1] - left]

    return _each(one)


def at_rate(fps: int) -> Callable[[Frames], Frames]:
    """Frames left out or shown twice."""
    return lambda frames: [frames[min(len(frames) - 1, int(i * 25 / fps))] for i in range(len(frames) * fps // 25)]


def brighter(factor: float) -> Callable[[Frames], Frames]:
    return _each(lambda frame: np.clip(frame * factor, 0, 255))


def filmed(frames: Frames) -> Frames:
    """A recording of a screen: enlarged, softened, with a sensor's noise."""
    noise = np.random.default_rng(1)
    return [
        np.clip(cv2.GaussianBlur(frame, (0, 0), 1.5) + noise.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)
        for frame in scaled(1.7)(at_rate(30)(frames))
    ]


def rotated(degrees: float) -> Callable[[Frames], Frames]:
    def one(frame: Frame) -> Any:
        height, width = frame.shape[:2]
        return cv2.warpAffine(frame, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), (width, height))

    return _each(one)


def squeezed(frames: Frames) -> Frames:
    return _each(lambda frame: cv2.resize(frame, (2 * round(frame.shape[1] * 0.45), frame.shape[0])))(frames)


def _x264(crf: int) -> dict[str, str]:
    return {"crf": str(crf), "preset": "medium"}


WRITTEN = "as written"
ATTACKS: dict[str, Attack] = {
    WRITTEN: Attack(options=X264),
    **{f"H.264 CRF {crf}": Attack(options=_x264(crf)) for crf in (23, 28, 32)},
    "H.265 CRF 28": Attack(codec="libx265", options={"crf": "28", "preset": "fast", "x265-params": "log-level=none"}),
    "VP9 CRF 33": Attack(codec="libvpx-vp9", options={"crf": "33", "cpu-used": "5", "deadline": "realtime"}),
    "480p at 400 kb/s": Attack(scaled(1.5), bit_rate=400_000, options={"preset": "veryfast", "profile": "baseline"}),
    **{f"resized to {100 * factor:.0f} %": Attack(scaled(factor)) for factor in (0.5, 0.75, 1.5, 2.0)},
    "10 % cut off each side": Attack(cropped(0.1)),
    "30 frames/s": Attack(at_rate(30), fps=30),
    "15 frames/s": Attack(at_rate(15), fps=15),
    "mirrored": Attack(_each(lambda frame: frame[:, ::-1])),
    "brightness +20 %": Attack(brighter(1.2)),
    "brightness -20 %": Attack(brighter(0.8)),
    "filmed off a screen": Attack(filmed, fps=30, options={"crf": "26", "preset": "fast"}),
    "2 s cut out": Attack(lambda frames: frames[len(frames) - 50 :], options=_x264(28)),
}
"""The mark survives these."""
DEFEATS: dict[str, Attack] = {
    "H.264 CRF 40": Attack(options=_x264(40)),
    "half size at CRF 32": Attack(scaled(0.5), options=_x264(32)),
    "240p at 60 kb/s": Attack(scaled(0.75), bit_rate=60_000, options={"preset": "fast"}),
    "30 % cut off each side": Attack(cropped(0.3)),
    "turned by 2 degrees": Attack(rotated(2.0)),
    "turned by 90 degrees": Attack(_each(np.rot90)),
    "squeezed to 90 % of its width": Attack(squeezed),
    "blurred (sigma 4)": Attack(_each(lambda frame: cv2.GaussianBlur(frame, (0, 0), 4))),
}
"""Some of these defeat it: it was not made for them."""


def encoded(frames: Frames, attack: Attack) -> bytes:
    """A file of the attacked frames."""
    attacked = attack.frames(frames)
    out = io.BytesIO()
    with av.open(out, "w", format="webm" if attack.codec == "libvpx-vp9" else "mp4") as container:
        stream: Any = container.add_stream(attack.codec, rate=attack.fps, options=dict(attack.options))
        stream.height, stream.width = attacked[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", attack.bit_rate
        for frame in attacked:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def decoded(data: bytes) -> Frames:
    """The pictures of a file, as whoever passes it on has them."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def read(data: bytes, key: bytes | None = None) -> MarkReading:
    """What the detector finds in a file."""
    detector = MarkDetector(key)
    for luma in luma_frames(io.BytesIO(data), "the video"):
        detector.add(luma)
    return detector.read()
