"""Command line that turns a run into a checkpoint laid out as Ditto's is published.

    python -m training.export run/ checkpoint/

Exit code 0; 2 for bad input; 1 for anything else; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from training.checkpoints import add_ditto_flag, ditto_checkpoints
from training.published import write_published
from training.run_folder import trained


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="training.export", description="Turns a run into a checkpoint laid out as Ditto's is published.")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("checkpoint", type=Path, help="folder to write; an earlier checkpoint there is replaced")
    parser.add_argument("--state", type=int, metavar="STEP", help="the state of this step (default: the newest)")
    parser.add_argument("--no_onnx", action="store_true", help="leave out ditto_onnx/, which takes half a minute")
    add_ditto_flag(parser)
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: export(chosen))


def export(chosen: argparse.Namespace) -> None:
    network, config, data, state = trained(chosen.run, chosen.state)
    sys.stderr.write(f"step {state.step}: writing weights{'' if chosen.no_onnx else ' and the ONNX file, half a minute'} ...\n")
    write_published(chosen.checkpoint, network, config, data, state, ditto_checkpoints(chosen.ditto), not chosen.no_onnx)
    out = chosen.checkpoint
    sys.stdout.write(
        f"{out}: step {state.step}. Make a video with it:\n  python inference.py --engine ditto --data_root {out / 'ditto_pytorch'} "
        f"--cfg_pkl {out / 'ditto_cfg' / 'v0.4_hubert_cfg_pytorch.pkl'} --audio_path SPEECH --source_path PHOTO --output_path VIDEO.mp4\n"
    )


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
