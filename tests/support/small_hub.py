"""The published catalogue with small contents, and stores and processes that use it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manager.catalogue import Catalogue, Checkpoints, load_catalogue
from tests.support.hub_server import HubServer

PUBLISHED = load_catalogue()
CFG = "ditto_cfg/v0.4_hubert_cfg_pytorch.pkl"
DECODER = "ditto_pytorch/models/decoder.pth"
HUBERT = "ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx"
TASK = "ditto_pytorch/aux_models/face_landmarker.task"
HUBERT_BYTES = 300_000
MAIN = (
    "import sys; from pathlib import Path; import model_manager; from manager.catalogue import load_catalogue; "
    "sys.exit(model_manager.main(sys.argv[2:], load_catalogue(Path(sys.argv[1]))))"
)


def make_contents() -> dict[str, bytes]:
    paths = sorted({file.path for files in PUBLISHED.formats.values() for file in files})
    source = random.Random(5)  # noqa: S311 - contents only
    return {path: source.randbytes(HUBERT_BYTES if path == HUBERT else source.randrange(2_000, 20_000)) for path in paths}


CONTENTS = make_contents()


def make_small(file: Any) -> Any:
    """The same row of the catalogue for the small file: what was known stays known."""
    content = CONTENTS[file.path]
    return dataclasses.replace(
        file,
        size_bytes=None if file.size_bytes is None else len(content),
        sha256=None if file.sha256 is None else hashlib.sha256(content).hexdigest(),
    )


CATALOGUE = Catalogue(
    PUBLISHED.repo, PUBLISHED.revision, {name: tuple(make_small(file) for file in files) for name, files in PUBLISHED.formats.items()}
)
PYTORCH = CATALOGUE.files("pytorch")


def assert_complete(checkpoints: Checkpoints, format: str = "pytorch", extras: tuple[str, ...] = ()) -> None:
    files = CATALOGUE.files(format, extras)
    assert set(checkpoints) == {file.role for file in files}
    for file in files:
        assert checkpoints[file.role].read_bytes() == CONTENTS[file.path]


def environment(hub: HubServer, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "DITTO_MODELS_DIR": str(tmp_path / "models"),
        "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "error", **more,
    }  # fmt: skip


def preload(hub: HubServer, only: Callable[[str], bool] = lambda path: True) -> None:
    """As a Space does while it is built."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    for file in PYTORCH:
        if only(file.path):
            huggingface_hub.hf_hub_download(
                CATALOGUE.repo, file.path, revision=CATALOGUE.revision, endpoint=hub.url, cache_dir=huggingface_hub.constants.HF_HUB_CACHE
            )
    hub.seen.clear()
