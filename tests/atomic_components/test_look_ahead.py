"""How much sound after a frame Ditto needs before the frame is certain: what a session promises, against hearing sound bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from core.atomic_components.pose import SourceMotion
from core.atomic_components.wav2feat import FeatureOptions, Wav2Feat
from core.engines.ditto_session import look_ahead
from core.types import SAMPLES_PER_FRAME
from tests.support.ditto_motion import Sampled, a2m_of, carry_index, indexed, mean_encoder

FRAMES = 640
GRAIN = 80
"""Samples heard at a time; windows of speech end at multiples of it."""


@pytest.mark.parametrize("online", [False, True])
def test_no_frame_needs_more_sound_than_promised_and_one_needs_all_of_it(photo: SourceMotion, online: bool) -> None:
    features = Wav2Feat(mean_encoder, FeatureOptions.of(online))
    arrivals: list[int] = []  # samples heard when each feature came
    for heard in range(GRAIN, FRAMES * SAMPLES_PER_FRAME, GRAIN):
        arrivals += [heard] * sum(map(len, features.push(np.zeros(GRAIN, np.float32))))
    policies = [(75, 10, True), (75, 10, False), (75, 0, True), (78, 3, True), (66, 1, False), (30, 7, True)]
    shorter = [{"overlap_v2": overlap, "context_frames": context, "emit_tail": tail} for overlap, context, tail in policies]
    for overlap in [*range(80), *(shorter if online else [])]:
        more = overlap if isinstance(overlap, dict) else {"overlap_v2": overlap}
        stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, smo_k_d=3, online_mode=online, **more)
        came = [n for n in range(len(arrivals)) for _ in stage.push(indexed(n, 1))]
        waited = [arrivals[n] - (row + 1) * SAMPLES_PER_FRAME for row, n in enumerate(came)]
        assert max(waited) == look_ahead(stage._options), overlap
