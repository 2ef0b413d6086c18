"""Command line that trains the motion model.

    python -m training.train --config training/configs/lmdm.yaml
    accelerate launch --num_processes 8 -m training.train --config training/configs/lmdm.yaml

A run that was stopped goes on from its newest state, to the same weights.
Exit code 0; 2 for bad input; 1 for anything else; 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from core.command_line import OneLineParser, exit_code
from training.config import load_config
from training.files import DataError
from training.initial import put_published


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="training.train", description="Trains Ditto's motion model.")
    parser.add_argument("--config", type=Path, required=True, help="YAML file, such as training/configs/lmdm.yaml")
    parser.add_argument("--data", help="in place of the configuration's")
    parser.add_argument("--run", help="in place of the configuration's")
    parser.add_argument("--init", type=Path, help="begin from these weights: a published .pth file, or a folder with ditto_pytorch/")
    parser.add_argument("--until", type=int, help="end after this step; the same command goes on")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone")
    chosen = parser.parse_args(arguments)

    def run() -> None:
        config = load_config(chosen.config, data=chosen.data, run=chosen.run)
        if chosen.until is not None and chosen.until < 1:
            raise DataError(f"--until is {chosen.until}.", "It is a number of steps.")
        try:
            from training.trainer import Trainer
        except ModuleNotFoundError as error:
            raise DataError(f"The package {error.name} is not installed.", "Run ./setup.sh train.") from error
        trainer = Trainer(config, None if chosen.init is None else partial(put_published, path=chosen.init), cpu=chosen.cpu)
        if trainer.is_main:
            what = f"{len(trainer.windows)} windows of {config.window.frames} frames in {len(trainer.windows.clips)} clips"
            tell(f"{what}; {'begins' if not trainer.done else f'goes on from step {trainer.done}'}, on {trainer.accelerator.device}")
            if not trainer.on_held_out:
                tell("no video is held out: validation is on what is learnt")
        trainer.train(chosen.until, tell)

    return exit_code(run, "stopped; the same command goes on from here")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
