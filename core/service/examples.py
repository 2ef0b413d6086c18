"""The examples that pages offer to visitors, and the making of their videos before anybody asks for them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import TalkingHeadError
from core.request import RenderOptions
from core.result_reuse import SHARED_OWNER
from core.service import options
from core.service.job_work import read_audio, read_source, video_request
from core.settings import Settings
from core.studio import Studio

logger = logging.getLogger(__name__)

_ASSETS = Path(__file__).resolve().parents[2] / "assets"


@dataclass(frozen=True)
class Example:
    """Files that a visitor can try without any of their own; everybody may have them.

    name: "person", "drawing" or "painting". seconds: of speech. video: what the lite engine makes of photo and speech, at its default size
    and with the label: it is shipped, so that it is there at once (scripts/make_examples.py makes it).
    """

    name: str
    photo: Path
    speech: Path
    seconds: int
    video: Path


EXAMPLES = (
    Example("person", _ASSETS / "portrait.png", _ASSETS / "speech_3s.wav", 3, _ASSETS / "examples/person.mp4"),
    Example("drawing", _ASSETS / "examples/drawing.png", _ASSETS / "examples/drawing.wav", 5, _ASSETS / "examples/drawing.mp4"),
    Example("painting", _ASSETS / "examples/painting.jpg", _ASSETS / "examples/painting.wav", 5, _ASSETS / "examples/painting.mp4"),
)


def make_examples(studio: Studio, settings: Settings, examples: Iterable[Example], size_px: int = int(RenderOptions.size)) -> None:
    """Makes the videos of examples that `Studio.share_results` was given, each as a visitor's with nothing chosen would be (size_px: the
    pages' size). They are kept where results are; one that is kept already is not made again. Takes seconds; what goes wrong is logged.
    """
    request = {"avatar": "", "engine": "auto", "options": options.settled({"size": size_px}, settings, avatar=False)}
    for example in examples:
        try:
            with tempfile.TemporaryDirectory() as folder:
                source, audio = read_source(example.photo, settings), read_audio(example.speech, settings)
                info = studio.generate(video_request(request, SHARED_OWNER, audio, source), Path(folder) / "example.mp4").info
            logger.info("the example %s is %s", example.name, "kept already" if info.cache_hit else "made")
        except (TalkingHeadError, OSError) as error:  # the visitor who tries it is told
            logger.warning("the example %s could not be made: %s", example.name, error)
