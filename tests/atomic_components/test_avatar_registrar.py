"""Registration of a photo: whose face, at which size, with which options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.registration import DittoRegistration
from core.atomic_components.source_options import SourceOptions
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.mesh_detector import MeshDetector
from core.errors import Cancelled, FaceError, OptionError
from core.optimization.resolution_optimization import source_size
from core.types import Frame
from tests.support.ditto_source import Array, Counted, Info, MeshAs203, small_volume


def test_a_photo(registrar: AvatarRegistrar, appearance: Counted, motion: Counted, finder: FaceFinder, astronaut: Frame) -> None:
    done = []
    found = registrar.register(astronaut, progress=done.append)
    assert isinstance(found, DittoRegistration)
    assert found.is_image
    assert (len(found), found.index(0), found.index(17)) == (1, 0, 0)
    assert (found.width, found.height, found.source_width, found.source_height) == (512, 512, 512, 512)
    assert done == [1]
    frame = found.frames[0]
    assert frame.m_c2o.shape == (3, 3)
    assert frame.m_c2o.dtype == frame.eye_open.dtype == frame.eye_ball.dtype == np.float32
    assert frame.eye_open.shape == (1, 2)
    assert frame.eye_ball.shape == (1, 6)
    assert (0.3 < frame.eye_open).all()
    assert (frame.eye_open < 1.5).all()
    image = motion.inputs[0]
    assert image.shape == (1, 3, 256, 256)
    assert image.dtype == torch.float32
    assert 0 <= image.min() <= image.max() <= 1
    assert found.motion.sc[0] == pytest.approx(float(image.mean()), abs=1e-6)
    # The eyes and the mouth stand upright in the middle of the crop.
    face = finder.find(found.crop(0))[0]
    assert abs(face.points[33, 1] - face.points[263, 1]) < 6
    assert abs(face.points[:, 0].mean() - 128) < 12
    # What the small output is framed by is the face that the other engine frames by.
    np.testing.assert_allclose(found.face_box, finder.find(astronaut)[0].box, atol=6)
    # The appearance is computed when it is asked for, once, from that very crop.
    assert not appearance.inputs
    first = found.feature(0)
    assert found.feature(0) is first
    assert len(appearance.inputs) == 1
    assert torch.equal(appearance.inputs[0], image)
    assert found.nbytes > astronaut.nbytes


def test_no_face_and_a_face_that_is_not_there(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    with pytest.raises(FaceError, match="No face was found"):
        registrar.register(np.full((300, 300, 3), 90, np.uint8))
    with pytest.raises(FaceError, match="Face 1 was asked for, but the photo shows 1"):
        registrar.register(astronaut, face_index=1)
    with pytest.raises(FaceError, match="cut off"):
        registrar.register(astronaut[100:])


def test_a_face_without_eyes(finder: FaceFinder, mesh: FaceMesh, astronaut: Frame) -> None:
    class Blind:
        def meshes(self, pixels: Frame) -> list[Array]:
            return []

    registrar = AvatarRegistrar(small_volume, Info, MeshDetector(finder), MeshAs203(mesh), Blind())
    with pytest.raises(FaceError, match="not its eyes"):
        registrar.register(astronaut)


def test_several_faces(registrar: AvatarRegistrar, finder: FaceFinder, astronaut: Frame) -> None:
    """Each face gets its own crop and its own eyes, although the crop of one shows the other as well."""
    both = np.concatenate([cv2.resize(astronaut[:, 100:350], (200, 410)), np.full((410, 10, 3), 127, np.uint8)], axis=1)
    both = np.concatenate([both, astronaut[:410, 100:350]], axis=1)
    large, small = registrar.register(both, face_index=0), registrar.register(both, face_index=1)
    assert large.face_box[0] > 230
    assert small.face_box[2] < 200
    assert large.frames[0].m_c2o[0, 0] > small.frames[0].m_c2o[0, 0]
    alone = registrar.register(astronaut)
    np.testing.assert_allclose(large.frames[0].eye_open, alone.frames[0].eye_open, atol=0.05)
    np.testing.assert_allclose(small.frames[0].eye_open, alone.frames[0].eye_open, atol=0.15)


def test_a_registration_can_be_cancelled(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    def stop(done: int) -> None:
        if done == 2:
            raise Cancelled("enough")

    read = []

    def frames() -> Iterator[Frame]:
        while True:
            read.append(1)
            yield astronaut

    with pytest.raises(Cancelled):
        registrar.register(frames(), progress=stop)
    assert len(read) == 2


def test_a_small_face_in_a_large_photo_keeps_its_pixels(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    """The published pipeline shrinks the photo first, whatever is left of the face."""
    photo = np.full((2400, 3000, 3), 110, np.uint8)
    photo[1000:1512, 1500:2012] = astronaut
    kept, shrunk = registrar.register(photo), registrar.register(photo, SourceOptions(keep_detail=False))
    assert (shrunk.width, shrunk.height) == (1920, 1536)
    assert (kept.width, kept.height) == (3000, 2400)  # the crop of this face has about 250 of the photo's pixels: all of them are kept
    detail = [float(cv2.Laplacian(cv2.cvtColor(one.crop(0), cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()) for one in (kept, shrunk)]
    assert detail[0] > 1.3 * detail[1], detail
    assert any("small" in warning for warning in shrunk.warnings)
    own = np.array(kept.face_box) / kept.width, np.array(shrunk.face_box) / shrunk.width
    np.testing.assert_allclose(*own, atol=0.002)
    assert registrar.register(photo, SourceOptions(max_size=0)).width == 3000
    lying = registrar.register(np.ascontiguousarray(np.rot90(photo)))
    assert (lying.width, lying.height, lying.quarters) == (kept.width, kept.height, 3)
    np.testing.assert_array_equal(lying.crop(0), kept.crop(0))


def test_a_large_face_is_registered_as_published(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    """Photos within the bound, of odd sides too, and large ones whose face is large do not depend on keep_detail."""
    for photo in (astronaut[:511, :509], cv2.resize(astronaut[:300, 80:380], (2400, 2400), interpolation=cv2.INTER_CUBIC)):
        kept, published = registrar.register(photo), registrar.register(photo, SourceOptions(keep_detail=False))
        assert (kept.width, kept.height) == (published.width, published.height) == source_size(*photo.shape[1::-1], 1920)
        np.testing.assert_array_equal(kept.frames[0].m_c2o, published.frames[0].m_c2o)
        np.testing.assert_array_equal(kept.crop(0), published.crop(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_scale": 0}, {"crop_scale": float("nan")}, {"crop_scale": "2"}, {"smo_k_s": 2.5}, {"smo_k_s": -1}, {"max_size": True},
        {"crop_flag_do_rot": 1}, {"crop_vx_ratio": 3}, {"template_n_frames": 1.0},
    ],
)  # fmt: skip
def test_source_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        SourceOptions(**wrong)


def test_crop_options_have_their_effect(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    plain = registrar.register(astronaut).frames[0].m_c2o
    wide = registrar.register(astronaut, SourceOptions(crop_scale=3.0)).frames[0].m_c2o
    assert np.hypot(*wide[0, :2]) / np.hypot(*plain[0, :2]) == pytest.approx(3 / 2.3, rel=1e-3)
    level = registrar.register(astronaut, SourceOptions(crop_flag_do_rot=False)).frames[0].m_c2o
    assert level[0, 1] == 0 != plain[0, 1]
    for name, axis in (("crop_vx_ratio", 0), ("crop_vy_ratio", 1)):
        options = {"crop_flag_do_rot": False, "crop_vx_ratio": 0.0, "crop_vy_ratio": 0.0}
        before = registrar.register(astronaut, SourceOptions(**options)).frames[0].m_c2o
        after = registrar.register(astronaut, SourceOptions(**{**options, name: 0.1})).frames[0].m_c2o
        moved = (after - before)[:2, 2] / (512 * before[0, 0])
        assert moved[axis] == pytest.approx(0.1, abs=0.01), name
    small = registrar.register(astronaut, SourceOptions(max_size=300, keep_detail=False))
    assert (small.width, small.height, small.source_width) == (300, 300, 512)
