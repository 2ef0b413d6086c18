"""How long Ditto's stages take on a GPU, as published or as measured, and what follows from that for a frame.

    python benchmarks/device_times.py [stages.json]

prints rows of the sizing table of docs/deployment.md, in Markdown: of the published times, or of the stages.json that `scripts/gpu_check.sh
stages` writes on a GPU. `benchmarks/scale.py --times stages.json` sleeps as long as that GPU computes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.atomic_components.motion_options import Audio2MotionOptions  # noqa: E402
from core.atomic_components.wav2feat import CURRENT  # noqa: E402
from core.engines.ditto_options import session_options  # noqa: E402
from core.options import PRESETS, read_options  # noqa: E402
from core.streaming.load import SHARE  # noqa: E402
from core.types import FPS  # noqa: E402

FRAME_MS = 1000 / FPS
VISITOR_S = 10 / 300
"""Seconds of video in a second that a visitor needs who makes one of 10 s every 5 minutes."""
MEASURED = {
    "window_ms": "motion window", "speech_ms": "speech features", "frame_ms": "warp and decode", "register_ms": "appearance and motion",
}  # fmt: skip
"""Which rows of a stages.json say so."""


@dataclass(frozen=True)
class DeviceTimes:
    """window_ms: a window of motion, whatever the number of its frames that are new. speech_ms: the features of 5 frames. frame_ms: warp,
    decoder and stitching of one frame. register_ms: what the networks do for a photo. source: where these figures are from.
    """

    window_ms: float
    speech_ms: float
    frame_ms: float
    register_ms: float
    source: str

    def of_a_frame_ms(self, motion: Audio2MotionOptions) -> float:
        """The device's time of one frame, with its part of a window of motion and of speech."""
        return self.window_ms / motion.valid + self.speech_ms / CURRENT + self.frame_ms

    def slower(self, factor: float) -> DeviceTimes:
        """The same of a device that takes `factor` times as long."""
        scaled = {name: value * factor for name, value in asdict(self).items() if name != "source"}
        return DeviceTimes(**scaled, source=f"{self.source}, {factor:g} times as slow" if factor != 1 else self.source)


PUBLISHED = DeviceTimes(window_ms=62.0, speech_ms=0.0, frame_ms=13.11, register_ms=1.66, source="published")
"""window_ms: Ditto's authors, on an A100 with TensorRT, for 80 frames (arXiv:2411.19509, table 3; they count it once for each window in
antgroup/ditto-talkinghead, issue 14). frame_ms, register_ms: LivePortrait's authors, whose networks these are, on an RTX 4090 with
torch.compile (KwaiVGI/LivePortrait, "speed" among its documents): warping 5.21 + SPADE generator 7.59 + stitching and retargeting 0.31, and
appearance 0.82 + motion 0.84. Of the speech encoder no published time was found: it counts as nothing, so all that follows is a lower
bound. What Ditto's authors say of the whole on an A100 is an upper one: about as long as the recording (issue 54), 40 ms a frame.
"""


def read_stages(path: Path) -> DeviceTimes:
    """The engine's own times of what benchmarks/ditto_stages.py wrote, each at the batch that is cheapest for an item. Raises ValueError
    where a stage is missing.
    """
    report = json.loads(path.read_text("utf-8"))
    rows = [row for row in report["rows"] if row["way"] == "engine"]
    found = {}
    for name, stage in MEASURED.items():
        times = [row["ms_per_item"] for row in rows if row["stage"].startswith(stage)]
        if not times:
            raise ValueError(f"{path}: there is no stage {stage!r} of the engine: run scripts/gpu_check.sh stages on a GPU")
        found[name] = min(times)
    return DeviceTimes(**found, source=f"{report['device']}, {report['dtype']}")


def motion_options(live: bool) -> Audio2MotionOptions:
    """Of a live session, or of a recording."""
    options = read_options(PRESETS["realtime"] if live else {})
    return session_options(options.controls, options.render).motion


def sizing_row(name: str, live_ms: float, video_ms: float) -> str:
    """live_ms, video_ms: the device's time of a frame of a live session, and of a recording."""
    sessions = max(1, math.floor(SHARE * FRAME_MS / live_ms))
    video = FRAME_MS / video_ms
    cells = [
        name, f"{live_ms:.3g}", f"{video_ms:.3g}", f"{SHARE} × 40 / {live_ms:.3g} = {sessions}",
        f"1000 / {sessions} + 1 = {math.ceil(1000 / sessions) + 1}",
        f"40 / {video_ms:.3g} = {video:.2g}", f"{video:.2g} × 30 = {round(video / VISITOR_S)}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="?", type=Path, help="stages.json of scripts/gpu_check.sh")
    given = parser.parse_args()
    times = read_stages(given.stages) if given.stages else PUBLISHED
    print(sizing_row(times.source, times.of_a_frame_ms(motion_options(live=True)), times.of_a_frame_ms(motion_options(live=False))))


if __name__ == "__main__":
    main()
