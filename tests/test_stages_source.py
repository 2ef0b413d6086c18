"""The source side of Ditto's stages: landmarks, crop, eyes, registration of photos and videos, put back.

Tests named `parity` hold against the published code's own numbers (`golden_io`). The BlazeFace and FaceMesh arrays of `aux_models`
belong to a second form of the face mesh that the published ONNX and TensorRT sets carry; here the mesh is MediaPipe's in every case.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import io
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from golden_io import SEED, check, load, meta
from numpy.typing import NDArray
from synthetic import synthetic_input

from core.atomic_components.avatar_registrar import AvatarRegistrar, moving_average
from core.atomic_components.crop import CROP_PX, Crop, halved, network_input
from core.atomic_components.pose import mirror_index
from core.atomic_components.putback import Canvas, blend_mask
from core.atomic_components.registration import MAX_FEATURES, DittoRegistration
from core.atomic_components.source_options import SourceOptions
from core.aux_models import insightface
from core.aux_models.face_mesh import MODEL_PATH, FaceFinder, FaceMesh, MeshDetector
from core.aux_models.insightface import InsightFaceDetector, area, decode_boxes, decode_landmarks, detector_blob
from core.aux_models.landmark203 import Landmark203
from core.aux_models.landmark203 import landmark_blob as blob_203
from core.aux_models.landmarks import LAYOUT_106, LAYOUT_203, Landmarks, eye_attributes
from core.aux_models.onnx_model import OnnxModel
from core.errors import Cancelled, EngineUnavailable, FaceError, ImageError, OptionError
from core.media.source import Clip, load_source
from core.optimization.resolution_optimization import Cut, bounded, cut_pixels, face_cut, output_size, source_size
from core.settings import Settings
from core.types import Frame, Photo, RenderOptions

Array = NDArray[np.float32]
PARTS = {"pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 63, "scale": 1, "kp": 63}
RANGES = {"pitch": (-6, 6), "yaw": (-6, 6), "roll": (-6, 6), "t": (-0.2, 0.2), "exp": (-0.1, 0.1), "scale": (1, 1.5), "kp": (-0.6, 0.6)}


def same_bytes(golden: Any, key: str, array: NDArray[Any]) -> bool:
    return hashlib.sha256(array.tobytes()).digest() == bytes(golden[key])


@pytest.fixture(scope="module")
def astronaut(portrait: Photo) -> Frame:
    assert same_bytes(load("crop"), "image_sha256", portrait.pixels)
    return portrait.pixels


# ---------------------------------------------------------------- parity: crop, eyes, sizes, smoothing


def golden_crop(name: str, **more: Any) -> tuple[Any, Crop, Landmarks]:
    golden = load("crop")
    n, options = meta(golden)["cases"][name]
    landmarks = Landmarks(golden[f"pts{n}"], LAYOUT_106 if n == 106 else LAYOUT_203)
    crop = Crop.around(
        landmarks, options["dsize"], options["scale"], vy_ratio=options["vy_ratio"], rotate=options.get("flag_do_rot", True), **more
    )
    return golden, crop, landmarks


CROPS = ["c224_from106_rot", "c224_from203_rot", "c224_from106_norot", "c512_rot", "c512_norot", "c512_vx_ignored"]


@pytest.mark.parametrize("name", CROPS)
def test_parity_crop(name: str, astronaut: Frame) -> None:
    golden, crop, landmarks = golden_crop(name)
    for key, matrix in (("M_o2c", crop.m_o2c), ("M_c2o", crop.m_c2o)):
        assert matrix.dtype == np.float32
        check(golden, f"{name}_{key}", matrix, 1e-5 * np.abs(golden[f"{name}_{key}"]).max())
    pixels = crop.pixels(astronaut)
    check(golden, f"{name}_img", pixels, 4)  # OpenCV's versions differ by so much
    if f"{name}_pt_crop" in golden.files:
        check(golden, f"{name}_pt_crop", crop.to_crop(landmarks.points), 1e-3)
    if name == "c512_rot":
        check(golden, f"{name}_bchw256", network_input([halved(pixels)]).numpy(), 3.5 / 255)


def test_horizontal_shift_is_honoured() -> None:
    """The published code takes crop_vx_ratio and ignores it: its golden for 0.3 equals ours for 0. Here 0.3 moves the crop by 0.3 sides."""
    golden, ignored, _ = golden_crop("c512_vx_ignored")
    check(golden, "c512_vx_ignored_M_o2c", ignored.m_o2c, 1e-2)
    _, shifted, _ = golden_crop("c512_vx_ignored", vx_ratio=0.3)
    middle = np.array([[CROP_PX / 2, CROP_PX / 2]], np.float32)
    moved = ignored.to_crop(shifted.to_frame(middle)) - middle
    np.testing.assert_allclose(moved, [[0.3 * CROP_PX, 0]], atol=0.01)
    assert shifted.side_px == pytest.approx(ignored.side_px, rel=1e-5)


def test_landmarks_without_extent_are_no_face() -> None:
    with pytest.raises(FaceError):
        Crop.around(Landmarks(np.full((203, 2), 7, np.float32), LAYOUT_203), CROP_PX, 2.3)
    with pytest.raises(FaceError):
        Crop.around(Landmarks(np.full((203, 2), np.nan, np.float32), LAYOUT_203), CROP_PX, 2.3)


def test_parity_eye_attributes() -> None:
    golden = load("eye_attr")
    eye_open, eye_ball = eye_attributes(golden["lmk478"])
    assert eye_open.dtype == eye_ball.dtype == np.float32
    check(golden, "eye_open_reshaped", eye_open, 1e-5)
    check(golden, "LR_open", eye_open, 1e-5)
    check(golden, "eye_ball_reshaped", eye_ball, 1e-5)
    check(golden, "LR_ball_move", eye_ball.reshape(-1, 3, 2), 1e-5)


def test_parity_source_sizes(astronaut: Frame) -> None:
    golden = load("load_image")
    for height, width, most, new_height, new_width, changed in golden["rows_h_w_max_newh_neww_flag"].tolist():
        if (height, width) == (1, 1):  # the published code makes it 0 x 0
            assert source_size(width, height, most) == (2, 2)
            continue
        assert source_size(width, height, most) == (new_width, new_height), (height, width, most)
        assert changed == int((new_width, new_height) != (width, height))
    check(golden, "load_astro377_320", bounded(astronaut[:, :377], 320), 0)
    assert bounded(astronaut, 512) is astronaut


def test_output_size_of_the_whole_source_is_the_source_size() -> None:
    for width, height in ((4000, 3000), (1033, 3708), (512, 512), (1921, 1080)):
        assert output_size(width, height, RenderOptions(size="source", max_size=1814)) == source_size(width, height, 1814)


def synthetic_rows(n: int) -> dict[str, Array]:
    return {k: np.concatenate([synthetic_input(f"src{i}_{k}", (1, w), SEED, *RANGES[k]) for i in range(n)]) for k, w in PARTS.items()}


def test_parity_video_smoothing_and_mirror() -> None:
    golden = load("video_source")
    for name, rows in synthetic_rows(20).items():
        for k in (13, 4, 5):
            smooth = moving_average(rows, k)
            assert smooth.dtype == np.float32
            check(golden, f"smooth{k}_{name}", smooth[:, None, :9], 1e-6 * max(1, np.abs(rows).max()))
        assert moving_average(rows, 1) is rows
    for n in (1, 2, 7):
        check(golden, f"mirror_{n}", np.array([mirror_index(i, n) for i in range(len(golden[f"mirror_{n}"]))]), 0)
    check(golden, "looploader_4_11", np.array([mirror_index(i, 4) for i in range(11)]), 0)


# ---------------------------------------------------------------- parity: put back


def golden_render() -> Array:
    noise = np.clip(synthetic_input("render", (512, 512, 3), SEED, -3, 258), 0, 255)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigmaX=2, borderType=cv2.BORDER_REFLECT_101)
    return np.clip((blurred - 127.5) * 6 + 127.5, 0, 255).astype(np.float32)


def test_parity_putback(astronaut: Frame) -> None:
    golden = load("putback")
    mask = blend_mask()
    assert same_bytes(golden, "mask_sha256", mask)
    check(golden, "mask_row256", mask[256], 0)
    check(golden, "mask_corner40", mask[:40, :40], 0)
    render = golden_render()
    check(golden, "render", render, 1e-3)
    canvas = Canvas(astronaut, golden["M_c2o"])
    check(golden, "out", canvas.put(render), 2)
    check(golden, "out_numpy_variant", canvas.put(render), 2)
    check(golden, "out_white", canvas.put(np.full((512, 512, 3), 255, np.float32)), 2)
    check(golden, "out", canvas.on("cpu").put(torch.from_numpy(render / 255).permute(2, 0, 1)[None])[0].numpy(), 2)


# ---------------------------------------------------------------- parity: detector and landmarks


def raw_detection() -> list[Array]:
    sizes = [(512 // stride) ** 2 * 2 for stride in (8, 16, 32)]
    kinds = (("det_score", 1, 0, 0.503), ("det_box", 4, 1, 6), ("det_kps", 10, -3, 3))
    return [synthetic_input(f"{name}{i}", (n, width), SEED, low, high) for name, width, low, high in kinds for i, n in enumerate(sizes)]


@pytest.mark.parametrize(("case", "columns"), [("sq", 512), ("tall", 377)])
def test_parity_face_detector(case: str, columns: int, astronaut: Frame) -> None:
    golden = load("aux_models")
    blob, scale = detector_blob(astronaut[:, :columns])
    check(golden, f"det_{case}_blob", blob, 1e-6)
    boxes = decode_boxes(raw_detection(), scale)
    assert boxes.dtype == np.float32
    check(golden, f"det_{case}_boxes", boxes, 1e-3)
    check(golden, f"det_{case}_largest", boxes[np.argmax(area(boxes))], 1e-3)


def test_parity_landmarks_106(astronaut: Frame) -> None:
    golden = load("aux_models")
    blob, to_crop = insightface.landmark_blob(astronaut, golden["lmk106_box"])
    check(golden, "lmk106_blob", blob, 4)
    points = decode_landmarks(synthetic_input("lmk106_raw", (1, 212), SEED, -0.5, 0.5), to_crop)
    assert points.dtype == np.float32
    check(golden, "lmk106_pts", points, 1e-3)


def test_parity_landmarks_203(astronaut: Frame) -> None:
    golden = load("aux_models")
    _, crop, _ = golden_crop("c224_from106_rot")
    pixels = crop.pixels(astronaut)
    check(golden, "lmk203_input", blob_203(pixels), 4 / 255)
    raw = synthetic_input("lmk203_raw", (1, 406), SEED)
    others = [np.zeros((1, 214), np.float32), np.zeros((1, 262), np.float32)]
    for outputs in ([raw], [*others, raw]):  # as exported for Ditto, and as LivePortrait's own file has them

        def network(blob: Array, outputs: Sequence[Array] = outputs) -> Sequence[Array]:
            return outputs

        check(golden, "lmk203_pts", crop.to_frame(Landmark203(network)(pixels)), 1e-3)


# ---------------------------------------------------------------- detectors


def one_face(boxes: Sequence[tuple[float, float, float, float]]) -> Callable[[Array], list[Array]]:
    """A detector network that finds `boxes`, pixels of the 512 input."""

    def run(blob: Array) -> list[Array]:
        outputs = [np.zeros(((512 // s) ** 2 * 2, width), np.float32) for width in (1, 4, 10) for s in (8, 16, 32)]
        for n, (x0, y0, x1, y1) in enumerate(boxes):
            column, row = int((x0 + x1) / 16), int((y0 + y1) / 16)
            anchor = 2 * (row * 64 + column)
            outputs[0][anchor] = 0.9 - 0.01 * n
            outputs[3][anchor] = [column - x0 / 8, row - y0 / 8, x1 / 8 - column, y1 / 8 - row]
        return outputs

    return run


def test_insightface_gives_the_largest_face_first() -> None:
    detect = InsightFaceDetector(one_face([(20, 20, 60, 60), (200, 100, 400, 300)]), lambda blob: [np.zeros((1, 212), np.float32)])
    faces = detect(np.zeros((1024, 1024, 3), np.uint8))
    assert [len(face.points) for face in faces] == [106, 106]
    np.testing.assert_allclose(faces[0].points[0], [600, 400], atol=1)  # twice the detector's pixels
    np.testing.assert_allclose(faces[1].points[0], [80, 80], atol=1)
    assert InsightFaceDetector(one_face([]), lambda blob: [])(np.zeros((90, 1000, 3), np.uint8)) == []


def test_mesh_points_span_what_106_points_span(finder: FaceFinder, astronaut: Frame) -> None:
    face = MeshDetector(finder)(astronaut)[0]
    points = finder.find(astronaut)[0].points
    x0, y0 = face.points.min(axis=0)
    x1, y1 = face.points.max(axis=0)
    assert y1 == pytest.approx(points[152, 1], abs=2)  # the chin
    assert points[10, 1] + 10 < y0 < points[159, 1] - 5  # brows: below the forehead's top, above the eyes
    assert x0 == pytest.approx(points[:, 0].min(), abs=3)
    assert x1 == pytest.approx(points[:, 0].max(), abs=3)
    np.testing.assert_allclose(face.mouth_centre, points[[61, 291], :2].mean(axis=0), atol=0.01)


def test_parity_mesh_of_a_plain_landmarker(mesh: FaceMesh, astronaut: Frame) -> None:
    """The published pipeline asks MediaPipe for one face and otherwise for its defaults; ours tells several faces apart."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    crop = cv2.resize(astronaut[:256, 96:352], (512, 512))
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(MODEL_PATH)), num_faces=1)
    with vision.FaceLandmarker.create_from_options(options) as plain:
        found = plain.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=crop)).face_landmarks[0]
    want = np.array([(p.x, p.y, p.z) for p in found], np.float32)
    meshes = mesh.meshes(crop)
    assert len(meshes) == 1
    np.testing.assert_array_equal(meshes[0], want)
    assert mesh.meshes(np.zeros((512, 512, 3), np.uint8)) == []


def test_onnx_model(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 2])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("a", "b")]
    nodes = [helper.make_node("Neg", ["input"], ["a"]), helper.make_node("Abs", ["input"], ["b"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [given], made), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, tmp_path / "m.onnx")
    first, second = OnnxModel(tmp_path / "m.onnx", "test model", threads=1)(np.array([[1, -2]], np.float32))
    np.testing.assert_array_equal(np.concatenate([first, second]), [[-1, 2], [1, 2]])
    with pytest.raises(EngineUnavailable, match="face detector .*gone.onnx is missing"):
        OnnxModel(tmp_path / "gone.onnx", "face detector")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        OnnxModel(tmp_path / "bad.onnx", "face detector")
    with pytest.raises(EngineUnavailable):
        Landmark203(lambda blob: [np.zeros((1, 10), np.float32)])(np.zeros((224, 224, 3), np.uint8))


# ---------------------------------------------------------------- registration


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    return FaceMesh()


class MeshAs203:
    """Stands in for the 203-landmark network: the mesh's eyes and mouth in their places, its outline everywhere else; like the network it
    always says something."""

    def __init__(self, mesh: FaceMesh) -> None:
        self._mesh = mesh

    def __call__(self, crop: Frame) -> Array:
        meshes = self._mesh.meshes(crop)
        if not meshes:
            return np.linspace(60, 160, 406, dtype=np.float32).reshape(203, 2)
        mesh = min(meshes, key=lambda mesh: float(np.linalg.norm(mesh[1, :2] - 0.5)))[:, :2] * np.float32(224)
        outline = mesh[[10, 338, 284, 356, 454, 361, 397, 378, 152, 149, 172, 132, 234, 127, 54, 109]]
        points = outline[np.arange(203) % len(outline)]
        points[[0, 6, 12, 18]] = mesh[[33, 159, 133, 145]]
        points[[24, 30, 36, 42]] = mesh[[362, 386, 263, 374]]
        points[[48, 66]] = mesh[[61, 291]]
        return points


class Info:
    """Motion that tells which crop it came from: kp[0] is the mean of the picture."""

    def __init__(self, image: torch.Tensor) -> None:
        mean = image.mean(dim=(1, 2, 3))[:, None]
        for name, width in PARTS.items():
            setattr(self, name, mean.expand(-1, width) * (1 if name == "kp" else 0.5))


class Counted:
    def __init__(self, network: Callable[[torch.Tensor], Any]) -> None:
        self.network, self.inputs = network, list[torch.Tensor]()

    def __call__(self, image: torch.Tensor) -> Any:
        self.inputs.append(image)
        return self.network(image)


def small_volume(image: torch.Tensor) -> torch.Tensor:
    return image.mean(dim=1)[:, None, None, ::4, ::4]


@pytest.fixture
def appearance() -> Counted:
    return Counted(small_volume)


@pytest.fixture
def motion() -> Counted:
    return Counted(Info)


@pytest.fixture
def registrar(finder: FaceFinder, mesh: FaceMesh, appearance: Counted, motion: Counted) -> AvatarRegistrar:
    return AvatarRegistrar(appearance, motion, MeshDetector(finder), MeshAs203(mesh), mesh)


def moved_by(pixels: Frame, dx: float, dy: float = 0.0) -> Frame:
    shifted: Frame = cv2.warpAffine(
        pixels, np.array([[1, 0, dx], [0, 1, dy]], np.float64), pixels.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    )
    return shifted


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


def test_a_video(registrar: AvatarRegistrar, appearance: Counted, motion: Counted, astronaut: Frame) -> None:
    frames = [moved_by(astronaut, 2.0 * i) for i in range(11)]
    done = []
    found = registrar.register(iter(frames), SourceOptions(smo_k_s=5), progress=done.append)
    assert not found.is_image
    assert len(found) == 11
    assert done == list(range(1, 12))
    assert [found.index(i) for i in (0, 10, 11, 21, 22)] == [0, 10, 10, 0, 0]
    assert [len(image) for image in motion.inputs] == [4, 4, 3]
    # The crop follows the face.
    middles = np.array([frame.m_c2o[:2] @ (256, 256, 1) for frame in found.frames])
    np.testing.assert_allclose(np.diff(middles[:, 0]), 2.0, atol=0.7)
    for i in (0, 7, 10):
        np.testing.assert_array_equal(found.picture(i), frames[i])
        assert torch.equal(network_input([found.crop(i)])[0], torch.cat(motion.inputs)[i])
    # Motion is smoothed, the canonical keypoints that condition the model are those of the first frame before that.
    means = torch.cat(motion.inputs).mean(dim=(1, 2, 3)).numpy()
    assert found.motion.sc[0] == pytest.approx(means[0], abs=1e-6)
    kp = np.array([frame.motion.kp[0] for frame in found.frames])
    np.testing.assert_allclose(kp, moving_average(means[:, None], 5)[:, 0], atol=1e-6)
    assert not appearance.inputs
    assert found.feature(3).shape == found.feature(4).shape
    assert len(appearance.inputs) == 2
    assert len(registrar.register(iter(frames), SourceOptions(template_n_frames=3))) == 3


def test_a_video_of_one_frame_stays_a_video(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    found = registrar.register(iter([astronaut]))
    assert not found.is_image
    assert [found.index(i) for i in range(3)] == [0, 0, 0]


def test_a_video_without_frames(registrar: AvatarRegistrar) -> None:
    with pytest.raises(ImageError, match="no frames"):
        registrar.register(iter([]))


def test_a_lost_face_is_named_by_its_frame(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    """The published code ends with an IndexError somewhere in the eyes."""
    gone = np.full_like(astronaut, 120)
    with pytest.raises(FaceError, match=r"lost in frame 3 of the video \(0\.08 s\)"):
        registrar.register(iter([astronaut, astronaut, gone, astronaut]))
    with pytest.raises(FaceError, match="No face was found in the first frame of the video"):
        registrar.register(iter([gone, astronaut]))


def test_a_cut_in_a_video_is_survived(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    there = moved_by(astronaut, 180, 150)
    found = registrar.register(iter([astronaut, there, there]), SourceOptions(smo_k_s=1))
    shift = found.frames[2].m_c2o[:2] @ (256, 256, 1) - found.frames[0].m_c2o[:2] @ (256, 256, 1)
    np.testing.assert_allclose(shift, [180, 150], atol=6)


def test_a_video_that_changes_its_size(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    with pytest.raises(ImageError, match="512×512 to 500×512 pixels at frame 2"):
        registrar.register(iter([astronaut, astronaut[:, :500]]))


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


def test_a_video_larger_than_the_store_is_used_up_to_there(
    registrar: AvatarRegistrar, astronaut: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "_max_store_bytes", 3 * astronaut.nbytes)
    found = registrar.register(iter([astronaut] * 5))
    assert len(found) == 3
    assert "plays forth and back" in found.warnings[-1]


def still(finder: FaceFinder, mesh: FaceMesh, pixels: Frame) -> AvatarRegistrar:
    """Of a video in which nothing moves: every model's answer is known, so that hundreds of frames take no time."""
    faces = MeshDetector(finder)(pixels)
    answers: dict[str, Array] = {}

    def landmarks(crop: Frame) -> Array:
        if "landmarks" not in answers:
            answers["landmarks"] = MeshAs203(mesh)(crop)
        return answers["landmarks"]

    class Known:
        def meshes(self, crop: Frame) -> list[Array]:
            if "mesh" not in answers:
                answers["mesh"] = mesh.meshes(crop)[0]
            return [answers["mesh"]]

    return AvatarRegistrar(lambda image: torch.zeros(1, 32, 16, 16, 16), Info, lambda pixels: faces, landmarks, Known())


def test_memory_does_not_grow_with_a_video(finder: FaceFinder, mesh: FaceMesh, astronaut: Frame) -> None:
    registrar = still(finder, mesh, astronaut)

    def peak(n: int) -> tuple[int, DittoRegistration]:
        gc.collect()
        tracemalloc.start()
        found = registrar.register(astronaut.copy() for _ in range(n))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, found

    peak(4)
    few, _ = peak(20)
    many, found = peak(220)  # 157 MB of frames, 43 MB of crops
    assert many - few < 6 * 2**20, (few, many)
    for i in range(60):
        found.feature(found.index(i))
    assert len(found._features) == MAX_FEATURES
    assert found.nbytes < MAX_FEATURES * 2**20 * 0.6 + 220 * 4096


def test_sessions_share_a_registration(finder: FaceFinder, mesh: FaceMesh, astronaut: Frame) -> None:
    found = still(finder, mesh, astronaut).register(moved_by(astronaut, i) for i in range(6))
    wrong = []

    def read() -> None:
        for i in range(40):
            if not np.array_equal(found.picture(found.index(i)), moved_by(astronaut, found.index(i))):
                wrong.append(i)
            found.feature(found.index(i))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


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


# ---------------------------------------------------------------- put back


def own_crop(pixels: Frame, m_c2o: Array) -> Array:
    """The crop of a photo at its full 512 pixels: putting it back must show the photo."""
    cut: Frame = cv2.warpAffine(
        pixels, m_c2o[:2], (512, 512), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return cut.astype(np.float32)


@pytest.mark.parametrize("size", [160, 320, 512, 640])
def test_the_small_output_is_where_it_belongs(size: int, astronaut: Frame) -> None:
    """A picture put back into itself stays what it is: a wrong half pixel anywhere in the geometry would show at every edge."""
    soft = cv2.GaussianBlur(astronaut, (0, 0), 1.5)  # so that the two ways of resampling agree
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = face_cut(512, 512, (160.0, 50.0, 280.0, 190.0))
    canvas = Canvas(soft, m_c2o, cut, size, size)
    background = cut_pixels(soft, cut, size, size)
    out = canvas.put(own_crop(soft, m_c2o))
    assert out.shape == (size, size, 3)
    assert out.dtype == np.uint8
    inside = np.zeros((512, 512), np.float32)
    inside[30:-30, 30:-30] = 1
    apart = out.astype(int) - background
    assert np.abs(apart).mean() < 1.0
    worst = np.abs(apart).max(axis=2)
    assert np.percentile(worst, 99) <= 4, np.percentile(worst, 99)
    # Against a shift of half a pixel this is sharp enough:
    off = Canvas(soft, m_c2o @ np.array([[1, 0, 1.5], [0, 1, 0], [0, 0, 1]], np.float32), cut, size, size).put(own_crop(soft, m_c2o))
    assert np.abs(off.astype(int) - background).mean() > 1.5 * np.abs(apart).mean()


def test_a_render_changes_only_what_it_covers(astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = Cut(100, 0, 300, 300)
    canvas = Canvas(astronaut, m_c2o, cut, 320, 320)
    background = cut_pixels(astronaut, cut, 320, 320)
    white = canvas.put(np.full((512, 512, 3), 255, np.float32))
    middle = np.array([256, 256, 1]) @ m_c2o.T
    x, y = ((middle[:2] - (cut.x, cut.y)) * 320 / 300).astype(int)
    assert white[y, x].tolist() == [255, 255, 255]
    far = Canvas(astronaut, np.array([[0.1, 0, 150], [0, 0.1, 20], [0, 0, 1]], np.float32), cut, 320, 320)
    out = far.put(np.full((512, 512, 3), 255, np.float32))
    assert (out != background).any(axis=2).sum() < 70 * 70
    outside = Canvas(astronaut, np.array([[0.1, 0, 450], [0, 0.1, 450], [0, 0, 1]], np.float32), cut, 320, 320)
    np.testing.assert_array_equal(outside.put(np.zeros((512, 512, 3), np.float32)), background)
    np.testing.assert_array_equal(astronaut, load_portrait())  # the source is never written to
    first = canvas.put(np.zeros((512, 512, 3), np.float32))
    assert first is not canvas.put(np.full((512, 512, 3), 255, np.float32))
    assert first[y, x].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [160, 320, 640, 0])
def test_a_canvas_on_a_device_is_the_same_canvas(size: int, astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    canvas = Canvas(astronaut, m_c2o, Cut(100, -20, 300, 300) if size else None, size, size)
    renders = np.stack([golden_render(), own_crop(astronaut, m_c2o)])
    want = np.stack([canvas.put(render) for render in renders])
    got = canvas.on("cpu").put(torch.from_numpy(renders).permute(0, 3, 1, 2) / 255)
    assert got.dtype == torch.uint8
    assert got.shape == want.shape
    apart = np.abs(got.numpy().astype(int) - want)
    assert apart.max() <= 2, apart.max()
    assert apart.mean() < 0.1
    outside = Canvas(astronaut, np.array([[0.1, 0, 600], [0, 0.1, 600], [0, 0, 1]], np.float32)).on("cpu")
    np.testing.assert_array_equal(outside.put(torch.zeros(1, 3, 512, 512))[0].numpy(), astronaut)


def test_a_render_is_not_shown_beyond_the_source(astronaut: Frame) -> None:
    """The crop is black there. The published pipeline never shows that part; a square around a face at the photo's edge does."""
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    cut = Cut(30, -100, 400, 400)
    black = Canvas(astronaut, m_c2o, cut, 320, 320).put(np.zeros((512, 512, 3), np.float32))
    background = cut_pixels(astronaut, cut, 320, 320)
    np.testing.assert_array_equal(black[:80], background[:80])
    assert (black[92:120, 140:180] == 0).all()


def load_portrait() -> Frame:
    from core.media.image import load_image

    return load_image(Path(__file__).resolve().parents[1] / "assets" / "portrait.png", Settings()).pixels


def test_the_whole_source_at_another_size(astronaut: Frame) -> None:
    m_c2o = golden_crop("c512_rot")[1].m_c2o
    out = Canvas(astronaut, m_c2o, width=256, height=256).put(own_crop(astronaut, m_c2o))
    want = cut_pixels(astronaut, Cut(0, 0, 512, 512), 256, 256)
    assert np.abs(out.astype(int) - want).mean() < 1.5


# ---------------------------------------------------------------- video files


def video(
    n: int = 10, size: tuple[int, int] = (96, 64), rate: int = 25, codec: str = "libx264", form: str = "mp4", sound: bool = False
) -> bytes:
    """Frame i is grey i * 20, its upper left quarter red, its lower right one blue."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000) if sound else None
        for i in range(n):
            pixels = np.full((size[1], size[0], 3), i * 20 % 256, np.uint8)
            pixels[: size[1] // 2, : size[0] // 2] = (255, 0, 0)
            pixels[size[1] // 2 :, size[0] // 2 :] = (0, 0, 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
        if audio is not None:
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
            quiet.sample_rate = 16000
            container.mux(audio.encode(quiet))
            container.mux(audio.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(("codec", "form"), [("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "mov")])
def test_a_video_file(codec: str, form: str, settings: Settings, tmp_path: Path) -> None:
    data = video(codec=codec, form=form, sound=form == "mp4")
    path = tmp_path / "clip.png"  # told by its content
    path.write_bytes(data)
    clip = load_source(path, settings)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.sha256) == (96, 64, hashlib.sha256(data).hexdigest())
    frames = list(clip.frames())
    assert len(frames) == 10
    for i, frame in enumerate(frames):
        assert frame.shape == (64, 96, 3)
        assert frame.dtype == np.uint8
        np.testing.assert_allclose(frame[5, 5], (255, 0, 0), atol=8)
        np.testing.assert_allclose(frame[5, -5], i * 20, atol=8)
        np.testing.assert_allclose(frame[-5, -5], (0, 0, 200), atol=8)
    assert len(list(dataclasses.replace(clip, max_frames=4).frames())) == 4
    assert isinstance(load_source(data, settings), Clip)


@pytest.mark.parametrize("rate", [12, 24, 25, 30, 50, 60])
def test_a_video_of_another_rate_plays_at_its_own_speed(rate: int, settings: Settings) -> None:
    """The published code shows every stored frame for 1/25 s, so that 60 a second play in slow motion; that is `fps=None` here."""
    clip = load_source(video(2 * rate, rate=rate), settings)
    assert isinstance(clip, Clip)
    frames = list(clip.frames())
    assert abs(len(frames) - 50) <= 1
    for i in (0, 9, 24, 40):
        shown = round(i / 25 * rate) * 20 % 256
        near = [shown, (shown + 20) % 256, (shown - 20) % 256] if rate % 25 else [shown]
        assert min(abs(int(frames[i][5, -5, 0]) - grey) for grey in near) < 8
    assert len(list(clip.frames(None))) == 2 * rate


def test_a_video_held_upright(settings: Settings) -> None:
    """Phones store the picture lying down and a matrix that says how it was held."""
    data = video()
    at = data.index(b"tkhd") + 44
    assert data[at : at + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    held = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)  # to be turned clockwise
    clip = load_source(data[:at] + held + data[at + 36 :], settings)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height) == (64, 96)
    frame = next(clip.frames())
    np.testing.assert_allclose(frame[5, -5], (255, 0, 0), atol=8)
    np.testing.assert_allclose(frame[-5, 5], (0, 0, 200), atol=8)


def test_videos_that_cannot_be_used(settings: Settings, tmp_path: Path) -> None:
    data = video()
    for bad in (data[:200], data[: len(data) // 2], data[:40] + bytes(1000)):
        with pytest.raises(ImageError, match="complete"):
            load_source(bad, settings)
    with pytest.raises(ImageError, match="only 32×32"):
        load_source(video(size=(32, 32)), settings)
    with pytest.raises(ImageError, match="too large"):
        load_source(data, Settings(max_image_pixels=1000))
    song = io.BytesIO()
    with av.open(song, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        quiet.sample_rate = 16000
        container.mux(stream.encode(quiet))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="only sound"):
        load_source(song.getvalue(), settings)
    with pytest.raises(ImageError, match="does not exist"):
        load_source(tmp_path / "none.mp4", settings)
    with pytest.raises(ImageError):
        load_source(tmp_path, settings)


def test_a_damaged_video_gives_what_is_left(settings: Settings) -> None:
    data = bytearray(video(60))
    at = data.index(b"mdat") + 8
    middle = at + (len(data) - at) // 3
    data[middle : middle + 60] = bytes(60)
    clip = load_source(bytes(data), settings)
    assert isinstance(clip, Clip)
    assert 1 <= len(list(clip.frames())) <= 61


def test_photos_are_photos(settings: Settings, astronaut: Frame) -> None:
    path = Path(__file__).resolve().parents[1] / "assets" / "portrait.png"
    for source in (path, path.read_bytes(), astronaut):
        assert isinstance(load_source(source, settings), Photo)


def test_from_a_file_to_a_registration(registrar: AvatarRegistrar, settings: Settings, astronaut: Frame) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for i in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved_by(astronaut, i), "rgb24")))
        container.mux(stream.encode(None))
    clip = load_source(out.getvalue(), settings)
    assert isinstance(clip, Clip)
    found = registrar.register(clip.frames())
    assert len(found) == 6
    assert np.abs(found.picture(0).astype(int) - astronaut).mean() < 5
