"""The sync report in plain English, for a terminal."""

from __future__ import annotations

from core.sync.report import EARLY_MS, LATE_MS, Reason, Second, SyncReport

WHY: dict[Reason, str] = {
    "no_sound": "it has no sound track",
    "silent": "nobody speaks in its sound",
    "no_face": "no face was found in its picture",
    "short": "the mouth is seen for less than a second of the speech",
    "face_lost": "the face is seen in less than half of the speech",
    "still": "they hardly move",
    "unlike": "they move, but not as it asks (other words, another voice, music, noise?)",
}
_BAR_S = 60
"""Seconds in a line of the timeline."""


def offset_words(offset_ms: float) -> str:
    """Who is late, and by how much."""
    if round(offset_ms) == 0:
        return "neither picture nor sound is late"
    return f"the {'picture' if offset_ms > 0 else 'sound'} is {abs(offset_ms):.0f} ms late"


def verdict(report: SyncReport) -> str:
    """The report in a line."""
    if report.confidence is None or report.offset_ms is None or report.chance is None:
        return f"no confidence: {WHY[report.reason]}"
    if not report.fits:
        return f"the lips do not fit this sound: {WHY[report.reason]}"
    if report.in_time:
        return f"in sync: {offset_words(report.offset_ms)}" + (", less than viewers notice" if round(report.offset_ms) else "")
    noticed = f"viewers notice a sound that is {-EARLY_MS:.0f} ms late, and a picture that is {LATE_MS:.0f} ms late"
    return f"out of sync: {offset_words(report.offset_ms)}; {noticed}"


def summary(name: str, report: SyncReport) -> list[str]:
    """The lines that the command prints."""
    lines = [name, f"  {verdict(report)}"]
    if report.confidence is not None and report.offset_ms is not None and report.chance is not None:
        if report.fits:
            lines.append(f"  offset: {round(report.offset_ms):+d} ms (+: the picture is late)")
        scale = f"about 0: nothing fits, 1: as the sound asks; by luck up to {report.chance:.2f}"
        lines.append(f"  confidence: {report.confidence:.2f} ({scale})")
        # The seconds of lips that do not fit are compared at an offset that is chance, where some always fit by luck.
        share = "" if report.share is None or not report.fits else f", {100 * report.share:.0f} % of it fits"
        lines.append(f"  speech compared: {report.speech_s:.1f} s{share}")
    if report.timeline:
        place = "" if report.fits or report.confidence is None else ", at the offset that happens to fit best"
        lines.append(f"  by seconds{place} (# fits, - does not, . no speech, ? no mouth seen or nothing moves):")
        marks = "".join(map(mark, report.timeline))
        lines += [f"    {start:>4} s  {marks[start : start + _BAR_S]}" for start in range(0, len(marks), _BAR_S)]
    return lines


def mark(second: Second) -> str:
    """One character for a second of the timeline."""
    if second.speech < 0.2:
        return "."
    return "?" if second.fits is None else "#" if second.fits else "-"
