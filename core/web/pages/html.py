"""HTML fragments of the pages. Everything that is not ours is escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.errors import TalkingHeadError
from core.generation import GenerationInfo
from core.media.formats import PHOTOS, SOUNDS, VIDEOS, endings, with_sound
from core.optimization.cold_start_optimization import LoadState
from core.service.face_previews import PhotoPreview, SeenFace
from core.service.job_views import JobView
from core.web.pages.component_labels import BY_LANGUAGE
from core.web.pages.error_texts import reason, sentence, warning
from core.web.pages.figures import filled, human_bytes
from core.web.pages.texts import Texts


@dataclass(frozen=True)
class Choice:
    """One card to choose. key: told when it is chosen. picture: JPEG; None for a card of words alone. moving: WebP, seen on hover."""

    key: str
    label: str
    picture: bytes | None
    moving: bytes | None = None


def head_html(texts: Texts, others: Sequence[Texts]) -> str:
    """The page's title, and links to the page in its other languages."""
    links = " ".join(
        f'<a class="th-language" href="?lang={other.language}" hreflang="{other.language}" lang="{other.language}">'
        f"{escape(other.language_name)}</a>"
        for other in others
    )
    return (
        f'<div class="th-head" lang="{texts.language}"><div><h1>{escape(texts.title)}</h1><p>{escape(texts.subtitle)}</p></div>'
        f"{links}</div>"
    )


def subscription_html(token: str) -> str:
    """Nothing to be seen: what static/events.js listens with."""
    return f'<span hidden data-token="{escape(token)}"></span>'


def words_html(texts: Texts) -> str:
    """Nothing to be seen: what the pages' scripts say (scripts.py)."""
    said = {"language": texts.language, "done": texts.notify_done, "failed": texts.error, "uploading": texts.uploading}
    said |= {"upload-broken": texts.upload_broken, "device-denied": texts.device_denied, "device-missing": texts.device_missing}
    said |= {"device-busy": texts.device_busy, "device-insecure": texts.device_insecure, "preview": texts.preview}
    said |= {"device-or-file": texts.device_or_file, "component-labels": json.dumps(BY_LANGUAGE[texts.language], ensure_ascii=False)}
    said |= {"photo-endings": " ".join(endings(PHOTOS)), "person-endings": " ".join(endings(PHOTOS, VIDEOS))}
    said |= {"sound-endings": " ".join(endings(SOUNDS, with_sound()))}
    sharing = texts.sharing
    said |= {"converting": sharing["converting"], "share-failed": sharing["share_failed"]}
    return "<span hidden " + " ".join(f'data-{name}="{escape(word)}"' for name, word in said.items()) + "></span>"


def notify_html(texts: Texts) -> str:
    """The wish to be told of the end; static/running.js shows it while something runs."""
    return f'<label class="th-notify" hidden><input type="checkbox">{escape(texts.notify)}</label>'

def cards_html(choices: Sequence[Choice], chosen: str | None, label: str) -> str:
    """Cards of which one is chosen: buttons, so that the keyboard reaches them."""
    buttons = "".join(
        f'<button type="button" class="th-card" data-key="{escape(each.key)}" aria-pressed="{str(each.key == chosen).lower()}" '
        f'aria-label="{escape(each.label or label)}">'
        f"{_picture(each)}{f'<span>{escape(each.label)}</span>' if each.label else ''}</button>"
        for each in choices
    )
    return f'<div class="th-cards" role="group" aria-label="{escape(label)}"><p>{escape(label)}</p><div>{buttons}</div></div>'


def preview_html(texts: Texts, preview: PhotoPreview, chosen: int) -> str:
    """The faces of a photo as cards, and what is wrong with the photo or the chosen face; "" where nothing is to be said."""
    if preview.error is not None:
        return _alert(texts.photo_unusable, sentence(texts, preview.error))
    if not preview.faces:
        return ""
    several = len(preview.faces) > 1
    choices = [
        Choice(str(n), texts.face_named.format(number=n + 1) if several else "", face.cut) for n, face in enumerate(preview.faces)
    ]
    cards = cards_html(choices, str(chosen), texts.faces_several if several else texts.faces_one)
    said = "".join(
        f'<div data-of="{n}"{"" if n == chosen else " hidden"}>{_said_of(texts, face)}</div>' for n, face in enumerate(preview.faces)
    )
    places = escape(json.dumps([face.place for face in preview.faces]))
    return f'<div data-places="{places}">{cards}{said}</div>'


def _said_of(texts: Texts, face: SeenFace) -> str:
    if face.error is not None:
        return _alert(texts.photo_unusable, sentence(texts, face.error))
    return warnings_html(texts, face.warnings)


def warnings_html(texts: Texts, warnings: Sequence[str]) -> str:
    return "".join(_line("th-warning", warning(texts, each)) for each in warnings)


def unusable_recording_html(texts: Texts, error: TalkingHeadError) -> str:
    return _alert(texts.recording_unusable, sentence(texts, error))


def idle_html(texts: Texts) -> str:
    return _line("th-idle", texts.idle)


def plain_html(said: str) -> str:
    return _line("th-plain", said)


def note_html(said: str) -> str:
    """A quiet line without a frame."""
    return f'<p class="th-quiet">{escape(said)}</p>'


def progress_html(texts: Texts, job: JobView) -> str:
    """Stage, bar, and frames, speed and time left as far as they are known. The bar moves by itself while the total is not known.

    `data-job` is where static/events.js puts the same of a later moment; `data-preview` is what static/preview.js plays meanwhile.
    """
    facts = []
    if job.position:
        facts.append(texts.waiting.format(position=job.position))
    if job.total:
        facts.append(texts.frames.format(done=job.done, total=job.total))
    if job.fps:
        facts.append(filled(texts, texts.rate, fps=job.fps))
    if job.left_s is not None and job.done < job.total:
        facts.append(_left(texts, job.left_s))
    preview = "" if job.preview is None else _file_address(job.preview)
    return _bar(texts.stages.get(job.stage, job.stage), facts, job.done, job.total, job.id, preview)


def reading_html(texts: Texts) -> str:
    """Before there is a job: what was sent is read."""
    return _bar(texts.stages["reading"], [], 0, 0)


def result_html(texts: Texts, info: GenerationInfo, heading: str = "") -> str:
    """One line: how long it is and took; one per warning; the rest under Details."""
    about = info.to_dict()
    notes = "".join(_line("th-note", texts.note.format(warning=warning(texts, each))) for each in about["warnings"])
    head = f"<b>{escape(heading)}</b>" if heading else ""
    details = "".join(f"<li>{escape(each)}</li>" for each in facts(texts, about))
    return (
        f'<div class="th-status th-result" role="status">{head}<div>{escape(summary(texts, about))}</div>{notes}'
        f'<details><summary>{escape(texts.details)}</summary><ul class="th-facts">{details}</ul></details></div>'
    )


def summary(texts: Texts, about: Mapping[str, Any]) -> str:
    """How long the video is and how long it took. about: `GenerationInfo.to_dict()`."""
    if about["cache_hit"]:
        return filled(texts, texts.result_known, audio_s=about["audio_s"])
    return filled(texts, texts.result_made, audio_s=about["audio_s"], wall_s=about["wall_s"])


def facts(texts: Texts, about: Mapping[str, Any]) -> list[str]:
    """What is known of a video, a few words each. about: `GenerationInfo.to_dict()`."""
    said = [
        texts.result_engine.format(engine=about["engine"], reason=reason(texts, about["engine_reason"])),
        filled(texts, texts.result_time, audio_s=about["audio_s"], wall_s=about["wall_s"]),
        filled(texts, texts.result_rtf, rtf=about["rtf"]),
        filled(texts, texts.result_first_frame, ms=about["first_frame_ms"]),
        texts.result_video.format(width=about["width"], height=about["height"]),
        texts.result_seed.format(seed=about["seed"]),
    ]
    if about["load_ms"] >= 100:  # said only where somebody waited for it
        said.insert(2, filled(texts, texts.result_loading, seconds=about["load_ms"] / 1000))
    if about["cache_hit"]:
        said[1:4] = [filled(texts, texts.result_cached, ms=max(1.0, about["wall_s"] * 1000))]
    if about.get("sync_offset_ms") is not None:  # not of videos that were made before it was measured
        said.append(filled(texts, texts.result_sync, ms=about["sync_offset_ms"], confidence=about["sync_confidence"]))
    if about["label"]:
        said.append(texts.result_label)
    return said


def ready_html(texts: Texts, loading: Mapping[str, LoadState]) -> str:
    """Which engines are on their way, and that lite serves meanwhile where it does."""
    said = []
    for name, state in loading.items():
        share = f" ({state.progress:.0%})" if state.progress is not None else ""
        said.append(f"{name} {texts.load_stages[state.stage]}{share}")
    meanwhile = "" if "lite" in loading else f" {texts.ready_lite_meanwhile}"
    return note_html(texts.ready_loading.format(what=", ".join(said)) + meanwhile)


def ditto_html(texts: Texts, state: LoadState, missing_bytes: int) -> str:
    """Where Ditto stands: to be fetched, on its way, or ready."""
    if state.stage == "fetching":
        said = [texts.ditto_size.format(done=human_bytes(texts, state.done), total=human_bytes(texts, state.total))] if state.total else []
        return _bar(texts.ditto_running, said, state.done, state.total)
    if state.stage in ("loading", "warming"):
        return _bar(f"{texts.ditto_title}: {texts.load_stages[state.stage]}", [], 0, 0)
    if state.stage == "failed":
        return _alert(texts.ditto_failed, f"{state.error} {state.hint}".strip())
    return _line("th-idle", texts.ditto_about if missing_bytes else texts.ditto_present)


def table_html(title: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<div class="th-table"><h2>{escape(title)}</h2><table>{lines}</table></div>'


def grid_html(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a heading over every column but the first; on a phone the headings stand before the values."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns)
    lines = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(f'<td data-of="{escape(column)}">{escape(cell)}</td>' for column, cell in zip(columns, cells, strict=True))
        + "</tr>"
        for name, *cells in rows
    )
    scrolled = f'<div class="th-scroll" role="group" tabindex="0" aria-label="{escape(title)}">'
    return (
        f'<div class="th-table"><h2>{escape(title)}</h2>{scrolled}<table>'
        f"<thead><tr><td></td>{head}</tr></thead>{lines}</table></div></div>"
    )


def paragraph_html(title: str, said: str) -> str:
    return f'<div class="th-table"><h2>{escape(title)}</h2><p>{escape(said)}</p></div>'


def error_html(texts: Texts, said: str) -> str:
    return _alert(texts.error, said)


def _left(texts: Texts, left_s: float) -> str:
    seconds = max(1, round(left_s))
    return texts.left_minutes.format(minutes=round(seconds / 60)) if seconds >= 100 else texts.left_seconds.format(seconds=seconds)


def _bar(title: str, said: Sequence[str], done: int, total: int, job: str = "", preview: str = "") -> str:
    percent = 100 * done // total if total else 0
    value = f'aria-valuenow="{percent}" ' if total else ""
    mark = f' data-job="{escape(job)}"' if job else ""
    mark += f' data-preview="{escape(preview)}"' if preview else ""
    return (
        f'<div class="th-status" role="status"{mark}>'
        f'<div class="th-row"><b>{escape(title)}</b><span>{escape(" · ".join(said))}</span></div>'
        f'<div class="th-bar{"" if total else " th-moving"}" role="progressbar" aria-valuemin="0" aria-valuemax="100" {value}'
        f'aria-label="{escape(title)}"><i style="width:{percent}%"></i></div></div>'
    )


def _picture(choice: Choice) -> str:
    if choice.picture is None:
        return '<i aria-hidden="true">+</i>'
    moving = "" if choice.moving is None else _image("webp", choice.moving, "th-moving")
    return _image("jpeg", choice.picture, "th-still-picture" if moving else "") + moving


def _image(kind: str, data: bytes, name: str) -> str:
    classes = f' class="{name}"' if name else ""
    return f'<img alt=""{classes} src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _file_address(path: Path) -> str:
    return f"gradio_api/file={quote(str(path))}"


def _alert(title: str, said: str) -> str:
    return f'<div class="th-status th-error" role="alert"><b>{escape(title)}</b><div>{escape(said)}</div></div>'


def _line(kind: str, said: str) -> str:
    return f'<div class="th-status {kind}" role="status">{escape(said)}</div>'
