"""What a visitor sees of a job, as small pieces of HTML. Everything that is not ours is escaped."""

from __future__ import annotations

from html import escape

from core.types import GenerationInfo
from core.web.desk import Snapshot
from core.web.texts import Texts


def idle_html(texts: Texts) -> str:
    return _line("th-idle", texts.idle)


def plain_html(sentence: str) -> str:
    return _line("th-plain", sentence)


def progress_html(texts: Texts, snapshot: Snapshot) -> str:
    """Stage, bar, and frames, speed and time left as far as they are known. The bar moves by itself while the total is not known."""
    facts = []
    if snapshot.position:
        facts.append(texts.waiting.format(position=snapshot.position))
    if snapshot.total:
        facts.append(texts.frames.format(done=snapshot.done, total=snapshot.total))
    if snapshot.fps:
        facts.append(texts.rate.format(fps=snapshot.fps))
    if snapshot.left_s is not None and snapshot.done < snapshot.total:
        seconds = max(1, round(snapshot.left_s))
        long = seconds >= 100
        facts.append(texts.left_minutes.format(minutes=round(seconds / 60)) if long else texts.left_seconds.format(seconds=seconds))
    percent = 100 * snapshot.done // snapshot.total if snapshot.total else 0
    value = f'aria-valuenow="{percent}" ' if snapshot.total else ""
    moving = "" if snapshot.total else " th-moving"
    stage = escape(texts.stages.get(snapshot.stage, snapshot.stage))
    return (
        '<div class="th-status" role="status">'
        f'<div class="th-row"><b>{stage}</b><span>{escape(" · ".join(facts))}</span></div>'
        f'<div class="th-bar{moving}" role="progressbar" aria-valuemin="0" aria-valuemax="100" {value}aria-label="{stage}">'
        f'<i style="width:{percent}%"></i></div></div>'
    )


def result_html(texts: Texts, info: GenerationInfo) -> str:
    """One line: engine and why, time, RTF, first-frame delay, size, seed; then one line per warning."""
    facts = [
        texts.result_engine.format(engine=info.engine, reason=info.engine_reason),
        texts.result_time.format(audio_s=info.audio_s, wall_s=info.wall_s),
        texts.result_rtf.format(rtf=info.rtf),
        texts.result_first_frame.format(ms=info.first_frame_ms),
        texts.result_video.format(width=info.width, height=info.height),
        texts.result_seed.format(seed=info.seed),
    ]
    if info.load_ms >= 100:  # said only where somebody waited for it
        facts.insert(2, texts.result_loading.format(seconds=info.load_ms / 1000))
    notes = "".join(_line("th-note", texts.note.format(warning=warning)) for warning in info.warnings)
    return f'<div class="th-status" role="status"><div class="th-facts">{escape(" · ".join(facts))}</div>{notes}</div>'


def error_html(texts: Texts, sentence: str) -> str:
    return f'<div class="th-status th-error" role="alert"><b>{escape(texts.error)}</b><div>{escape(sentence)}</div></div>'


def _line(kind: str, sentence: str) -> str:
    return f'<div class="th-status {kind}" role="status">{escape(sentence)}</div>'
