"""Writes trained weights as Ditto's are published: names, containers, the configuration as a pickle, ONNX, and a model card."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.atomic_components.motion_options import WINDOW_FRAMES
from core.errors import disk_error
from core.models import LMDM
from core.models.checkpoint import PUBLISHED
from core.models.config import MotionConfig, load_config
from core.models.export import example_arguments, export_network
from core.models.onnx_files import SIGNATURES
from core.models.plain_pickle import unpickle_plain
from manager.catalogue import load_catalogue
from training.config import Config
from training.files import DataError, in_one_step
from training.model_card import model_card
from training.run_folder import LearntFrom, State

PUBLISHED_OVERLAP = 10
"""Frames that windows of whole files share, as published; a model with a context of its own shares that."""


def write_published(
    out: Path, network: LMDM, config: Config, data: LearntFrom, state: State, ditto: Mapping[str, Path], onnx: bool
) -> None:  # fmt: skip
    """Everything that `--data_root out/ditto_pytorch` needs, in one step: a folder that is there already is replaced.

    ditto: the other networks by role, which are linked, or copied where they lie on another disk. onnx: also write ditto_onnx/.
    Raises OutputError, CheckpointError, and DataError for a folder of other things, which stay.
    """
    files = {file.role: file.path for file in load_catalogue().formats["pytorch"]}
    if out.is_dir() and any(out.iterdir()) and not (out / files["cfg"]).is_file():
        raise DataError(f"{out} holds other things than a checkpoint.", "Name a folder that is not there yet, or an earlier checkpoint.")
    with in_one_step(out) as part:
        for role, path in ditto.items():
            if role in files and role not in ("cfg", "lmdm"):
                put_file(path, part / files[role])
        weights = part / files["lmdm"]
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save({PUBLISHED[LMDM].section: {key: tensor.contiguous() for key, tensor in network.state_dict().items()}}, weights)
        cfg = part / files["cfg"]
        cfg.parent.mkdir(parents=True, exist_ok=True)
        plain = configuration(unpickle_plain(ditto["cfg"].read_bytes()), config, data, files["lmdm"])
        cfg.write_bytes(pickle.dumps(plain, protocol=4))
        check_read_back(cfg, config)
        if onnx:
            path = part / "ditto_onnx" / SIGNATURES["lmdm"].files[0]
            export_network(network, "lmdm", path, tuple(example_arguments(network).values()))
        (part / "README.md").write_text(model_card(config, data, state), "utf-8")


def put_file(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), to)
    except OSError:  # another disk, or one without links
        try:
            shutil.copyfile(path, to)
        except OSError as error:
            raise disk_error(error, f"{to.name} cannot be copied", "Choose another folder.") from error


def configuration(published: Any, config: Config, data: LearntFrom, lmdm: str) -> dict[str, Any]:
    """The content of a configuration file: as published, with the motion model's own values. published: plain values."""
    window, moments = config.window, data.motion
    motion = {
        **published["audio2motion_cfg"], "model_path": lmdm.removeprefix("ditto_pytorch/"), "seq_frames": window.frames,
        "audio_feat_dim": LMDM_CONDITION, "use_emo": True, "use_sc": True, "use_eye_open": True, "use_eye_ball": True,
        "w2f_type": "hubert", "context_frames": window.context, "causal": window.causal, "network": config.network.model_dump(),
    }  # fmt: skip
    shared = min(window.context or PUBLISHED_OVERLAP, window.frames - 1)
    bounds = np.array([moments.minimum, moments.maximum, moments.mean, moments.scale], np.float32)
    defaults = {
        **(published.get("default_kwargs") or {}), "overlap_v2": WINDOW_FRAMES - min(WINDOW_FRAMES, window.frames - shared),
        "v_min_max_for_clip": bounds,
    }  # fmt: skip
    return {**published, "audio2motion_cfg": motion, "default_kwargs": defaults}


LMDM_CONDITION = MotionConfig("").condition_dim


def check_read_back(cfg: Path, config: Config) -> None:
    """That the engine will make the very network of this configuration."""
    made = load_config(cfg).motion.lmdm_arguments
    wanted = {"cond_dim": LMDM_CONDITION, **config.lmdm_arguments}
    if made != wanted:
        raise AssertionError(f"the configuration reads as {made}, not {wanted}")
