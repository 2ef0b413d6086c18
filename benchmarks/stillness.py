"""Measures on rendered videos what should keep still: hair and background beside the head, and the lips in silence.

usage: python benchmarks/stillness.py [PHOTO...] [--size 512]        (default: assets/portrait.png)

Each PHOTO speaks assets/speech_7s.wav, and after it PAUSE_S of quiet noise, through the studio and its lite engine. Figures:

outside    how far hair and background move from where they are in the first frame, over how far the head does: the 99th percentile of the
           optical flow (DIS) at textured pixels outside the oval of the face whose flow back ends within BACK_PX of where it began, over
           the most that the head's own motion, a similarity fitted to the flow of the face above the mouth, moves any point of a head
           with hair (the oval, HAIR times as large); the median and the 95th percentile of all frames in which that is HEAD_PX or more.
           1.0: as far as the head and no further. A straight line is no texture: what moves along it is not seen, and the flow of hair
           that is drawn by lines alone says nothing.
jitter     RMS of how far a point of the lips goes from frame to frame in the pause, in pixels (Lucas-Kanade), less what an affine motion of
           nose, cheeks and brow explains, since the head sways in pauses, too, and less its mean over SMOOTH frames, since lips come
           to rest and go back to a smile.
Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FACE_OVAL
from core.media.audio import load_audio
from core.media.image import load_image
from core.request import RenderOptions, Request
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import FPS, SAMPLE_RATE_HZ, Audio

F32 = NDArray[np.float32]
Grey = NDArray[np.uint8]
Figures = dict[str, float]
ASSETS = Path(__file__).resolve().parent.parent / "assets"
PAUSE_S, SETTLED_S, NOISE = 3.0, 0.6, 3e-4
"""The lips have SETTLED_S to close before they are measured. NOISE: RMS of what is heard in the pause, -70 dBFS."""
HEAD_PX, BACK_PX, TEXTURE, AROUND, HAIR, SMOOTH = 1.0, 0.5, 6.0, 15, 1.5, 5
"""TEXTURE: least gradient (Sobel, grey levels, RMS over AROUND x AROUND pixels), in whichever direction, of a pixel whose flow says
something."""
LIPS = (61, 291, 0, 17, 37, 267, 84, 314, 39, 269, 91, 321)
"""Of the mesh: corners and outer lips."""
STEADY = (1, 4, 5, 6, 168, 9, 8, 50, 280, 117, 346, 48, 278, 107, 336)
"""Nose, its bridge, cheekbones and brow: the head's own motion."""
UPPER_LIP = 0
LUCAS_KANADE = {"winSize": (21, 21), "maxLevel": 1, "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)}


def spoken_and_silent(settings: Settings) -> tuple[Audio, int]:
    """The recording and the pause after it, and the first frame of which the lips are measured."""
    speech = load_audio(ASSETS / "speech_7s.wav", settings)
    noise = np.random.default_rng(0).normal(0, NOISE, int(PAUSE_S * SAMPLE_RATE_HZ)).astype(np.float32)
    first = int((len(speech.samples) / SAMPLE_RATE_HZ + SETTLED_S) * FPS) + 1
    return load_audio((SAMPLE_RATE_HZ, np.concatenate((speech.samples, noise))), settings), first


def frames_of(studio: Studio, photo: Path, size: int, audio: Audio, settings: Settings) -> list[Grey]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        options = RenderOptions(size=size, crf=10)
        studio.generate(Request(audio, load_image(photo, settings), options=options), path)
        video, grey = cv2.VideoCapture(str(path)), list[Grey]()
        while (read := video.read())[0]:
            grey.append(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY), np.uint8))
        return grey


def mesh_of(finder: FaceFinder, grey: Grey) -> F32:
    """(478, 2), pixels."""
    mesh = finder.largest_mesh(np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8))
    if mesh is None:
        raise SystemExit("no face is found in what was drawn")
    return np.ascontiguousarray(mesh[:, :2], np.float32)


def at(flow: F32, moved: F32) -> F32:
    """(H, W, 2): the flow at the places to which another brings each pixel."""
    y, x = np.indices(flow.shape[:2], np.float32)
    return np.asarray(cv2.remap(flow, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def texture(grey: Grey) -> F32:
    """(H, W): the gradient around each pixel in the direction in which it is least."""
    x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0) / 4, cv2.Sobel(grey, cv2.CV_32F, 0, 1) / 4
    xx, xy, yy = (cv2.blur(product, (AROUND, AROUND)) for product in (x * x, x * y, y * y))
    least = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    return np.asarray(np.sqrt(np.maximum(least, 0)), np.float32)


def beside_the_head(frames: list[Grey], mesh: F32) -> Figures:
    """`outside`, as its median and 95th percentile. mesh: of the first frame."""
    still, outline = frames[0], cv2.convexHull(mesh[list(FACE_OVAL)])[:, 0]
    oval = np.zeros(still.shape, np.uint8)
    cv2.fillConvexPoly(oval, outline.astype(np.int32), 1)
    textured = texture(still) >= TEXTURE
    outside = textured & ~cv2.dilate(oval, np.ones((9, 9), np.uint8)).astype(bool)
    rows, columns = np.nonzero(textured[: int(mesh[UPPER_LIP, 1])] & oval[: int(mesh[UPPER_LIP, 1])].astype(bool))
    on_face = np.stack((columns, rows), 1).astype(np.float32)
    head = (outline.mean(axis=0) + HAIR * (outline - outline.mean(axis=0))).astype(np.float32)
    flow_of, ratios = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), list[float]()
    for frame in frames[1:]:
        flow = flow_of.calc(still, frame, None)
        own, _ = cv2.estimateAffinePartial2D(on_face, on_face + flow[rows, columns], method=cv2.RANSAC, ransacReprojThreshold=1.0)
        moved = float(np.linalg.norm(head @ own[:, :2].T + own[:, 2] - head, axis=1).max())
        sure = outside & (np.linalg.norm(flow + at(flow_of.calc(frame, still, None), flow), axis=2) < BACK_PX)
        if moved >= HEAD_PX:
            ratios.append(float(np.percentile(np.linalg.norm(flow[sure], axis=1), 99)) / moved)
    return {f"outside_{q}": float(np.percentile(ratios, q)) for q in (50, 95)}


def lips_in_silence(frames: list[Grey], mesh: F32) -> Figures:
    """`jitter_px`. mesh: of the first of these frames."""
    points, moves = mesh[[*LIPS, *STEADY]], list[F32]()
    for before, after in zip(frames, frames[1:], strict=False):
        there = cv2.calcOpticalFlowPyrLK(before, after, points[:, None], None, **LUCAS_KANADE)[0][:, 0]
        whole, _ = cv2.estimateAffine2D(points[len(LIPS) :], there[len(LIPS) :], method=cv2.LMEDS)
        moves.append(there[: len(LIPS)] - (points[: len(LIPS)] @ whole[:, :2].T + whole[:, 2]).astype(np.float32))
        points = np.ascontiguousarray(there, np.float32)
    steps = np.stack(moves)  # (frames - 1, lips, 2)
    smooth = cv2.blur(steps.reshape(len(steps), -1), (1, SMOOTH), borderType=cv2.BORDER_REFLECT).reshape(steps.shape)
    return {"jitter_px": float(np.sqrt(((steps - smooth) ** 2).sum(axis=2).mean()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=[ASSETS / "portrait.png"])
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    settings = Settings()
    audio, first = spoken_and_silent(settings)
    studio, finder, told = open_studio(settings), FaceFinder(), dict[str, Figures]()
    try:
        for photo in arguments.photos:
            frames = frames_of(studio, photo, arguments.size, audio, settings)
            told[photo.name] = {
                **beside_the_head(frames, mesh_of(finder, frames[0])),
                **lips_in_silence(frames[first:], mesh_of(finder, frames[first])),
            }
            print(photo.name, " ".join(f"{name} {value:.3f}" for name, value in told[photo.name].items()))
    finally:
        studio.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
