"""Makes the videos of a deployment's examples before anybody asks for them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

from core.errors import TalkingHeadError
from core.result_reuse import SHARED_OWNER
from core.service import options
from core.service.job_work import read_audio, read_source, video_request
from core.settings import Settings
from core.studio import Studio

logger = logging.getLogger(__name__)


def make_examples(studio: Studio, settings: Settings, examples: Iterable[tuple[Path, Path]]) -> None:
    """examples: photo and recording, which `Studio.share_results` was given. Each is made as a visitor's with nothing chosen would be, and
    kept where results are; one that is kept already is not made again. Takes seconds; what goes wrong is logged.
    """
    request = {"avatar": "", "engine": "auto", "options": options.settled({}, settings, avatar=False)}
    for photo, speech in examples:
        try:
            with tempfile.TemporaryDirectory() as folder:
                source, audio = read_source(photo, studio, settings), read_audio(speech, settings)
                info = studio.generate(video_request(request, SHARED_OWNER, audio, source), Path(folder) / "example.mp4").info
            logger.info("the example %s is %s", speech.name, "kept already" if info.cache_hit else "made")
        except (TalkingHeadError, OSError) as error:  # the visitor who tries it is told
            logger.warning("the example %s could not be made: %s", speech.name, error)
