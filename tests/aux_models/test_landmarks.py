"""Face detectors and landmark models, held against the published code's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.aux_models import insightface
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import MODEL_PATH, FaceMesh
from core.aux_models.insightface import InsightFaceDetector, area, decode_boxes, decode_landmarks, detector_blob
from core.aux_models.landmark203 import Landmark203
from core.aux_models.landmark203 import landmark_blob as blob_203
from core.aux_models.landmarks import eye_attributes
from core.aux_models.mesh_detector import MeshDetector
from core.aux_models.onnx_model import OnnxModel
from core.errors import EngineUnavailable
from core.types import Frame
from tests.support.ditto_source import Array, golden_crop
from tests.support.golden_io import SEED, check, load
from tests.support.synthetic import synthetic_input


def test_parity_eye_attributes() -> None:
    golden = load("eye_attr")
    eye_open, eye_ball = eye_attributes(golden["lmk478"])
    assert eye_open.dtype == eye_ball.dtype == np.float32
    check(golden, "eye_open_reshaped", eye_open, 1e-5)
    check(golden, "LR_open", eye_open, 1e-5)
    check(golden, "eye_ball_reshaped", eye_ball, 1e-5)
    check(golden, "LR_ball_move", eye_ball.reshape(-1, 3, 2), 1e-5)


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
