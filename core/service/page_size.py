"""How large the videos of the pages are where a visitor chooses no size: sharp where the machine is fast enough for it."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import threading
from pathlib import Path

from core.errors import TalkingHeadError
from core.generation import GenerationInfo
from core.optimization.cache_folder import CacheFolder
from core.request import RenderOptions
from core.result_reuse import SHARED_OWNER
from core.service import options
from core.service.examples import Example
from core.service.job_store import JobRecord
from core.service.job_work import read_audio, read_source, video_request
from core.settings import Settings
from core.studio import Studio

logger = logging.getLogger(__name__)

SHARP_PX = 512
FAST_RTF = 0.3
"""A sharp video must be made in less than this share of the time that it lasts."""
_SUBFOLDER, _FILE = "speed", "rtf.json"
_LEAST_S = 2.0
"""Of speech: of shorter videos most of the time goes into other things than frames."""


class PageSize:
    """Thread-safe. cache: where what was found out is kept, by engine."""

    def __init__(self, studio: Studio, settings: Settings, cache: CacheFolder) -> None:
        self._studio, self._settings, self._cache = studio, settings, cache
        self._lock = threading.Lock()
        self._rtf: dict[str, float] = self._read()

    @property
    def px(self) -> int:
        """The side of a square video; the default of all other interfaces until more is known."""
        if self._settings.page_size is not None:
            return self._settings.page_size
        with self._lock:
            return SHARP_PX if self._rtf.get(self._engine(), FAST_RTF) < FAST_RTF else int(RenderOptions.size)

    def measure(self, example: Example) -> None:
        """Makes one short sharp video, where nothing is known of the engine that serves now. Takes seconds; what goes wrong is logged."""
        with self._lock:
            known = self._engine() in self._rtf
        if known or self._settings.page_size is not None:
            return
        request = {"avatar": "", "engine": "auto", "options": options.settled({"size": SHARP_PX}, self._settings, avatar=False)}
        try:
            with tempfile.TemporaryDirectory() as folder:
                source = read_source(example.photo, self._settings)
                audio = read_audio(example.speech, self._settings)
                made = self._studio.generate(video_request(request, SHARED_OWNER, audio, source), Path(folder) / "trial.mp4")
        except (TalkingHeadError, OSError) as error:
            logger.warning("the speed of this machine is not known: %s", error)
        else:
            self._learn(made.info)

    def job_ended(self, record: JobRecord) -> None:
        """Learns from a video that was made. On any thread."""
        info = (record.result or {}).get("info")
        if record.kind == "video" and record.state == "done" and info is not None:
            self._learn(GenerationInfo.from_dict(info))

    def _engine(self) -> str:
        try:
            return self._studio.choose_engine("auto")[0]
        except TalkingHeadError:
            return ""

    def _learn(self, info: GenerationInfo) -> None:
        if info.cache_hit or info.audio_s < _LEAST_S:
            return
        pixels = info.width * info.height
        rtf = (info.wall_s - info.register_ms / 1000) / info.audio_s * max(1.0, SHARP_PX**2 / pixels)
        if pixels > SHARP_PX**2 and rtf >= FAST_RTF:
            return  # a larger one that is slow says nothing of smaller ones
        with self._lock:
            before = self._rtf.get(info.engine)
            self._rtf[info.engine] = rtf if before is None else min(before, rtf)  # others may have been at work beside it
            if before is not None and rtf >= before:
                return
            values = json.dumps(self._rtf)
        with contextlib.suppress(TalkingHeadError, OSError):  # it is found out again
            self._cache.write_into(self._cache.make_subfolder(_SUBFOLDER) / _FILE, values.encode())

    def _read(self) -> dict[str, float]:
        try:
            values = json.loads((self._cache.subfolder(_SUBFOLDER) / _FILE).read_bytes())
            return {str(name): float(value) for name, value in values.items()}
        except (TalkingHeadError, OSError, ValueError, AttributeError, TypeError):
            return {}
