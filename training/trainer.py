"""Trains: steps, states to go on from, validation, and what is told of them."""

from __future__ import annotations

import copy
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from core.models import LMDM
from core.progress_bar import ProgressBar
from training.config import Config
from training.data.manifest import Manifest, check_shards, read_manifest
from training.data.windows import Batch, Steps, Windows, split
from training.files import DataError
from training.learner import Learner
from training.losses import MotionLoss
from training.run_folder import LearntFrom, append_log, load_state, read_run, save_state, states_of, write_run
from training.samples import write_sample_video
from training.schedule import MovingAverage, learning_rate
from training.validation import save_curves, validate

Tell = Callable[[str], None]
LOG_EVERY = 20


class Trainer:
    """One process of a run.

    initial: fills the network before the first step (fine-tuning); None: random weights from the seed.
    Raises DataError for data that do not fit, or a run that was begun with another configuration.
    """

    def __init__(self, config: Config, initial: Callable[[LMDM], None] | None = None, cpu: bool = False) -> None:
        self.config = config
        self.accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no", cpu=cpu)
        folder = Path(config.data)
        self.manifest: Manifest = read_manifest(folder)
        check_shards(folder, self.manifest)
        learnt, held_out = split(self.manifest, config.validation)
        self.windows = Windows(folder, learnt, config.window.frames, config.emotion)
        self.validation_windows = Windows(folder, held_out or learnt, config.window.frames, config.emotion)
        self.on_held_out = bool(held_out)
        torch.manual_seed(config.seed)
        self.learner = Learner(LMDM(**config.lmdm_arguments), self.manifest.motion, config.gradient_checkpointing)
        if initial is not None:
            initial(self.learner.lmdm)
            self.learner.unfold()
        self.learner.to(self.accelerator.device)
        self.loss = MotionLoss(config.objective, self.manifest.motion).to(self.accelerator.device)
        self.average = MovingAverage(self.learner, config.optimizer.ema_decay)
        self.optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=config.optimizer.learning_rate, betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
        )  # fmt: skip
        self.done = 0
        self._resume()
        self.network: Any = self.accelerator.prepare_model(self.learner)

    @property
    def is_main(self) -> bool:
        """Whether this process tells, validates and saves."""
        return bool(self.accelerator.is_main_process)

    def _resume(self) -> None:
        run = Path(self.config.run)
        if states := states_of(run):
            if (was := read_run(run)[1].digest) != self.manifest.digest:
                raise DataError(f"The run {run} was begun with other data ({was}).", "Name another folder as `run`.")
            load_state(states[-1], self.config, self.learner, self.average, self.optimizer)
            self.done = states[-1].step

    def gradients(self, batch: Batch) -> dict[str, float]:
        """Computes the gradients of this process's part of a step, averaged over all processes. Returns the losses by name."""
        batch = batch.to(self.accelerator.device)
        with self.accelerator.autocast():
            x_start = self.network(
                self.learner.noised(batch.motion, batch.noise, batch.time), batch.cond_frame, batch.cond, batch.time, batch.dropped
            )
        losses = self.loss(x_start, batch.motion, batch.time)
        self.accelerator.backward(losses["total"])
        return {name: float(value.detach()) for name, value in losses.items()}

    def step(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser; its losses by name, with the norm of the gradients and the learning rate.

        Raises DataError where the gradients are no numbers: the weights, and so what is kept, stay as they were. All processes have the
        same gradients, so they end in the same step.
        """
        rate = learning_rate(self.config, self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.gradients(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.learner.parameters(), self.config.optimizer.clip_norm)
        if not bool(torch.isfinite(norm)):
            raise DataError(
                f"The gradients of step {self.done + 1} are no numbers (its loss is {losses['total']:g}).",
                "Lower learning_rate, or take precision: float32.",
            )
        self.optimizer.step()
        self.average.update(self.learner, self.done)
        self.done += 1
        return {**losses, "gradient_norm": float(norm), "learning_rate": rate}

    def batches(self) -> Iterator[Batch]:
        """What the steps from here on learn from."""
        steps = Steps(self.config, self.windows, self.accelerator.process_index, self.accelerator.num_processes)
        workers = self.config.workers
        loader = DataLoader(
            steps, batch_size=None, sampler=range(self.done, self.config.steps), num_workers=workers,
            pin_memory=self.accelerator.device.type == "cuda", multiprocessing_context="spawn" if workers else None,
        )  # fmt: skip
        return iter(loader)

    def train(self, until: int | None = None, tell: Tell = lambda line: None) -> None:
        """Goes on to the last step, or to step `until`; whenever it ends, a state is kept. After SIGINT or SIGTERM it ends with the step
        that is being done, and raises KeyboardInterrupt.
        """
        config, run = self.config, Path(self.config.run)
        last = min(config.steps, config.steps if until is None else until)
        if self.is_main and not self.done:
            write_run(config, LearntFrom.of(self.manifest))
        writer = SummaryWriter(str(run / "tensorboard")) if self.is_main else None
        bar, began, first = ProgressBar(), time.monotonic(), self.done
        with stop_asked() as asked:
            try:
                for batch in self.batches() if self.done < last else ():
                    losses = self.step(batch)
                    if self.is_main:
                        rate = (self.done - first) / max(time.monotonic() - began, 1e-6)
                        bar.show(f"step {self.done}/{config.steps}, loss {losses['total']:.4g}, {rate:.2f} steps a second")
                        if writer is not None and (self.done % LOG_EVERY == 0 or self.done <= 1):
                            _write(writer, "train", losses, self.done)
                    ends = self.done >= last or self._agreed(bool(asked))
                    if ends or self.done % config.every == 0:
                        bar.end()
                        self._keep(writer, losses, tell)
                    if ends:
                        break
            finally:
                bar.end()
                if writer is not None:
                    writer.close()
        if asked:
            raise KeyboardInterrupt

    def _agreed(self, asked: bool) -> bool:
        """Whether any process was asked to stop: a signal reaches them in different steps, and all have to end with the same."""
        if self.accelerator.num_processes == 1:
            return asked
        counted = self.accelerator.reduce(torch.tensor(float(asked), device=self.accelerator.device))
        return bool(counted > 0)

    def _keep(self, writer: SummaryWriter | None, losses: dict[str, float], tell: Tell) -> None:
        """Validates, and keeps the state: by the main process, while the others wait."""
        if self.is_main and writer is not None:
            run = Path(self.config.run)
            judged = copy.deepcopy(self.learner)
            judged.load_state_dict(self.average.state(self.learner))
            found = validate(judged, self.loss, self.validation_windows, self.config, self.accelerator.device)
            save_state(self.config, self.done, self.learner, self.average, self.optimizer, found.losses)
            save_curves(found, run / "samples" / f"{self.done:08d}.png")
            _write(writer, "validation" if self.on_held_out else "validation_on_what_is_learnt", found.losses, self.done)
            append_log(run, {"step": self.done, "train": losses, "validation": found.losses})
            said = f"step {self.done}: loss {losses['total']:.4g}, validation {found.losses['total']:.4g}"
            tell(f"{said}, sampled {found.losses['sampled']:.3g}, lips r {found.losses['sampled_lips_r']:.3f}")
            if self.config.sample_video is not None:
                tell(str(write_sample_video(run, self.config.sample_video, self.done)))
        self.accelerator.wait_for_everyone()


def _write(writer: SummaryWriter, group: str, values: dict[str, float], step: int) -> None:
    for name, value in values.items():
        writer.add_scalar(f"{group}/{name}", value, step)


@contextmanager
def stop_asked() -> Iterator[list[int]]:
    """A list that a signal to end is put into, instead of ending the process in the middle of a step; a second one ends it."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        sys.stderr.write("\nending with this step; again: at once\n")

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, ask)
        except ValueError:  # not the main thread: whoever runs it there ends it
            break
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
