"""What waiting jobs hold in memory."""

from __future__ import annotations

from core.request import Avatar, Framing
from core.service.job_inputs import DecodedInputs, held_bytes
from core.types import Audio, Photo
from tests.support.clip_files import moving


def test_a_video_that_waits_counts_with_its_file(portrait: Photo, speech: Audio) -> None:
    clip = moving(5)
    avatar = Avatar("0" * 40, "somebody", "", Framing(), "video", "0" * 64, 96, 64, 0.0, nbytes=10**9)
    assert held_bytes(clip) == len(clip.data)
    assert held_bytes(avatar, None) == 0
    assert held_bytes(clip, portrait, speech) == len(clip.data) + portrait.pixels.nbytes + speech.samples.nbytes + len(speech.original)
    kept = DecodedInputs(len(clip.data))
    kept.keep("first", clip, held_bytes(clip))
    kept.keep("second", clip, held_bytes(clip))
    assert kept.take("first") is clip
    assert kept.take("second") is None
