"""The configuration of a run of training: a YAML file, every value checked, an unknown key an error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.data.manifest import first_fault
from training.files import DataError

MAX_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is not followed by the type checker
    """Reads 1e-4 as a number, as YAML 1.2 does; to the library, which follows 1.1, it is a word without a point."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Window(_Section):
    """frames: the model makes at a time. context: of them, frames before the new ones; 0: what the session's windows share, as published.
    causal: frames after the context see nothing that comes after them.
    """

    frames: int = Field(default=80, ge=2, le=1000)
    context: int = Field(default=0, ge=0)
    causal: bool = False

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.context >= self.frames:
            raise ValueError(f"context is {self.context}, which must be less than frames, {self.frames}")
        if self.causal and not self.context:
            raise ValueError("a causal window needs context: frames that were heard before it")
        return self


class Network(_Section):
    """Sizes of the network; the defaults are the published ones, which --init needs."""

    width: int = Field(default=512, ge=8, le=4096, multiple_of=4)
    ff_width: int = Field(default=1024, ge=8, le=16384)
    layers: int = Field(default=8, ge=1, le=64)
    heads: int = Field(default=8, ge=1, le=64)
    cond_layers: int = Field(default=2, ge=1, le=16)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, which {self.heads} heads do not divide")
        return self


class Losses(_Section):
    """Weights by name. position: of the 265 numbers. velocity: of their change from frame to frame. lips: of the keypoints of the lips."""

    position: float = Field(default=1.0, ge=0)
    velocity: float = Field(default=1.0, ge=0)
    lips: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.position or self.velocity or self.lips):
            raise ValueError("all weights are 0")
        return self


class Objective(_Section):
    """The network always says what the sampler expects, the clean motion (x_start). prediction: what the loss is measured on: "x_start", or
    the "noise" that it implies, which weighs a noise level by its ratio of signal to noise, up to snr_limit (arXiv:2303.09556).
    condition_dropout: share of windows that are learnt without their condition, for guidance (arXiv:2207.12598). source_expression: share
    that begin from the pose of the frame before and the expression of another frame, as live sessions do.
    """

    prediction: Literal["x_start", "noise"] = "x_start"
    snr_limit: float = Field(default=5.0, gt=0)
    losses: Losses = Losses()
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)
    source_expression: float = Field(default=0.3, ge=0, le=1)


class Optimizer(_Section):
    """AdamW (arXiv:1711.05101), a warm-up, then a cosine down to `final_share` of the rate (arXiv:1608.03983)."""

    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    final_share: float = Field(default=0.05, ge=0, le=1)
    warmup_steps: int = Field(default=2000, ge=0)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.9999, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, values: Any) -> Any:
        """YAML has lists, not tuples."""
        if isinstance(values, Mapping) and isinstance(values.get("betas"), list):
            return {**values, "betas": tuple(values["betas"])}
        return values

    @model_validator(mode="after")
    def _within(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}; each lies from 0 to below 1")
        return self


class SampleVideo(_Section):
    """A video made with the weights as they are. photo, audio: files. ditto: folder of the published files; none: fetched ones."""

    photo: str
    audio: str
    ditto: str = ""
    steps: int = Field(default=10, ge=1, le=1000)


class Config(_Section):
    """steps: of the optimiser. batch: windows of a step, over all processes. validation: share of the videos that are held out. every:
    steps from one validation, and one kept state, to the next. kept: states that stay. workers: processes that read data.
    """

    data: str
    run: str
    seed: int = Field(default=0, ge=0, lt=2**31)
    steps: int = Field(ge=1)
    batch: int = Field(default=256, ge=1, le=65536)
    precision: Literal["bf16", "float32"] = "bf16"
    gradient_checkpointing: bool = False
    validation: float = Field(default=0.05, ge=0, lt=1)
    validation_windows: int = Field(default=64, ge=1, le=65536)
    every: int = Field(default=5000, ge=1)
    kept: int = Field(default=3, ge=1)
    workers: int = Field(default=4, ge=0, le=64)
    emotion: int = Field(default=4, ge=0, le=7)
    window: Window = Window()
    network: Network = Network()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()
    sample_video: SampleVideo | None = None

    @property
    def lmdm_arguments(self) -> dict[str, int]:
        """What `core.models.LMDM` is made with."""
        causal = {"causal_after": self.window.context} if self.window.causal else {}
        return {"frames": self.window.frames, **causal, **self.network.model_dump()}

    @property
    def what_is_learnt(self) -> dict[str, Any]:
        """What a run must have in common with the one that it goes on from: all but where things are and how often something is told."""
        told = {"data", "run", "every", "kept", "workers", "sample_video", "validation_windows"}
        return self.model_dump(mode="json", exclude=told)

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(sorted(self.what_is_learnt.items())).encode()).hexdigest()[:16]


def load_config(path: Path, **over: Any) -> Config:
    """over: values that go before those of the file; None: as the file has it. Raises DataError, which names the file and the key."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES >> 20} MiB.", "Was another file meant?")
        values = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - a safe one
    except OSError as error:
        raise DataError(f"The configuration {path} cannot be read ({error.strerror or error}).", "Check the path.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date that there is not
        said = " ".join(str(error).split())
        raise DataError(f"The configuration {path} is no YAML: {said}.", "Compare with training/configs/.") from error
    if not isinstance(values, dict):
        raise DataError(f"The configuration {path} has no keys.", "Compare with training/configs/.")
    return checked({**values, **{name: value for name, value in over.items() if value is not None}}, str(path))


def checked(values: Mapping[str, Any], where: str) -> Config:
    """Raises DataError."""
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        known = "Keys and their meaning are in docs/training.md."
        raise DataError(f"The configuration {where} is wrong at {first_fault(error)}.", known) from error
