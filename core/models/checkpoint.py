"""Loads the published checkpoints into their networks, strictly and without executing anything in them.

Files are memory-mapped and read with `weights_only`: nothing in them is executed. Every difference between a file and the network it should
hold is an error that names the file, the first wrong keys or shapes, and what to do.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from core.errors import TalkingHeadError
from core.models.appearance_extractor import AppearanceExtractor
from core.models.decoder import Decoder
from core.models.lmdm import LMDM
from core.models.motion_extractor import MotionExtractor
from core.models.stitch_network import StitchNetwork
from core.models.warp_network import WarpNetwork

Network = TypeVar("Network", bound=nn.Module)
SHOWN = 3
"""Wrong keys or shapes named in a message."""
ZIP_MAGIC = b"PK\x03\x04"


class CheckpointError(TalkingHeadError):
    """A checkpoint cannot be read, is not what its name says, or does not fit its network."""


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    path: in the repository of the weights. section: the entry of the file that holds the weights ("": the whole file). prefix: what its
    keys start with, removed.
    """

    path: str
    section: str = ""
    prefix: str = ""


PUBLISHED: dict[type[nn.Module], Published] = {
    AppearanceExtractor: Published("ditto_pytorch/models/appearance_extractor.pth"),
    MotionExtractor: Published("ditto_pytorch/models/motion_extractor.pth"),
    WarpNetwork: Published("ditto_pytorch/models/warp_network.pth"),
    Decoder: Published("ditto_pytorch/models/decoder.pth"),
    StitchNetwork: Published("ditto_pytorch/models/stitch_network.pth", section="retarget_shoulder", prefix="module."),
    LMDM: Published("ditto_pytorch/models/lmdm_v0.4_hubert.pth", section="model_state_dict"),
}


def load_checkpoint(
    network: Network, path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Network:  # fmt: skip
    """Fills `network` (of any size) from a file packed as the published one of its kind; returns it in evaluation mode, frozen.

    A network made without storage (on "meta") is enough: the weights of the file become its own. On the CPU in float32 they stay mapped
    from the file, which must not be written to in place. Raises CheckpointError.
    """
    weights = read_weights(type(network), path)
    check_weights(network, weights, path)
    network.load_state_dict(weights, strict=True, assign=True)
    tables = {name: buffer.float() for name, buffer in network.named_buffers() if name.endswith("freqs")}
    tables |= {name: buffer for name, buffer in network.named_buffers() if name not in weights}
    network = network.to(device=device, dtype=dtype)
    # Tables of positions and noise levels lose their meaning at half precision: they stay in float32.
    for name, table in tables.items():
        owner, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(owner), leaf, table.to(device))
    return network.eval().requires_grad_(False)


def read_weights(kind: type[nn.Module], path: Path) -> dict[str, Tensor]:
    """{key as the network sees it: tensor} of a published container, mapped from the file. Raises CheckpointError."""
    published = PUBLISHED[kind]
    content = read_file(path, published)
    if published.section:
        if published.section not in content:
            found = ", ".join(repr(k) for k in list(content)[:SHOWN]) or "nothing"
            raise CheckpointError(f"{path} has no {published.section!r}; it holds {found}.", refetch(path, published))
        content = content[published.section]
    if not isinstance(content, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        raise CheckpointError(f"{path} holds something other than named weights.", refetch(path, published))
    return {key.removeprefix(published.prefix): tensor for key, tensor in content.items()}


def read_file(path: Path, published: Published) -> dict[Any, Any]:
    """The content of the file. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            mapped = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error.strerror or error}.", refetch(path, published)) from error
    try:
        # Files from before torch 1.6 are not zip archives and cannot be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is not a checkpoint of plain weights, or is damaged: {first}", refetch(path, published)) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged, cut off, or not a PyTorch file: {first}", refetch(path, published)) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not named weights.", refetch(path, published))
    return content


def check_weights(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Raises CheckpointError unless keys and shapes are exactly the network's."""
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    missing = [key for key in expected if key not in weights]
    foreign = [key for key in weights if key not in expected]
    wrong = [f"{k} is {tuple(weights[k].shape)}, not {s}" for k, s in expected.items() if k in weights and tuple(weights[k].shape) != s]
    if not (missing or foreign or wrong):
        return
    parts = [some("missing", missing), some("not in this network", foreign), some("wrong shape", wrong)]
    name = type(network).__name__
    actual = [kind for kind in PUBLISHED if kind is not type(network) and not different(kind, weights)]
    hint = f"It is a checkpoint of {actual[0].__name__}: check which file is given for which network." if actual else ""
    what = "; ".join(part for part in parts if part)
    raise CheckpointError(f"{path} does not fit {name}: {what}.", hint or refetch(path, PUBLISHED[type(network)]))


def different(kind: type[nn.Module], weights: dict[str, Tensor]) -> bool:
    """Whether these are not the keys of that network. A file is known by its keys as stored: prefixes are counted as part of them."""
    with torch.device("meta"):
        return set(kind().state_dict()) != set(weights)


def some(what: str, items: list[str]) -> str:
    if not items:
        return ""
    rest = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{what}: {', '.join(items[:SHOWN])}{rest}"


def refetch(path: Path, published: Published) -> str:
    return f"Delete {path.name} and fetch {published.path} again."
