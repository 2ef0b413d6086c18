"""A stream that another encoder goes on with: pictures and sound follow one another as if it had been one."""

from __future__ import annotations

import numpy as np

from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.segments import PREROLL, StreamPlace
from tests.support.streams import pictures, sound

RATE_HZ, SAMPLES = 48_000, 1920
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(100 * SAMPLES) / RATE_HZ)).astype(np.float32)[None]


def encoder(place: StreamPlace | None = None) -> FragmentedMp4:
    return FragmentedMp4(64, 64, RATE_HZ, 1, {}, place=place)


def piece(stream: FragmentedMp4, first: int, n: int) -> tuple[bytes, int]:
    stream.add_sound(TONE[:, first * SAMPLES : (first + n) * SAMPLES])
    for i in range(first, first + n):
        stream.add_frame(as_picture(np.full((64, 64, 3), 2 * i, np.uint8)), keyframe=i == first)
    cut = stream.cut()
    assert (cut.n_frames, round(cut.start_s * 25)) == (n, first)
    return cut.data, cut.sound_end


def test_another_encoder_goes_on_with_a_stream() -> None:
    for joint in (2, 3, 50):
        one = encoder()
        head = one.initialisation().data
        before, sound_end = piece(one, 0, joint)
        kept = TONE[:, max(0, joint * SAMPLES - PREROLL) : joint * SAMPLES]
        other = encoder(StreamPlace(1, joint, sound_end, kept))
        assert other.initialisation().data == head
        after, end = piece(other, joint, 40)
        shown = pictures(head + before + after)
        assert [frame.pts for frame in shown] == [600 * i for i in range(joint + 40)]
        assert [int(frame.to_ndarray(format="gray")[0, 0]) for frame in shown] == sorted(
            int(frame.to_ndarray(format="gray")[0, 0]) for frame in shown
        )
        heard = sound(head + before + after)[0]
        assert len(heard) == end - 1024
        assert np.abs(heard - TONE[0, : len(heard)])[1024:].max() < 0.02, "no gap, no click at the joint"
