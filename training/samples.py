"""Makes a video with a run's newest state, by the product itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.engines.ditto import DittoEngine
from core.media.audio import load_audio
from core.media.image import load_image
from core.request import RenderOptions, Request
from core.settings import load_settings
from core.studio import open_studio
from manager.published_folder import published_checkpoints
from training.checkpoints import ditto_checkpoints
from training.config import SampleVideo
from training.files import make_folder
from training.published import write_published
from training.run_folder import trained


def write_sample_video(run: Path, what: SampleVideo, step: int) -> Path:
    """samples/STEP.mp4 in the run's folder, and its path. Raises TalkingHeadError: a missing photo, recording or network, a full disk."""
    settings = load_settings()
    photo, audio = load_image(Path(what.photo), settings), load_audio(Path(what.audio), settings)
    network, config, data, state = trained(run, step)
    with tempfile.TemporaryDirectory(dir=run) as scratch:
        folder = Path(scratch) / "checkpoint"
        write_published(folder, network, config, data, state, ditto_checkpoints(Path(what.ditto) if what.ditto else None), onnx=False)
        cfg = next((folder / "ditto_cfg").iterdir())
        studio = open_studio(settings, lambda: DittoEngine(published_checkpoints(folder / "ditto_pytorch", cfg)))
        try:
            output = make_folder(run / "samples") / f"{step:08d}.mp4"
            studio.generate(Request(audio, photo, "ditto", options=RenderOptions(sampling_timesteps=what.steps)), output)
        finally:
            studio.close()
    return output
