"""The folder of a run: its configuration, what it learns from, and the states that it can go on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.models import LMDM
from core.models.checkpoint import check_weights
from training.config import Config, load_config
from training.data.manifest import Manifest, Moments, StatementEntry, first_fault
from training.files import DataError, in_one_step, read_json, write_bytes, write_json
from training.learner import Learner
from training.schedule import MovingAverage

CONFIG, DATA, STATES, LOG = "config.yaml", "data.json", "states", "losses.jsonl"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter."""


class LearntFrom(BaseModel):
    """What a run keeps of its data: enough to export its model without them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    seconds: float
    clips: int
    videos: int
    statement: StatementEntry
    motion: Moments

    @classmethod
    def of(cls, manifest: Manifest) -> LearntFrom:
        used = sum(bool(source.clips) for source in manifest.sources)
        return cls(
            digest=manifest.digest, seconds=manifest.seconds, clips=len(manifest.clips), videos=used, statement=manifest.statement,
            motion=manifest.motion,
        )  # fmt: skip


@dataclass(frozen=True)
class State:
    """A kept state. step: steps that were done; validation: losses by name, as they were then."""

    folder: Path
    step: int
    validation: Mapping[str, float]


def write_run(config: Config, data: LearntFrom) -> None:
    """What stands in the folder before the first step. Raises OutputError."""
    folder = Path(config.run)
    write_bytes(folder / CONFIG, yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False).encode())
    write_json(folder / DATA, data.model_dump(mode="json"))


def read_run(folder: Path) -> tuple[Config, LearntFrom]:
    """Raises DataError for a folder that is no run."""
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no run of training: it has no {CONFIG}.", "Name the folder that `run` in the configuration names.")
    try:
        data = LearntFrom.model_validate(read_json(folder / DATA, "What the run learnt from"))
        return load_config(folder / CONFIG, run=str(folder)), data
    except ValidationError as error:
        raise DataError(f"{folder / DATA} is damaged: {first_fault(error)}.", "Begin the run anew.") from error


def states_of(folder: Path) -> list[State]:
    """The whole states, the newest last. Half-written ones have other names."""
    found = []
    for path in sorted((folder / STATES).glob("[0-9]*")):
        about = read_json(path / "state.json", "The state")
        try:
            found.append(State(path, int(about["step"]), dict(about.get("validation", {}))))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"The state {path} is damaged.", "Delete it: the run goes on from the one before.") from error
    return found


def save_state(
    config: Config, step: int, network: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer, validation: Mapping[str, float]
) -> None:
    """Weights, averages and the optimiser's moments as safetensors, the rest as JSON; then states beyond `kept` go. Raises OutputError."""
    folder = Path(config.run) / STATES
    names: dict[Tensor, str] = {parameter: name for name, parameter in network.named_parameters()}
    moments: dict[str, Tensor] = {}
    for parameter, kept in optimizer.state.items():
        moments |= {f"{names[parameter]}.{key}": value for key, value in kept.items()}
    with in_one_step(folder / f"{step:08d}") as part:
        part.mkdir()
        save_file(_apart(network.state_dict()), part / "weights.safetensors")
        save_file(_apart(average.weights), part / "average.safetensors")
        save_file(_apart(moments), part / "optimizer.safetensors")
        write_json(part / "state.json", {"step": step, "config": config.digest, "validation": dict(validation)})
    for old in states_of(Path(config.run))[: -config.kept]:
        shutil.rmtree(old.folder, ignore_errors=True)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each with memory of its own, which safetensors asks for."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def load_state(
    state: State, config: Config, network: nn.Module, average: MovingAverage, optimizer: torch.optim.Optimizer
) -> None:  # fmt: skip
    """Puts a state where it was saved from. Raises DataError for one of another configuration, or a damaged one."""
    about = read_json(state.folder / "state.json", "The state")
    if about.get("config") != config.digest:
        was = load_config(Path(config.run) / CONFIG, run=config.run).what_is_learnt
        now = config.what_is_learnt
        keys = ", ".join(sorted(key for key in now if was.get(key) != now[key])) or "its sizes"
        raise DataError(f"The run {config.run} was begun with another configuration ({keys}).", "Name another folder as `run`.")
    weights, averages, moments = (tensors(state.folder / f"{name}.safetensors") for name in ("weights", "average", "optimizer"))
    try:
        network.load_state_dict(weights)
        for name, parameter in network.named_parameters():
            average.weights[name].copy_(averages[name])
            optimizer.state[parameter] = {key: _placed(moments[f"{name}.{key}"], key, parameter) for key in MOMENTS}
    except (KeyError, RuntimeError) as error:
        raise DataError(f"The state {state.folder} does not fit: {error}.", "Delete it: the run goes on from the one before.") from error


def _placed(moment: Tensor, key: str, parameter: Tensor) -> Tensor:
    """The count of steps lies on the CPU, as AdamW makes it."""
    return moment if key == "step" else moment.to(parameter.device)


def tensors(path: Path) -> dict[str, Tensor]:
    """Raises DataError."""
    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path} is damaged, cut off or not there ({error}).", "Delete this state: the one before is taken.") from error
    return found


def trained(folder: Path, step: int | None = None) -> tuple[LMDM, Config, LearntFrom, State]:
    """The averaged weights of a run's newest state, or of that of a step, as a network for inference. Raises DataError, CheckpointError."""
    config, data = read_run(folder)
    states = [state for state in states_of(folder) if step is None or state.step == step]
    if not states:
        kept = ", ".join(str(state.step) for state in states_of(folder)) or "none"
        raise DataError(f"{folder} has no state{'' if step is None else f' of step {step}'}.", f"Kept are: {kept}.")
    state = states[-1]
    learner = Learner(LMDM(**config.lmdm_arguments), data.motion)
    averages = tensors(state.folder / "average.safetensors")
    weights = learner.lmdm.state_dict() | {name.removeprefix("lmdm."): tensor for name, tensor in averages.items()}
    check_weights(learner.lmdm, weights, state.folder)
    learner.lmdm.load_state_dict(weights)
    return learner.folded(), config, data, state


def append_log(folder: Path, line: Mapping[str, Any]) -> None:
    """One JSON object more; the last line may be cut off by a power cut, so readers pass over what is no JSON."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(line)) + "\n")
