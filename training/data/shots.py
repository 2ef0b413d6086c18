"""Reads a video as shots: frames between two cuts, 25 a second, and the sound that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from core.atomic_components.registration import PictureFile
from core.aux_models.usable_faces import PictureCuts
from core.media.clip_sound import ClipSound
from core.media.source import Clip
from core.optimization.resolution_optimization import bounded
from core.types import FPS, SAMPLES_PER_FRAME, Samples

RATE_HZ = FPS * SAMPLES_PER_FRAME
MAX_SIDE_PX = 1280
"""Frames are kept so large: the motion extractor sees the face in 256 pixels."""
MAX_STORE_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class Shot:
    """first: number of its first frame in the video. frames: on the disk until this object goes."""

    first: int
    frames: PictureFile

    def __len__(self) -> int:
        return len(self.frames)


def shots_of(clip: Clip, max_frames: int) -> Iterator[Shot]:
    """The video's shots in order; one that is longer than max_frames is cut there."""
    cuts = PictureCuts()
    first, frames = 0, PictureFile(MAX_STORE_BYTES)
    for number, own in enumerate(clip.frames(FPS)):
        frame = bounded(own, MAX_SIDE_PX)
        cut = cuts.begins(frame)
        if len(frames) and (cut or len(frames) == max_frames):
            yield Shot(first, frames)
            first, frames = number, PictureFile(MAX_STORE_BYTES)
        if not frames.append(frame):  # no room for it: the rest is another shot
            yield Shot(first, frames)
            first, frames = number, PictureFile(MAX_STORE_BYTES)
            frames.append(frame)
    if len(frames):
        yield Shot(first, frames)


def sound_of(clip: Clip) -> Samples | None:
    """(640 n,) float32 at 16 kHz, mono, from the first picture on, 640 samples for each frame; None without a sound track."""
    n_frames = clip.n_frames
    sound = ClipSound.of(clip, n_frames, Fraction(FPS), "freeze")
    if not sound.is_there():
        return None
    n = n_frames * SAMPLES_PER_FRAME
    samples = np.zeros(n, np.float32)
    at = 0
    with closing(sound.blocks(RATE_HZ, 1)) as blocks:
        for block in blocks:
            piece = block[0, : n - at]
            samples[at : at + len(piece)] = piece
            at += len(piece)
            if at >= n:
                break
    return samples
