"""Draws and encodes a live session in this process, with an engine's session."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.engines.base import Session
from core.generation_run import Turn
from core.media.encoders import as_picture
from core.media.fragmented_mp4 import FragmentedMp4
from core.media.jpeg import as_jpeg
from core.media.label import Label
from core.media.live_packets import LivePackets
from core.media.segments import Segment, StreamPlace
from core.option_checks import check_moving_controls
from core.request import Controls, RenderOptions
from core.run_request import PreparedRun
from core.streaming.live_renderer import LiveRenderer, RendererFacts
from core.streaming.load import FrameMeter
from core.streaming.outputs import LiveOptions
from core.types import Frame, Phone, Samples


class EngineRenderer(LiveRenderer):
    """prepared, session, render: engine and person, a new session of theirs, and the options it was made with. turn: gives a turn on the
    device. meter: told what is done within one. place, metadata: of a stream that another renderer began; None: it begins.
    """

    def __init__(
        self, prepared: PreparedRun, session: Session, render: RenderOptions, turn: Turn, options: LiveOptions, meter: FrameMeter,
        place: StreamPlace | None = None, metadata: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._prepared, self._session, self._render, self._turn, self._meter = prepared, session, render, turn, meter
        width, height = session.width, session.height
        metadata = prepared.metadata() if metadata is None else metadata
        self._label = Label(width, height) if render.label else None
        self._mark = prepared.loaded.marker.mark(width, height) if render.mark else None
        self._video = FragmentedMp4(width, height, options.sound_rate_hz, 1, metadata, render.crf, place=place)
        self._packets = LivePackets(width, height, render.crf) if options.output == "packets" else None
        self.facts = RendererFacts(
            width, height, session.look_ahead_samples, [*prepared.warnings, *session.warnings], prepared.engine.name, metadata,
            self._video.mime_type, self._video.initialisation(),
        )  # fmt: skip

    def check_controls(self, controls: Controls) -> None:
        engine = self._prepared.engine
        engine.verify_controls(controls, self._render)
        check_moving_controls(self._prepared.loaded.request.source, controls, engine.photo_only, engine.name)

    def set_controls(self, controls: Controls) -> bool:
        return self._session.set_controls(controls)

    def renew(self, controls: Controls) -> None:
        """An engine that cannot change a session gets another one."""
        self._session.close()
        self._session = self._prepared.engine.session(self._prepared.registration, controls, self._render)

    @contextmanager
    def in_time(self, due_in_s: float) -> Iterator[None]:
        """A turn on the device that is due when the frame is."""
        with self._turn(time.monotonic() + due_in_s), self._meter.in_turn():
            yield

    def expect(self, phones: Sequence[Phone]) -> None:
        self._session.expect(phones)

    def push(self, samples: Samples) -> Iterator[Frame]:
        return map(self._finished, self._session.push(samples))

    def flush(self) -> Iterator[Frame]:
        return map(self._finished, self._session.flush())

    def idle(self, n_frames: int) -> Iterator[Frame]:
        return map(self._finished, self._session.idle(n_frames))

    def interrupt(self) -> None:
        self._session.interrupt()

    def close(self) -> None:
        self._session.close()

    def picture(self, shown: Frame) -> Frame:
        return shown

    def jpeg(self, shown: Frame) -> bytes:
        return as_jpeg(shown)

    def segment(self, frames: Sequence[tuple[Frame, Samples]], key: bool, final: bool = False) -> Segment:
        for _, sound in frames:  # each encoder at one go: it finds its tables in the processor's caches then
            self._video.add_sound(sound[None])
        for i, (frame, _) in enumerate(frames):
            self._video.add_frame(as_picture(frame), keyframe=key and i == 0)
        return self._video.cut(final=final)

    def packet(self, shown: Frame, sound: Samples, key: bool) -> tuple[bytes, bytes]:
        if self._packets is None:
            raise TypeError("a session of packets is made with LiveOptions(output='packets')")
        return self._packets.encode(as_picture(shown), sound[None], key)

    def _finished(self, frame: Frame) -> Frame:
        if self._label is not None:
            self._label.draw(frame)
        if self._mark is not None:
            self._mark.draw(frame)
        return frame
