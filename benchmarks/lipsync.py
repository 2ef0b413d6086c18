"""Measures on a rendered video, with the face landmarker, how well the lips follow the phones.

usage: python benchmarks/lipsync.py VIDEO... --phones FILE... [--json OUT]

VIDEO   a 25-fps video of one face, or a .npy in its place with one aperture (n,) or (aperture, width) (n, 2) or the engine's
        (aperture, spread, ...) rows a frame, to try a motion model without rendering.
FILE    the phones spoken in it: a JSON list of [phone, start_s, end_s, kind] (scripts/speak_heldout.py). One for each video.

Lips: inner aperture |13 - 14| and mouth width |61 - 291|, both over the distance of the outer eye corners |33 - 263|. Frame i shows the
middle of its 40 ms, t = (i + 0.5) x 40 ms. Figures, pooled over all videos where more than one is given:

closed     a frame whose aperture is at most 10 % of its clip's 95th percentile.
recall     of the m, b and p phones, those with a closed frame among the frames that overlap the phone, or one frame beside them.
labio      of the f and v phones, those with a frame of at most 20 % among the same frames: the lower lip is at the teeth.
precision  of the closed frames inside speech, those that overlap an m, b or p, or lie one frame beside one. Inside speech: the frame's
           middle lies in no silence of 0.1 s or more, nor within 80 ms of one (lips may shut a little early and open a little late).
r          Pearson correlation of the aperture with the phonetic target (core.lite.phones.curves) over frames with a face; median of clips.
silence    90th percentile of the aperture in silence, in % of the clip's 95th percentile: frames whose middle is in a silence of
           0.1 s or more, at least two frames (80 ms) from the speech around it. `silence_mean` is the mean.
rounding   mean width in i, e and s frames less that in u, o and w frames, over the neutral width (median width in silence), in %;
           frames whose middle lies inside the phone. The engine's rows have no width: their mean spread difference / 2 is given instead.
Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones

FRAME_S = 0.04
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Clip:
    """aperture, width: (n,), NaN without a face. spread_only: width is the engine's spread."""

    name: str
    aperture: F64
    width: F64
    segments: list[tuple[str, float, float]]
    kinds: list[str]
    spread_only: bool


def track(path: Path) -> F64:
    """(n, 2): aperture and width over the distance of the eyes; NaN where no face is found."""
    import cv2
    import mediapipe as mp
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    task = Path(__file__).parent.parent / "assets/face_landmarker.task"
    rows = []
    with vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(base_options=tasks.BaseOptions(model_asset_path=str(task)), num_faces=1)
    ) as landmarker:
        video = cv2.VideoCapture(str(path))
        fps = video.get(cv2.CAP_PROP_FPS)
        if not 24.9 < fps < 25.1:
            raise SystemExit(f"{path} has {fps:g} frames per second, not 25")
        while True:
            ok, frame = video.read()
            if not ok:
                break
            h, w = frame.shape[:2]
            found = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame[..., ::-1])))
            if not found.face_landmarks:
                rows.append((np.nan, np.nan))
                continue
            p = np.array([(q.x * w, q.y * h) for q in found.face_landmarks[0]])
            eyes = np.linalg.norm(p[33] - p[263])
            rows.append((np.linalg.norm(p[13] - p[14]) / eyes, np.linalg.norm(p[61] - p[291]) / eyes))
    if not rows:
        raise SystemExit(f"{path} holds no frames")
    return np.array(rows, np.float64)


def load(video: Path, phones_file: Path) -> Clip:
    rows = json.loads(phones_file.read_text(encoding="utf-8"))
    spread_only = False
    if video.suffix == ".npy":
        curve = np.load(video).astype(np.float64)
        curve = curve.reshape(len(curve), -1)
        spread_only = curve.shape[1] >= 3
        curve = np.concatenate((curve, np.full((len(curve), 1), np.nan)), 1)[:, :2]
    else:
        curve = track(video)
    segments = [(p, float(s), float(e)) for p, s, e, _ in rows]
    return Clip(video.stem, curve[:, 0], curve[:, 1], segments, [kind for *_, kind in rows], spread_only)


def inside(t: F64, spans: list[tuple[float, float]], margin_s: float = 0.0) -> Mask:
    """Which of the times t lie in one of the spans, each widened by margin_s on both sides (narrowed where negative)."""
    hit = np.zeros(len(t), bool)
    for start, end in spans:
        hit |= (t >= start - margin_s) & (t < end + margin_s)
    return hit


def measure(clip: Clip) -> dict[str, Any]:
    n = len(clip.aperture)
    t = (np.arange(n) + 0.5) * FRAME_S
    seen = np.isfinite(clip.aperture)
    top = float(np.percentile(clip.aperture[seen], 95))
    closed = seen & (clip.aperture <= 0.1 * top)
    end_s = max(e for _, _, e in clip.segments)

    def spans(*kinds: str) -> list[tuple[float, float]]:
        return [(s, e) for (_, s, e), kind in zip(clip.segments, clip.kinds, strict=True) if kind in kinds]

    quiet: list[tuple[float, float]] = []
    for s, e in spans("silence"):  # neighbours become one
        if quiet and s - quiet[-1][1] < 1e-3:
            quiet[-1] = (quiet[-1][0], e)
        else:
            quiet.append((s, e))
    quiet = [(s, e) for s, e in quiet if e - s >= 0.1 or s <= 0 or e >= end_s]
    speech = ~inside(t, quiet, 0.08) & (t < end_s)
    lips, teeth = spans(*phones.BILABIAL), spans("labiodental")
    near = np.zeros(n, bool)
    hits = 0

    def around(start_s: float, end_s: float) -> slice:
        return slice(max(int(start_s / FRAME_S) - 1, 0), min(int(np.ceil(end_s / FRAME_S)) + 1, n))

    for s, e in lips:
        near[around(s, e)] = True
        hits += bool(closed[around(s, e)].any())
    at_teeth = seen & (clip.aperture <= 0.2 * top)
    said = closed & speech
    target = phones.curves(clip.segments, t)[:, 0]
    # The ends of the recording are no transitions: lips rest there too.
    inner = [(s if s <= 0 else s + 0.08, (e if e >= end_s else e - 0.08)) for s, e in quiet]
    still = inside(t, inner) & seen & (t < end_s)
    out: dict[str, Any] = {
        "clip": clip.name,
        "frames": n,
        "bilabials": len(lips),
        "recalled": hits,
        "labiodentals": len(teeth),
        "at_teeth": sum(bool(at_teeth[around(s, e)].any()) for s, e in teeth),
        "closed": int(said.sum()),
        "right": int((said & near).sum()),
        "r": round(float(np.corrcoef(clip.aperture[seen], target[seen])[0, 1]), 3),
        "silence": round(float(np.percentile(clip.aperture[still], 90)) / top * 100, 1) if still.any() else None,
        "silence_mean": round(float(clip.aperture[still].mean()) / top * 100, 1) if still.any() else None,
        "rounding": None,
    }
    wide, narrow = inside(t, spans(*phones.SPREAD)) & seen, inside(t, spans(*phones.ROUND)) & seen
    if wide.any() and narrow.any() and np.isfinite(clip.width).any():
        neutral = 2.0 if clip.spread_only else float(np.nanmedian(clip.width[still] if still.any() else clip.width))
        out["rounding"] = round(float(np.nanmean(clip.width[wide]) - np.nanmean(clip.width[narrow])) / neutral * 100, 1)
    return out


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def total(key: str) -> int:
        return sum(row[key] for row in rows)

    def median(key: str) -> float | None:
        values = [row[key] for row in rows if row[key] is not None]
        return round(float(np.median(values)), 3) if values else None

    return {
        "clips": len(rows),
        "closure_recall": round(total("recalled") / max(total("bilabials"), 1), 3),
        "labio_recall": round(total("at_teeth") / max(total("labiodentals"), 1), 3),
        "closure_precision": round(total("right") / max(total("closed"), 1), 3),
        "r": median("r"),
        "r_worst": min(row["r"] for row in rows),
        "silence_percent": median("silence"),
        "silence_percent_worst": max((row["silence"] for row in rows if row["silence"] is not None), default=None),
        "rounding_percent": median("rounding"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, nargs="+")
    parser.add_argument("--phones", type=Path, nargs="+", required=True)
    parser.add_argument("--json", type=Path, help="write the last line here too")
    o = parser.parse_args()
    if len(o.video) != len(o.phones):
        parser.error(f"{len(o.video)} videos but {len(o.phones)} phones files")
    rows = [measure(load(video, file)) for video, file in zip(o.video, o.phones, strict=True)]
    for row in rows:
        print(
            f"{row['clip']:16s} closure {row['recalled']}/{row['bilabials']} labio {row['at_teeth']}/{row['labiodentals']}"
            f"  right {row['right']}/{row['closed']}  r {row['r']:+.2f}"
            f"  silence {row['silence']} % (mean {row['silence_mean']})  rounding {row['rounding']} %"
        )
    line = json.dumps(pooled(rows))
    if o.json:
        o.json.write_text(line + "\n", encoding="utf-8")
    print(line)


if __name__ == "__main__":
    main()
