"""The command with the flags of LatentSync's: what they become, and by which name what has no equivalent is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import inference
from core.types import Photo
from scripts import lipsync
from tests.support.clip_files import clip_file
from tests.support.paths import PORTRAIT, ROOT, SPEECH


def flags(output: Path, *more: str) -> list[str]:
    return ["--video_path", str(PORTRAIT), "--audio_path", str(SPEECH), "--video_out_path", str(output), *more]


def run(*arguments: str) -> int:
    try:
        return lipsync.main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)


def test_a_video_from_another_folder(tmp_path: Path) -> None:
    sizes = []
    for crf in ("12", "34"):
        output = tmp_path / f"{crf}.mp4"
        command = [sys.executable, str(ROOT / "scripts" / "lipsync.py"), *flags(output, "--crf", crf, "--seed", "1247")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert "75 frames" in done.stdout
        sizes.append(output.stat().st_size)
        with av.open(str(output)) as file:
            assert {stream.type for stream in file.streams} == {"video", "audio"}
    assert sizes[0] > 2 * sizes[1]


def test_a_clip_says_the_recording(portrait: Photo, tmp_path: Path) -> None:
    clip, output = tmp_path / "clip.mp4", tmp_path / "v.mp4"
    small = cv2.resize(portrait.pixels, (256, 256), interpolation=cv2.INTER_AREA)
    clip.write_bytes(clip_file([np.roll(small, i, axis=1) for i in range(10)]))
    assert run("--video_path", str(clip), *flags(output)[2:], "--engine", "lite") == 0
    with av.open(str(output)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 75


def test_what_the_flags_become(tmp_path: Path) -> None:
    more = ["--inference_steps", "20", "--batch_size", "4", "--seed", "1247", "--crf", "20", "--engine", "ditto"]
    arguments = inference.parse_arguments(lipsync.translated(lipsync.parse_arguments(flags(tmp_path / "v.mp4", *more))))
    values = inference.option_values(arguments, inference.given_by_name(arguments))
    assert {name: values[name] for name in ("sampling_timesteps", "seed", "crf")} == {"sampling_timesteps": 20, "seed": 1247, "crf": 20}
    assert (arguments.batch_size, arguments.engine) == (4, "ditto")
    assert (arguments.source_path, arguments.audio_path, arguments.output_path) == (PORTRAIT, SPEECH, tmp_path / "v.mp4")
    plain = inference.parse_arguments(lipsync.translated(lipsync.parse_arguments(flags(tmp_path / "v.mp4"))))
    usual = ["--source_path", str(PORTRAIT), "--audio_path", str(SPEECH), "--output_path", str(tmp_path / "v.mp4")]
    assert vars(plain) == vars(inference.parse_arguments(usual))
    any_seed = inference.parse_arguments(lipsync.translated(lipsync.parse_arguments(flags(tmp_path / "v.mp4", "--seed", "-1"))))
    assert inference.option_values(any_seed, {})["seed"] == "random"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--guidance_scale", "1.5"], "--guidance_scale has no equivalent"),
        (["--enable_deepcache"], "--enable_deepcache has no equivalent"),
        (["--inference_ckpt_path", "latentsync_unet.pt"], "--inference_ckpt_path has no equivalent"),
        (["--inference_steps", "20", "--engine", "lite"], "--inference_steps is for the ditto engine"),
        (["--batch_size", "4", "--engine", "lite"], "--batch_size is for the ditto engine"),
        (["--inference_steps", "0"], "--inference_steps is 0"),
        (["--crf", "51"], "crf is 51"),
        (["--seed", "-2"], "--seed is '-2'"),
        (["--video_out_path", "v.avi"], "--video_out_path is 'v.avi'"),
        (["--video_path", "none.mp4"], "none.mp4"),
    ],
)
def test_what_is_refused_is_named(more: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*flags(tmp_path / "v.mp4", *more)) == 2
    error = capfd.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
