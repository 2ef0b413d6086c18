#!/usr/bin/env python3
"""New words for a video, with the flags of LatentSync's command line; inference.py does the work and has all options.

Exit codes as inference.py's. docs/footage.md has what each flag becomes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import inference  # noqa: E402  # the project is found by its folder
from core.command_line import OneLineParser, end_like_ctrl_c, exit_code  # noqa: E402

REFUSED = {
    "guidance_scale": "Ditto's motion network is published with its guidance built in (2), and the lite engine has none",
    "enable_deepcache": "what denoising steps have in common is computed once in any case, and they are a small part of the work",
    "unet_config_path": "the engines here have networks of their own (docs/engines.md)",
    "inference_ckpt_path": "the engines here have networks of their own (docs/engines.md)",
    "temp_dir": "nothing is written but the video",
}
"""Flags of LatentSync's that have no equivalent here, and why."""
WRITTEN_AS = {"sampling_timesteps": "--inference_steps"}
"""Options, by the flags that they are given under here."""
MAX_STEPS = 1000


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="lipsync.py", description="A video, or a photo, of a person says a recording.")
    parser.add_argument("--video_path", required=True, help="video or photo of the person")
    parser.add_argument("--audio_path", required=True, help="what is said")
    parser.add_argument("--video_out_path", required=True, help="video to write (.mp4)")
    parser.add_argument("--engine", default="auto", choices=("auto", "lite", "ditto"), help="default: auto")
    parser.add_argument("--inference_steps", type=int, metavar="N", help="denoising steps of the motion model (ditto)")
    parser.add_argument("--batch_size", type=int, metavar="N", help="frames drawn at once (ditto)")
    parser.add_argument("--seed", type=int, help="of blinks and sway; -1: at random")
    parser.add_argument("--crf", type=int, help="of H.264, 10 to 40: less is finer, and larger (default: 18)")
    for name in REFUSED:
        parser.add_argument(f"--{name}", nargs="?", const="", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    for name, reason in REFUSED.items():
        if getattr(arguments, name) is not None:
            parser.error(f"--{name} has no equivalent: {reason}. Leave it out")
    if Path(arguments.video_out_path).suffix.lower() != ".mp4":
        parser.error(f"--video_out_path is {arguments.video_out_path!r}; its name must end in .mp4")
    if arguments.inference_steps is not None and not 1 <= arguments.inference_steps <= MAX_STEPS:
        parser.error(f"--inference_steps is {arguments.inference_steps}; it must be 1 to {MAX_STEPS}")
    return arguments


def translated(arguments: argparse.Namespace) -> list[str]:
    """The same as arguments of inference.py."""
    flags = {
        "source_path": arguments.video_path,
        "audio_path": arguments.audio_path,
        "output_path": arguments.video_out_path,
        "engine": arguments.engine,
        "batch_size": arguments.batch_size,
        "seed": "random" if arguments.seed == -1 else arguments.seed,
        "crf": arguments.crf,
        "set": None if arguments.inference_steps is None else f"sampling_timesteps={arguments.inference_steps}",
    }
    return [f"--{name}={value}" for name, value in flags.items() if value is not None]


def main(argv: list[str] | None = None) -> int:
    arguments = inference.parse_arguments(translated(parse_arguments(argv)))
    return exit_code(lambda: inference.run(arguments, WRITTEN_AS), "stopped; nothing was written")


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
