"""Gradio parts that behave as the pages need: files handed over untouched, and no error without a sentence for the visitor."""

from __future__ import annotations

import json
import logging
import os
import threading
from abc import ABCMeta
from collections.abc import Callable
from concurrent.futures import Future
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from core.errors import TalkingHeadError
from core.service.service import Service
from core.web.pages.drafts import Drafts
from core.web.pages.error_texts import sentence
from core.web.pages.events_route import Subscriptions
from core.web.pages.scripts import script
from core.web.pages.texts import Texts
from core.web.pages.texts_en import ENGLISH

logger = logging.getLogger(__name__)

CAPTIONS = Path(__file__).resolve().parent / "static" / "captions.js"
CHOOSE_CARD = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('[data-key]');
  if (!card) return;
  for (const each of element.querySelectorAll('[data-key]')) each.setAttribute('aria-pressed', String(each === card));
  for (const each of element.querySelectorAll('[data-of]')) each.hidden = each.dataset.of !== card.dataset.key;
  trigger('select', { key: card.dataset.key });
});
"""


def page_error(sentence: str, title: str = ENGLISH.error) -> Exception:
    """An error Gradio shows as a message; its traceback stays out of the log, for it is the visitor's input that is at fault."""
    error: Exception = gr.Error(sentence, title=title, print_exception=False)
    return error


def _component(base: Any, **members: Any) -> Any:
    """A component class with other members, under the same name, so that the browser shows it as the same component.

    A class and not an instance, because Gradio makes a new instance for a visitor whose component is updated. Made past Gradio's metaclass,
    which would write a .pyi file beside this module.
    """
    return ABCMeta.__new__(type(base), base.__name__, (base,), {"__module__": __name__, **members})


def _uploaded_path(component: Any, payload: Any) -> str | None:
    return payload.path if payload is not None else None


def _served_file(component: Any, path: str | None) -> Any:
    return None if path is None else FileData(path=str(path), orig_name=str(path).rsplit("/", 1)[-1])


def _example(name: str) -> dict[str, Any]:
    """The API page shows a file of the caller's own; Gradio's example is a web address, and those are refused here."""
    payload = {"path": name, "url": name, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    return {"example_payload": lambda component: payload, "example_value": lambda component: name}


# Gradio would open a photo with Pillow first, and fail in its own words on what our own loader explains.
_Photo = _component(gr.Image, preprocess=_uploaded_path, **_example("portrait.png"))
_Speech = _component(gr.Audio, preprocess=_uploaded_path, **_example("speech.wav"))
_File = _component(gr.File, preprocess=_uploaded_path, **_example("video.mp4"))
# Gradio would have our mp4 examined by whatever ffprobe the machine has.
_Video = _component(gr.Video, postprocess=_served_file)


_AS_SEEN = gr.WebcamOptions(mirror=False)
"""The camera's picture as others see the person: mirrored, a video of it would have their face the wrong way round."""


def photo_input(texts: Texts, **options: Any) -> Any:
    """An image component that hands over the uploaded file as it is."""
    sources = ["upload", "webcam", "clipboard"]
    return _Photo(type="filepath", image_mode=None, label=texts.photo, sources=sources, webcam_options=_AS_SEEN, **options)


def picture_input(label: str, **options: Any) -> Any:
    """As `photo_input`, for a picture that nobody is looked for in."""
    return _Photo(type="filepath", image_mode=None, label=label, sources=["upload", "clipboard"], **options)


def speech_input(texts: Texts, **options: Any) -> Any:
    """An audio component that hands over the uploaded file as it is."""
    return _Speech(type="filepath", label=texts.speech, sources=["upload", "microphone"], **options)


def video_output(texts: Texts, **options: Any) -> Any:
    """A video component that serves our mp4 as it is."""
    return _Video(label=texts.video, format="mp4", interactive=False, **options)


def video_file(label: str, **options: Any) -> Any:
    """A place for a video that hands over the uploaded file as it is, and does not show it."""
    return _File(label=label, type="filepath", file_types=["video", ".gif"], **options)


def cards(html: str = "", **options: Any) -> Any:
    """Cards to choose from (`html.cards_html`). Its `select` event carries the `key` of the card that was chosen."""
    return gr.HTML(html, js_on_load=CHOOSE_CARD, elem_classes="th-html", **options)


def photo_board(photo_id: str, **options: Any) -> Any:
    """As `cards`, for the faces of a photo, which can be chosen on the photo, too. Its `submit` event carries the `crop` that was
    chosen, or the `landmarks` of a face that was marked by hand.

    photo_id: of the photo's component.
    """
    scripts = f"{CHOOSE_CARD}\nconst PHOTO = {json.dumps(photo_id)};\n{script('photo.js', 'part.js', 'hand.js')}"
    return gr.HTML(js_on_load=scripts, elem_classes="th-html", **options)


def captions_board(elem_id: str, place: str) -> Any:
    """Where the captions of a video are switched and fetched (`speech_html.captions_html`). place: selector of what holds the video."""
    script = f"const PLACE = {json.dumps(place)};\n{CAPTIONS.read_text(encoding='utf-8')}"
    return gr.HTML(js_on_load=script, elem_id=elem_id, elem_classes="th-html")


def kept_text(value: str = "") -> Any:
    """A text that the open page keeps and nobody sees. Unlike Gradio's State it survives a restart of the server, and asks for no
    connection of its own; who sends it back may have changed it.
    """
    return gr.Textbox(value, visible=False)


def quiet(**options: Any) -> dict[str, Any]:
    """Of an event of the page's own: not in the API, and nothing flickers while it runs."""
    return {"show_progress": "hidden", "api_visibility": "private", **options}


class Page(gr.Blocks):  # type: ignore[misc]  # Gradio is not followed by the type checker
    """Blocks in which every error reaches the visitor as a sentence, and the log as a traceback where it is our fault.

    visited: set when the first visitor has the page before them. public_files: served to everybody. stop_talking: ends conversations and
    live sessions; None where another program has them.
    """

    def __init__(self, texts: Texts, service: Service, **options: Any) -> None:
        super().__init__(**options)
        self.texts = texts
        self.service = service
        self.subscriptions = Subscriptions()
        self.drafts = Drafts()
        self.visited = threading.Event()
        self.stop_talking: Callable[[], Future[None]] | None = None
        self.public_files: list[Path] = []
        settings = service.settings
        self.max_upload_bytes = max(settings.max_audio_bytes, settings.max_image_bytes, settings.max_video_bytes)

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any) -> dict[str, Any]:
        """As Gradio's; addresses are refused before Gradio would fetch them, without bounds, on the server. What a program leaves out at
        the end of its list of values, which may be older than an endpoint's last ones, is filled in.
        """
        public = getattr(block_fn, "api_visibility", "") == "public"
        if public and isinstance(inputs, list):
            inputs = [*inputs, *(component.value for component in block_fn.inputs[len(inputs) :])]
        if any(_is_address(value) for value in inputs or ()):
            raise page_error(self.texts.no_addresses)
        if any(_is_no_path(value) for value in inputs or ()):
            raise page_error(self.texts.not_uploaded)
        try:
            result: dict[str, Any] = await super().process_api(block_fn, inputs, *args, **options)
        except gr.Error:
            raise
        except TalkingHeadError as error:
            said = sentence(self.texts, error, program=public)
            raise page_error(said if public else escape(said)) from None  # the page shows it as HTML
        except Exception as error:
            if type(error).__name__ in ("InvalidPathError", "ValidationError"):  # a path of the client's own, or no file at all
                logger.warning("refused an input: %s", error)
                raise page_error(self.texts.not_uploaded) from None
            logger.exception("a page event failed")
            raise page_error(self.texts.unexpected) from None
        return result


def _is_address(value: object) -> bool:
    """True where a file input names something to be fetched from elsewhere."""
    return _path(value).strip().lower().startswith(("http:", "https:"))


def _is_no_path(value: object) -> bool:
    """True where a file input names what no file can be called: too long, or not text."""
    try:
        os.lstat(_path(value))
    except (OSError, ValueError) as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
    return False


def _path(value: object) -> str:
    return str(value.get("path") or "") if isinstance(value, dict) else ""
