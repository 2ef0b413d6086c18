"""Registration of a video: its frames, its faces, its memory."""

from __future__ import annotations

import gc
import io
import threading
import tracemalloc

import av
import numpy as np
import pytest
import torch

from core.atomic_components.avatar_registrar import AvatarRegistrar, moving_average
from core.atomic_components.crop import network_input
from core.atomic_components.registration import MAX_FEATURES, DittoRegistration
from core.atomic_components.source_options import SourceOptions
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.mesh_detector import MeshDetector
from core.clip_options import clip_index
from core.errors import ImageError
from core.media.source import Clip, load_source
from core.settings import Settings
from core.types import Frame
from tests.support.ditto_source import PARTS, RANGES, Array, Counted, Info, MeshAs203, moved_by
from tests.support.golden_io import SEED, check, load
from tests.support.synthetic import synthetic_input


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
        check(golden, f"mirror_{n}", np.array([clip_index(i, n, "bounce") for i in range(len(golden[f"mirror_{n}"]))]), 0)
    check(golden, "looploader_4_11", np.array([clip_index(i, 4, "bounce") for i in range(11)]), 0)


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


def test_a_cut_in_a_video_is_survived(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    there = moved_by(astronaut, 180, 150)
    found = registrar.register(iter([astronaut, there, there]), SourceOptions(smo_k_s=1))
    shift = found.frames[2].m_c2o[:2] @ (256, 256, 1) - found.frames[0].m_c2o[:2] @ (256, 256, 1)
    np.testing.assert_allclose(shift, [180, 150], atol=6)


def test_a_video_that_changes_its_size(registrar: AvatarRegistrar, astronaut: Frame) -> None:
    with pytest.raises(ImageError, match="512×512 to 500×512 pixels at frame 2"):
        registrar.register(iter([astronaut, astronaut[:, :500]]))


def test_a_video_larger_than_the_store_is_used_up_to_there(
    registrar: AvatarRegistrar, astronaut: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "_max_store_bytes", 3 * astronaut.nbytes)
    found = registrar.register(iter([astronaut] * 5))
    assert len(found) == 3
    assert "Only the first" in found.warnings[-1]


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
