"""Chooses the checkpoints in a folder laid out as published, of the configuration's format or of one that can be run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import EngineUnavailable
from core.models.config import COMPONENTS, load_config
from core.models.onnx_files import SIGNATURES
from core.models.trt.files import PATTERN
from manager.catalogue import load_catalogue

log = logging.getLogger(__name__)

NETWORKS = tuple(SIGNATURES)
RUNNABLE = ("pytorch", "onnx")
"""Formats that the engine runs, the preferred one first."""
SUFFIXES = {"pytorch": (".pth", ".pt"), "onnx": (".onnx",)}


def published_checkpoints(data_root: Path, cfg_pkl: Path) -> dict[str, Path]:
    """Paths by role, of the files that `cfg_pkl` names below `data_root`.

    The published commands name a folder of one format and a configuration of another, or TensorRT engines. Where the six networks as they
    are named are not there, or not in a format that is run, they and the auxiliary models are those of the first runnable format whose
    files all lie in `data_root` or, as published, beside it; which one that is, is logged.
    A folder of engines made by scripts/cvt_onnx_to_trt.py stands for the ONNX files beside it, which they were made from.
    Raises ConfigError for a bad configuration, EngineUnavailable where no format is whole.
    """
    config = load_config(cfg_pkl)
    named = {role: data_root / config.components[role].model_path for role in COMPONENTS}
    named |= {"lmdm": data_root / config.motion.model_path, "cfg": cfg_pkl}
    if _format_of(named) is not None:
        return named
    own = next(data_root.glob(PATTERN), None) is not None
    for format in RUNNABLE[::-1] if own else RUNNABLE:
        found = files_of(format, data_root)
        if found.keys() >= {*NETWORKS, "hubert", "landmark203"}:
            log.warning("%s: %s; the %s files in %s are used.", data_root, _why(named), format, found["decoder"].parent)
            return {**found, "cfg": cfg_pkl}
    raise EngineUnavailable(
        f"{data_root} holds no whole set of networks that can be run: {_why(named)}.",
        f"Fetch one: python model_manager.py download --format {RUNNABLE[0]} (or {RUNNABLE[1]}).",
    )


def _format_of(paths: Mapping[str, Path]) -> str | None:
    """The format that all six networks are there in; None without one."""
    networks = [paths[role] for role in NETWORKS]
    whole = all(path.is_file() for path in networks)
    return next((format for format, kinds in SUFFIXES.items() if whole and {path.suffix for path in networks} <= set(kinds)), None)


def files_of(format: str, data_root: Path) -> dict[str, Path]:
    """The files of a format that are in `data_root` or beside it, by role: with the repository's folders, without them, or side by side."""
    catalogue = load_catalogue()
    found: dict[str, Path] = {}
    for file in catalogue.files(format, catalogue.extras(format)):
        published = Path(file.path)
        inner = Path(*published.parts[1:])
        places: Iterable[Path] = (data_root / inner, data_root / published.name, data_root / published, data_root.parent / published)
        if (path := next((place for place in places if place.is_file()), None)) is not None:
            found[file.role] = path
    return found


def _why(named: Mapping[str, Path]) -> str:
    engines = sorted(path.name for role in NETWORKS if (path := named[role]).suffix in (".engine", ".trt"))
    if engines:
        return f"the configuration names TensorRT engines ({engines[0]} and {len(engines) - 1} more), which are not run as published"
    gone = sorted(path.name for role in NETWORKS if not (path := named[role]).is_file())
    return f"{gone[0]} is not there" if gone else "the networks are of different formats"
