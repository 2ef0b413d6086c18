"""Loads the product's networks that data are made with: speech encoder, landmarks, face mesh and motion extractor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.wav2feat import SpeechEncoder
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.landmark203 import Landmark203
from core.aux_models.landmarks import FaceDetector
from core.aux_models.mesh_detector import MeshDetector
from core.aux_models.onnx_model import OnnxModel
from core.engines.ditto_checkpoints import needed_checkpoints
from core.engines.ditto_networks import load_networks
from core.engines.ditto_speech import load_speech
from core.models.config import load_config
from training.files import digest_of

USED = ("motion_extractor", "hubert", "landmark203")
"""Roles of the checkpoints that decide what is written."""


@dataclass(frozen=True)
class DataNetworks:
    """registrar: finds a face in a frame and reads its motion. detector: all faces of a frame, the largest first."""

    registrar: AvatarRegistrar
    detector: FaceDetector
    speech: SpeechEncoder


def load_data_networks(checkpoints: Mapping[str, Path], device: str | None) -> DataNetworks:
    """checkpoints: by role, as the engine takes them. Raises EngineUnavailable, CheckpointError."""
    paths = needed_checkpoints(checkpoints, "mediapipe", None)
    networks, placement = load_networks(paths, device, load_config(paths["cfg"]).motion)
    landmark203 = Landmark203(OnnxModel(paths["landmark203"], "landmark network", placement.providers))
    detector = MeshDetector(FaceFinder())
    registrar = AvatarRegistrar(networks.appearance, networks.motion, detector, landmark203, FaceMesh(), placement.device)
    return DataNetworks(registrar, detector, load_speech(paths["hubert"], placement, shared_batches=False).encoder())


def fingerprint(checkpoints: Mapping[str, Path]) -> str:
    """Changes with the networks: data of two sets of networks do not mix."""
    parts = [f"{role} {digest_of(Path(checkpoints[role]))}" for role in USED]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
