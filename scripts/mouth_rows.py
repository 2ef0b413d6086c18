"""Writes the mouth that the lite engine gives recordings, without drawing it: what benchmarks/lipsync.py measures in a video's place.

usage: python scripts/mouth_rows.py FOLDER RECORDING... [--live] [--aperture]

Writes FOLDER/<recording>.npy: (n, 4) rows of core.lite.mouth, 25 a second. --live: as where the recording is not there as a whole.
--aperture: that column alone, (n,).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite.mouth import APERTURE, MouthTracker
from core.media.audio import load_audio
from core.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("recording", type=Path, nargs="+")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--aperture", action="store_true")
    o = parser.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    for path in o.recording:
        samples, tracker = load_audio(path, Settings()).samples, MouthTracker()
        if not o.live:
            tracker.foresee(samples)
        rows = np.concatenate((tracker.push(samples), tracker.flush()))
        np.save(o.folder / f"{path.stem}.npy", rows[:, APERTURE] if o.aperture else rows)


if __name__ == "__main__":
    main()
