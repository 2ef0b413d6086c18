"""Which frames of a video source show the new mouth, how much of it, and which spans pass as they are."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import FaceError
from core.generation import Skipped, SkipReason
from core.notices import notice

BRIDGED_S = 0.4
"""Gaps up to this length are bridged."""
EASE_FRAMES = 5
"""Frames beside a skipped span in which the new mouth comes and goes; what is shorter between two spans is skipped as well."""

Why = SkipReason | None
"""Why a frame cannot be used; None: it can."""


@dataclass(frozen=True, eq=False)
class ShownFrames:
    """why: by frame, None where the new mouth is shown. weight: (n,) float32 0..1, how much of it."""

    why: tuple[Why, ...]
    weight: NDArray[np.float32]


def shown_frames(why: Sequence[Why], fps: float, cuts: Collection[int] = ()) -> ShownFrames:
    """why: of each frame as it was found. cuts: numbers of frames that are the first of another picture than the frame before.

    A gap up to BRIDGED_S long is bridged, unless another face is there or the picture is another one. The weight goes from 1 to 0 over
    EASE_FRAMES frames beside a skipped span; at a cut it switches, as the picture does.
    """
    limit = round(BRIDGED_S * fps)
    kept, n = _without_fringes(list(why), limit), len(why)
    for start, end in _runs(kept):
        inside = start > 0 and end < n and kept[start] is not None and kept[start - 1] is None and kept[end] is None
        steady = not any(start <= cut <= end for cut in cuts)
        if inside and steady and end - start <= limit and "other_face" not in kept[start:end]:
            kept[start:end] = [None] * (end - start)
    for start, end in _runs(kept):
        if kept[start] is None and 0 < start and end < n and end - start < EASE_FRAMES:
            kept[start:end] = [kept[start - 1]] * (end - start)
    return ShownFrames(tuple(kept), _weights(kept, cuts))


def check_shown(shown: ShownFrames) -> None:
    """Raises FaceError where no frame shows the new mouth."""
    if shown.weight.any():
        return
    reasons = [_REASONS[why] for why in sorted(set(shown.why) - {None}, key=shown.why.count, reverse=True) if why is not None]
    raise FaceError(
        f"No frame of the video shows a face that can be animated: {', or '.join(reasons)}.",
        "Use a video that shows the person's face from the front, at least in parts.",
        code="video_without_face",
    )


_REASONS: dict[SkipReason, str] = {
    "no_face": "none was found",
    "other_face": "it is not the one that was asked for",
    "too_small": "it is too small",
    "turned_away": "it is turned too far to the side",
    "cut_off": "it is cut off by the edge",
}


def skipped_spans(why: Sequence[Why], fps: float) -> tuple[Skipped, ...]:
    """Runs of frames that are skipped for one reason, in seconds."""
    spans, at = [], 0
    for reason, run in itertools.groupby(why):
        start, at = at, at + len(list(run))
        if reason is not None:
            spans.append(Skipped(round(start / fps, 3), round(at / fps, 3), reason))
    return tuple(spans)


def skipped_warnings(spans: Sequence[Skipped], duration_s: float) -> tuple[str, ...]:
    """What a person should know of the spans that are skipped of a video so long."""
    seconds = sum(span.to_s - span.from_s for span in spans)
    return (notice("frames_skipped", seconds=f"{seconds:.1f}", total=f"{duration_s:.1f}"),) if spans else ()


def _runs(why: Sequence[Why]) -> list[tuple[int, int]]:
    """First and last + 1 of each run of frames that can, or cannot, be used."""
    runs, at = [], 0
    for _, run in itertools.groupby(why, lambda reason: reason is None):
        start, at = at, at + len(list(run))
        runs.append((start, at))
    return runs


def _without_fringes(why: list[Why], limit: int) -> list[Why]:
    """While someone passes before a face it is not found for some frames before and after theirs is: that is one span."""
    runs, at = [], 0
    for reason, run in itertools.groupby(why):
        start, at = at, at + len(list(run))
        runs.append((reason, start, at))
    for before, (reason, start, end), after in zip([None, *runs], runs, [*runs[1:], None], strict=False):
        beside = {run[0] for run in (before, after) if run is not None}
        if reason == "no_face" and "other_face" in beside and end - start <= limit:
            why[start:end] = ["other_face"] * (end - start)
    return why


def _weights(why: Sequence[Why], cuts: Collection[int]) -> NDArray[np.float32]:
    """The distance to the nearest skipped frame of the same picture, over EASE_FRAMES + 1."""
    far = EASE_FRAMES + 1
    distance = np.full(len(why), far)
    for step, order in ((1, range(len(why))), (-1, range(len(why) - 1, -1, -1))):
        away = far
        for i in order:
            if (i if step == 1 else i + 1) in cuts:
                away = far
            away = 0 if why[i] is not None else min(away + 1, far)
            distance[i] = min(distance[i], away)
    return (distance / far).astype(np.float32)
