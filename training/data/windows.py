"""Windows of motion to learn from, as a function of seed and step alone: so a run can stop anywhere, and run on any number of processes."""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.atomic_components.condition_handler import ConditionHandler, ConditionOptions
from core.atomic_components.pose import LAYOUT, N_KEYPOINTS, POSE_DIM, Motion, SourceMotion
from core.models.modules.diffusion import MAX_STEPS
from training.config import Config
from training.data.clip import Array
from training.data.manifest import ClipEntry, Manifest, SourceEntry
from training.data.shards import ShardReader
from training.files import DataError

READ = ("motion", "features", "eye_open", "eye_ball")


@dataclass(frozen=True, eq=False)
class Batch:
    """n windows. motion: (n, frames, 265); cond_frame: (n, 265), the frame before; cond: (n, frames, 1103); time: (n,) int64, 0..999;
    noise: (n, frames, 265) standard normal; dropped: (n,) bool, learnt without the condition. All but time and dropped float32.
    """

    motion: Tensor
    cond_frame: Tensor
    cond: Tensor
    time: Tensor
    noise: Tensor
    dropped: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)})

    def pin_memory(self) -> Batch:
        """Called by a DataLoader."""
        return Batch(**{field.name: getattr(self, field.name).pin_memory() for field in fields(self)})


def split(manifest: Manifest, share: float) -> tuple[list[ClipEntry], list[ClipEntry]]:
    """(to learn from, held out). Whole videos are held out, by their hashes, at least one of several; a share of 0 holds none out."""
    sources = sorted((source for source in manifest.sources if source.clips), key=_place)
    n = 0 if not share or len(sources) < 2 else min(max(1, round(share * len(sources))), len(sources) - 1)
    return _clips(sources[n:]), _clips(sources[:n])


def _place(source: SourceEntry) -> str:
    """A digest of the digest: the order of names or of sizes must not decide."""
    return hashlib.sha256(source.sha256.encode()).hexdigest()


def _clips(sources: Sequence[SourceEntry]) -> list[ClipEntry]:
    return [clip for source in sources for clip in source.clips]


class Windows:
    """Reads windows of clips; every place of every clip is as likely as any other."""

    def __init__(self, folder: Path, clips: Sequence[ClipEntry], frames: int, emotion: int) -> None:
        """Raises DataError where no clip is long enough."""
        self._reader, self._frames, self._emotion = ShardReader(folder), frames, emotion
        self.clips = [clip for clip in clips if clip.frames >= frames]
        if not self.clips:
            raise DataError(
                f"None of {len(clips)} clips has the {frames} frames of a window.",
                "Prepare data with a larger --min_seconds, or add videos.",
            )
        self._ends = list(itertools.accumulate(clip.frames - frames + 1 for clip in self.clips))

    def __len__(self) -> int:
        return self._ends[-1]

    def place(self, number: int) -> tuple[ClipEntry, int]:
        """The clip and the first frame of a window by its number."""
        i = bisect.bisect_right(self._ends, number)
        return self.clips[i], number - (self._ends[i - 1] if i else 0)

    def window(self, clip: ClipEntry, first: int, other: int | None) -> tuple[Array, Array, Array]:
        """Motion (frames, 265), the frame before it (265,), and conditions (frames, 1103).

        other: a frame of the clip whose expression the frame before it gets. Before the first frame of a clip stands that frame itself.
        """
        before = max(first - 1, 0)
        found = self._reader.stretch(clip, before, first + self._frames, READ)
        own = {name: found[name][first - before :] for name in READ}
        cond_frame = found["motion"][0].copy()
        if other is not None:
            cond_frame[POSE_DIM:] = self._reader.stretch(clip, other, other + 1, ("motion",))["motion"][0, POSE_DIM:]
        cond = conditions(own["features"].astype(np.float32), own["eye_open"], own["eye_ball"], found["sc"], self._emotion)
        return own["motion"], cond_frame, cond


def conditions(features: Array, eye_open: Array, eye_ball: Array, sc: Array, emotion: int) -> Array:
    """(n, 1103) as the product makes them of a video source."""
    still = Motion.of({**{name: np.zeros(part.stop - part.start) for name, part in LAYOUT.items()}, "kp": np.zeros(3 * N_KEYPOINTS)})
    source = SourceMotion([still] * len(features), sc, eye_open, eye_ball, is_image=False)  # of the motion only its length counts here
    return ConditionHandler(source, ConditionOptions(emo=emotion))(features, 0)


class Steps(Dataset[Batch]):
    """Item s is what step s learns from: the part of this process."""

    def __init__(self, config: Config, windows: Windows, process: int = 0, processes: int = 1) -> None:
        """Raises DataError where the processes cannot share a batch evenly: their mean would not be that of the whole."""
        if config.batch % processes:
            raise DataError(f"The batch of {config.batch} cannot be shared by {processes} processes.", "Choose a multiple of them.")
        self._config, self._windows = config, windows
        self._mine = slice(process * config.batch // processes, (process + 1) * config.batch // processes)

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Batch:
        return draw(self._windows, self._config, self._config.batch, (self._config.seed, step), self._mine)


def draw(windows: Windows, config: Config, n: int, seed: tuple[int, ...], mine: slice = slice(None)) -> Batch:
    """The part `mine` of a batch of n windows, which `seed` decides. All is drawn for the whole batch, and read for the part alone."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(len(windows), size=n)
    times = rng.integers(MAX_STEPS, size=n)
    dropped = rng.random(n) < config.objective.condition_dropout
    swapped = rng.random(n) < config.objective.source_expression
    others = rng.random(n)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = torch.randn((n, config.window.frames, LAYOUT["exp"].stop), generator=generator)
    found = []
    for i in range(n)[mine]:
        clip, first = windows.place(int(numbers[i]))
        found.append(windows.window(clip, first, int(others[i] * clip.frames) if swapped[i] else None))
    motion, cond_frame, cond = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*found, strict=True))
    return Batch(motion, cond_frame, cond, torch.from_numpy(times[mine]), noise[mine], torch.from_numpy(dropped[mine]))
