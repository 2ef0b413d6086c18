"""Frames of a source video in which the face is not found, or must not be animated."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch

from core.atomic_components import saved_registration
from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.registration import MAX_STORE_BYTES
from core.atomic_components.source_options import SourceOptions
from core.errors import FaceError
from core.types import Frame
from tests.support.ditto_source import Counted, moved_by
from tests.support.paths import ASSETS

AS_READ = SourceOptions(smo_k_s=1)


def covered(frame: Frame) -> Frame:
    """A sheet of paper before the face, which is at (226, 125)."""
    hidden = frame.copy()
    hidden[40:220, 150:310] = np.linspace(200, 240, 160)[None, :, None]
    return hidden


def blank(frame: Frame) -> Frame:
    return np.full_like(frame, 16)


def why(found: object, span: slice) -> set[str | None]:
    return set(found.shown.why[span])  # type: ignore[attr-defined]


def test_a_short_gap_is_bridged(registrar: AvatarRegistrar, motion: Counted, astronaut: Frame) -> None:
    frames = [moved_by(astronaut, 3.0 * i) for i in range(16)]
    seen = [moved_by(covered(astronaut), 3.0 * i) if 4 <= i < 10 else frame for i, frame in enumerate(frames)]
    found, whole = registrar.register(iter(seen), AS_READ), registrar.register(iter(frames), AS_READ)
    assert set(found.shown.why) == {None}
    np.testing.assert_array_equal(found.shown.weight, 1)
    for i in range(16):  # the crop goes on with the head that cannot be seen
        np.testing.assert_allclose(found.frames[i].m_c2o, whole.frames[i].m_c2o, rtol=0.01, atol=2.0)
    ends = [found.frames[i].motion.exp[0] for i in (3, 10)]
    assert min(ends) <= found.frames[6].motion.exp[0] <= max(ends)
    assert len(found.crop(6)) == 256


def test_a_long_gap_passes_as_it_is(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    frames = [covered(astronaut) if 10 <= i < 24 else astronaut for i in range(36)]
    found = registrar.register(iter(frames), AS_READ)
    assert why(found, slice(10, 24)) == {"no_face"}
    assert why(found, slice(0, 10)) | why(found, slice(24, 36)) == {None}
    eased = np.arange(1, 6, dtype=np.float32) / 6
    np.testing.assert_allclose(found.shown.weight[4:10], [1, *eased[::-1]], rtol=1e-6)
    np.testing.assert_allclose(found.shown.weight[24:30], [*eased, 1], rtol=1e-6)
    np.testing.assert_array_equal(found.shown.weight[10:24], 0)


def test_a_flash_switches_with_the_picture(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    found = registrar.register(iter([blank(astronaut) if i in (0, 1, 8) else astronaut for i in range(16)]), AS_READ)
    np.testing.assert_array_equal(found.shown.weight, [0 if i in (0, 1, 8) else 1 for i in range(16)])


@pytest.fixture(scope="module")
def other() -> Frame:
    painting = cv2.imread(str(ASSETS / "examples" / "painting.jpg"))[:, :, ::-1]
    return cv2.resize(painting, (512, 512), interpolation=cv2.INTER_AREA)


def test_another_person_is_not_animated(registrar: AvatarRegistrar, astronaut: Frame, other: Frame) -> None:
    found = registrar.register(iter([other if 3 <= i < 6 else astronaut for i in range(9)]), AS_READ)
    assert found.shown.why == (*[None] * 3, *["other_face"] * 3, *[None] * 3)
    x0, _, x1, _ = found.face_box
    assert (x0 + x1) / 2 == pytest.approx(226, abs=10)


def test_the_face_is_chosen_in_the_first_frame_with_so_many(registrar: AvatarRegistrar, astronaut: Frame, other: Frame) -> None:
    near = cv2.resize(astronaut[:284, 84:368], (512, 512), interpolation=cv2.INTER_AREA)
    both = np.concatenate([near, other], axis=1)
    alone = np.concatenate([np.full_like(astronaut, 90), other], axis=1)
    found = registrar.register(iter([alone, both, both]), AS_READ, face_index=1)
    assert found.shown.why == ("other_face", None, None)
    assert found.frames[1].face_box[0] < 512


def test_only_a_video_without_any_face_is_refused(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    with pytest.raises(FaceError, match="none was found") as refused:
        registrar.register(iter([blank(astronaut)] * 3))
    assert refused.value.code == "video_without_face"
    with pytest.raises(FaceError, match="cut off by the edge"):
        registrar.register(iter([astronaut[:140]] * 3))
    with pytest.raises(FaceError, match="Face 1 was asked for, but the video shows 1 face"):
        registrar.register(iter([astronaut] * 2), face_index=1)


def test_what_is_skipped_is_kept(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    frames = [covered(astronaut) if 3 <= i < 15 else astronaut for i in range(18)]
    found = registrar.register(iter(frames), AS_READ)

    def video() -> Sequence[Frame]:
        return frames

    again = saved_registration.restored(*saved_registration.saved(found), registrar.extract, torch.device("cpu"), video, MAX_STORE_BYTES)
    assert again.shown.why == found.shown.why
    np.testing.assert_array_equal(again.shown.weight, found.shown.weight)
    for i in (0, 8, 17):
        np.testing.assert_array_equal(again.crop(i), found.crop(i))
