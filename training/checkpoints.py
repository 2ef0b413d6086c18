"""Finds the published Ditto that data are made with and that trained weights are put into."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.files import DataError


def add_ditto_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ditto", type=Path, metavar="FOLDER", help="Ditto's published files, with ditto_cfg/ and ditto_pytorch/ (default: fetched)"
    )


def ditto_checkpoints(folder: Path | None) -> dict[str, Path]:
    """Paths by role. None: those of the model manager, fetched where they are missing. Raises EngineUnavailable, DataError."""
    from manager.catalogue import load_catalogue
    from manager.published_folder import published_checkpoints
    from manager.store import Store

    if folder is None:
        return dict(Store().ensure("pytorch"))
    files = {file.role: file.path for file in load_catalogue().formats["pytorch"]}
    cfg = folder / files["cfg"]
    if not cfg.is_file():
        raise DataError(f"There is no {cfg}.", "Name the folder that holds ditto_cfg/ and ditto_pytorch/ as they are published.")
    return published_checkpoints(folder / "ditto_pytorch", cfg)
