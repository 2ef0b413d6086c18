"""Ditto's published calling sequence over this project's engine, for scripts that were written against it.

Put `compat/` on the Python path; `from stream_pipeline_offline import StreamSDK` (or `..._online`) then works as before:

    sdk = StreamSDK(cfg_pkl, data_root)
    sdk.setup(source_path, output_path, **setup_kwargs)
    sdk.setup_Nd(N_d=frames, fade_in=-1, fade_out=-1, ctrl_info={})
    sdk.audio2motion_queue.put(sdk.wav2feat.wav2feat(samples))        # offline, or
    sdk.run_chunk(samples_of_one_window, (3, 5, 2))                   # online, again and again
    sdk.close()                                                       # sdk.tmp_output_path is written; the script adds the sound

Different from the published code on purpose: exactly one frame per 40 ms, an error is raised by the next call and not only by `close`,
unknown options are errors, and nothing is written where something failed.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # scripts have only this folder on their path
    sys.path.append(str(ROOT))

from core.atomic_components.source_options import SourceOptions  # noqa: E402
from core.atomic_components.wav2feat import CURRENT, FeatureOptions, Wav2Feat  # noqa: E402
from core.engines.ditto import DittoEngine, DittoRegistered  # noqa: E402
from core.engines.ditto_options import source_options  # noqa: E402
from core.errors import OptionError  # noqa: E402
from core.media.audio import load_audio  # noqa: E402
from core.media.encoders import SoundEncoder  # noqa: E402
from core.media.sound_track import SoundTrack  # noqa: E402
from core.media.source import load_source  # noqa: E402
from core.media.video import VideoWriter  # noqa: E402
from core.options import read_options  # noqa: E402
from core.settings import load_settings  # noqa: E402
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Photo  # noqa: E402
from manager.published_folder import published_checkpoints  # noqa: E402

Array = NDArray[np.float32]
QUEUED = 100


class Wav2FeatWrapper:
    """`sdk.wav2feat`."""

    def __init__(self, encode: Any) -> None:
        self._encode = encode

    def wav2feat(
        self, audio: Array, sr: int = SAMPLE_RATE_HZ, norm_mean_std: Any = None, chunksize: tuple[int, int, int] = (3, 5, 2)
    ) -> Array:
        """(n,) samples -> (ceil(n / 640), 1024): a whole recording at once."""
        if sr != SAMPLE_RATE_HZ:
            import soxr

            audio = soxr.resample(audio, sr, SAMPLE_RATE_HZ)
        if norm_mean_std is not None or tuple(chunksize) != (3, 5, 2):
            raise OptionError("wav2feat is asked for another norm or chunksize than the published ones.", "Leave them out.")
        features = Wav2Feat(self._encode, FeatureOptions.of(online_mode=False))
        return np.concatenate([*features.push(np.asarray(audio, np.float32)), *features.flush()])

    def wav2feat_chunk(self, window: Array, chunksize: tuple[int, int, int]) -> Array:
        """One window of (past, current, ahead) frames and 80 samples -> (current, 1024)."""
        _, current, ahead = chunksize
        rows = self._encode(np.asarray(window, np.float32)[None])
        rows = rows[-2 * (current + ahead) : -2 * ahead if ahead else None]
        return rows.reshape(current, 2, -1).mean(axis=1)


class StreamSDK:
    """One video at a time. Not thread-safe; may be set up again after `close`."""

    def __init__(self, cfg_pkl: str | Path, data_root: str | Path, device: str | None = None, detector: str = "mediapipe") -> None:
        paths = published_checkpoints(Path(data_root), Path(cfg_pkl))
        self.engine = DittoEngine(paths, device, detector=detector)  # type: ignore[arg-type]
        self.wav2feat = Wav2FeatWrapper(self.engine.speech_encoder())
        self.audio2motion_queue: queue.Queue[Any] = queue.Queue(QUEUED)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def setup(self, source_path: str | Path, output_path: str | Path, **kwargs: Any) -> None:
        """Registers the source. kwargs: options of the published `setup`; None of them is kept for the next one."""
        self._abandon()
        given = {name: value for name, value in kwargs.items() if name != "size"}
        options = read_options({"size": "source", **given})
        source = load_source(source_path, load_settings())
        self.engine.verify(source, options.framing, options.controls, options.render)
        found = source_options(options.framing, self.engine.defaults)
        exact = {field: getattr(found, field) for field in SourceOptions.__dataclass_fields__}
        n_frames = given.get("N_d", self.engine.defaults.N_d)  # checked by `verify`
        if found.template_n_frames <= 0 < n_frames:
            exact["template_n_frames"] = n_frames  # as published
        exact["keep_detail"] = False
        frames = source.pixels if isinstance(source, Photo) else source.frames(fps=None)  # type: ignore[call-arg]  # a Clip's own frames
        registered = self.engine._registrar.register(frames, SourceOptions(**exact), options.framing.face_index)
        self._registered = DittoRegistered(registered, ())
        self._given = given
        self.online_mode = bool(given.get("online_mode", self.engine.defaults.online_mode))
        self.output_path = str(output_path)
        self.tmp_output_path = f"{output_path}.tmp.mp4"
        self._n_frames = n_frames
        self.audio2motion_queue = queue.Queue(QUEUED)

    def setup_Nd(self, N_d: int, fade_in: int = -1, fade_out: int = -1, ctrl_info: Any = None) -> None:  # noqa: N802, N803 - published names
        """The length, fades and controls of the utterance, before its audio."""
        self._n_frames = N_d
        fade_type = self._given.get("fade_type", self.engine.defaults.fade_type)
        # As published, fades do nothing where nothing says what to fade to; the engine itself refuses such a request.
        fades = {"fade_type": fade_type, "fade_in": fade_in, "fade_out": fade_out} if fade_type else {}
        self._given = {**self._given, "N_d": N_d, **fades, **({"ctrl_info": ctrl_info} if ctrl_info else {})}
        self._start()

    def run_chunk(self, audio_chunk: Array, chunksize: tuple[int, int, int] = (3, 5, 2)) -> None:
        """Hears one window; windows overlap, each brings `chunksize[1]` new frames."""
        self._start()
        self._put(self.wav2feat.wav2feat_chunk(audio_chunk, chunksize))

    def close(self) -> None:
        """Waits for the last frame and finishes the file. Raises what went wrong on the way."""
        if self._thread is None and hasattr(self, "_given"):
            self._start()
        if self._thread is not None:
            with contextlib.suppress(BaseException):
                self._put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _start(self) -> None:
        if self._thread is None:
            options = read_options({"size": "source", **self._given})
            session = self.engine.session(self._registered, options.controls, options.render)
            self._error = None
            self._thread = threading.Thread(target=self._work, args=(session,), name="stream-sdk", daemon=True)
            self._thread.start()

    def _put(self, features: Array | None) -> None:
        while True:
            if self._error is not None:
                raise self._error
            with contextlib.suppress(queue.Full):
                self.audio2motion_queue.put(features, timeout=0.2)
                return

    def _work(self, session: Any) -> None:
        try:
            quiet = load_audio((SAMPLE_RATE_HZ, np.zeros(SAMPLES_PER_FRAME, np.float32)), load_settings())
            with VideoWriter(Path(self.tmp_output_path), session.width, session.height, quiet) as writer:
                for frame in self._frames(session):
                    if self._n_frames < 0 or writer.n_frames < self._n_frames:
                        writer.write(frame)
        except BaseException as error:  # the caller's next call raises it
            self._error = error

    def _frames(self, session: Any) -> Iterator[NDArray[np.uint8]]:
        while (features := self.audio2motion_queue.get()) is not None:
            yield from session.push_features(features)
        yield from session.flush()

    def _abandon(self) -> None:
        if self._thread is not None:
            with contextlib.suppress(BaseException):
                self.close()


def run(
    SDK: StreamSDK,  # noqa: N803 - published name
    audio_path: str | Path,
    source_path: str | Path,
    output_path: str | Path,
    more_kwargs: Mapping[str, Any] | str | Path | None = None,
) -> Path:
    """The published script's `run`: one recording and one source become `output_path`, with its sound.

    more_kwargs: {"setup_kwargs": ..., "run_kwargs": {"fade_in", "fade_out", "ctrl_info", "chunksize"}}, or a pickle of plain values.
    """
    if isinstance(more_kwargs, str | Path):
        from core.models.plain_pickle import unpickle_plain

        more_kwargs = unpickle_plain(Path(more_kwargs).read_bytes())
    more = more_kwargs or {}
    run_kwargs = more.get("run_kwargs", {})
    audio = load_audio(Path(audio_path), load_settings())
    SDK.setup(source_path, output_path, **more.get("setup_kwargs", {}))
    SDK.setup_Nd(math.ceil(audio.samples.size / SAMPLES_PER_FRAME), **{k: v for k, v in run_kwargs.items() if k != "chunksize"})
    if SDK.online_mode:
        past, current, ahead = run_kwargs.get("chunksize", (3, CURRENT, 2))
        window = (past + current + ahead) * SAMPLES_PER_FRAME + 80
        samples = np.concatenate([np.zeros(past * SAMPLES_PER_FRAME, np.float32), audio.samples])
        for start in range(0, len(samples), current * SAMPLES_PER_FRAME):
            chunk = samples[start : start + window]
            SDK.run_chunk(np.pad(chunk, (0, window - len(chunk))), (past, current, ahead))
    else:
        SDK.audio2motion_queue.put(SDK.wav2feat.wav2feat(audio.samples))
    SDK.close()
    with_sound(Path(SDK.tmp_output_path), audio, Path(output_path))
    return Path(output_path)


def with_sound(pictures: Path, audio: Any, output: Path) -> None:
    """The pictures of `pictures`, as they are encoded, with the sound of `audio`; `pictures` is removed."""
    part = output.with_name(f".{output.name}.part")
    track = SoundTrack(audio)
    try:
        # use_metadata_tags: keys of our own survive, not only those iTunes knows.
        with (
            av.open(str(pictures)) as made,
            av.open(str(part), "w", format="mp4", container_options={"movflags": "+faststart+use_metadata_tags"}) as container,
            contextlib.closing(track),
        ):
            container.metadata.update(made.metadata)
            video = container.add_stream_from_template(made.streams.video[0])
            stream: Any = container.add_stream("aac", rate=track.rate_hz, layout="mono" if track.channels == 1 else "stereo")
            sound = SoundEncoder(stream.codec_context, track.rate_hz, track.channels)

            def hear(packets: list[av.Packet]) -> None:
                for packet in packets:
                    packet.stream = stream
                container.mux(packets)

            n_frames = 0
            for packet in made.demux(made.streams.video[0]):
                if packet.dts is not None:  # the last one, which is empty, has none
                    packet.stream = video
                    container.mux(packet)
                    n_frames += 1
                    hear(sound.encode(track.read_to(n_frames)))
            hear(sound.encode(track.silence_to(n_frames)))
            hear(sound.finish())
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    pictures.unlink()
