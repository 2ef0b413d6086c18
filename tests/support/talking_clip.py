"""A clip of a person who talks, for tests: the portrait, drawn by the lite engine, moved and turned in the picture, as a file."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np

from core.engines.base import Engine
from core.request import Controls, Framing, RenderOptions
from core.types import Audio, Frame, Photo

WIDTH, HEIGHT, SIDE = 400, 360, 300


def talking_frames(engine: Engine, portrait: Photo, speech: Audio, n: int, moves: bool = True) -> list[Frame]:
    """n frames of 400 x 360 whose person says the speech, with wide lips, while the head goes through the picture."""
    session = engine.session(engine.register(portrait, Framing()), Controls(mouth=1.3), RenderOptions(size=SIDE))
    pictures = [*session.push(speech.samples[: 640 * n]), *session.flush()]
    return [_placed(picture, number if moves else 0) for number, picture in enumerate(pictures)]


def _placed(picture: Frame, number: int) -> Frame:
    turn, scale = 4 * np.sin(number / 9), 1.1 + 0.08 * np.sin(number / 7)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, scale)
    matrix[:, 2] += (WIDTH / 2 - SIDE / 2 + 30 * np.sin(number / 11), HEIGHT / 2 - SIDE / 2 + 8 * np.sin(number / 5))
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def encoded(frames: list[Frame], rate: int = 25) -> bytes:
    """An MP4 file of them."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10", "preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
