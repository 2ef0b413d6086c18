"""Reads a recording: mono float32 samples at 16 kHz for the engine, and its original bytes for the finished video.

from core.media.audio import load_audio
audio = load_audio("speech.mp3", Settings())
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import AudioError
from core.media.decode import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, Block, SoundDecoder
from core.media.files import FileKind
from core.media.formats import SOUND_FORMATS
from core.media.sound_quality import ClipMeter, describe
from core.notices import notice
from core.settings import Settings
from core.types import SAMPLE_RATE_HZ, Audio, Samples

AudioSource = str | Path | bytes | tuple[int, NDArray[Any]]

_FILE = FileKind("recording", SOUND_FORMATS, "shorten it, or save it as MP3", AudioError)
_MAX_PEAK = 8.0
"""Float samples beyond this are not sound at a wrong level but numbers on another scale."""


def load_audio(source: AudioSource, settings: Settings) -> Audio:
    """Decodes one recording.

    source: a file, the bytes of one, or (rate in Hz, samples) with samples (n,) or (n, channels) of an integer or float type
    (integers over their type's range, floats -1..1).
    Raises AudioError when there is no usable sound, or a limit of `settings` is passed: bytes are checked before reading,
    the duration while decoding, which stops at the limit.
    What is usable but poor (cut off, clipped, quiet, noisy) is used and told in `Audio.warnings`.
    """
    if isinstance(source, tuple):
        original, name = _array_to_wav(*source, settings), "The recording"
    elif isinstance(source, bytes):
        original, name = source, "The recording"
        _FILE.check_bytes(len(original), name, settings.max_audio_bytes)
    else:
        original, name = _FILE.read(Path(source), settings.max_audio_bytes), Path(source).name
    samples, decoder, clipped = _decode(original, name, settings)
    warnings = []
    promised_s = decoder.declared_s or 0.0
    duration_s = len(samples) / SAMPLE_RATE_HZ
    if decoder.damaged or duration_s < 0.9 * promised_s - 0.1:
        used = f"{duration_s:.1f}"
        if promised_s > duration_s:
            warnings.append(notice("sound_cut_short", used=used, total=f"{promised_s:.1f}"))
        else:
            warnings.append(notice("sound_cut_off", used=used))
    warnings += describe(samples, clipped)
    return Audio(samples, original, decoder.rate_hz, decoder.channels, tuple(warnings))


def _decode(data: bytes, name: str, settings: Settings) -> tuple[Samples, SoundDecoder, float]:
    """(mono samples at 16 kHz, the exhausted decoder, share of clipped samples)."""
    samples, decoder, clipped, energies = _decode_mixed(data, name, settings, None)
    loudest = max(energies[:-1])
    if len(energies) > 2 and energies[-1] < 0.01 * loudest:
        # The channels cancel: one was recorded with its polarity turned. The louder one alone is what was said.
        samples, decoder, clipped, _ = _decode_mixed(data, name, settings, energies.index(loudest))
    return samples, decoder, clipped


def _decode_mixed(data: bytes, name: str, settings: Settings, pick: int | None) -> tuple[Samples, SoundDecoder, float, list[float]]:
    """As _decode, hearing the mean of the channels or only channel `pick`; also the energy of each channel and of the mean."""
    meter = ClipMeter()
    energies: list[float] = []
    pieces: list[Samples] = []
    resampler: soxr.ResampleStream | None = None
    n = 0
    with SoundDecoder(data, name) as decoder:
        for block in decoder:
            rate_hz = decoder.rate_hz
            _check_block(block, n / rate_hz, name)
            n += block.shape[1]
            if n > settings.max_audio_s * rate_hz:
                hint = f"At most {settings.max_audio_s:g} s are accepted: shorten it."
                raise AudioError(
                    f"{name} is longer than {settings.max_audio_s:g} s.",
                    hint,
                    code="recording_too_long",
                    parameters={"name": name, "limit_s": f"{settings.max_audio_s:g}"},
                )
            meter.add(block)
            mono = (block[0] + block[1]) * np.float32(0.5) if len(block) == 2 else block[0]
            parts = [*block, mono]
            now = [float(np.dot(part, part)) for part in parts]
            energies = [a + b for a, b in zip(energies, now, strict=True)] if energies else now
            if pick is not None:
                mono = block[pick]
            if rate_hz != SAMPLE_RATE_HZ:
                resampler = resampler or soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
                mono = resampler.resample_chunk(mono)
            pieces.append(mono)
    if n == 0:
        raise AudioError(f"{name} holds no sound (0 samples).", "Record it again.", code="recording_empty", parameters={"name": name})
    if n < settings.min_audio_s * decoder.rate_hz:
        hint = f"It must last at least {settings.min_audio_s * 1000:g} ms."
        text, least_ms = f"{name} lasts only {1000 * n / decoder.rate_hz:.3g} ms.", f"{settings.min_audio_s * 1000:g}"
        raise AudioError(text, hint, code="recording_too_short", parameters={"name": name, "least_ms": least_ms})
    if resampler is not None:
        pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.concatenate(pieces)
    peak = float(np.abs(samples).max())
    if peak > 1.0:  # float files and resampling overshoot; the engine is promised -1..1
        samples *= np.float32(1.0 / peak)
    return samples, decoder, meter.share, energies


def _check_block(block: Block, start_s: float, name: str) -> None:
    """Raises AudioError for samples that are no numbers, or far off the scale."""
    peak = float(np.abs(block).max())  # NaN and infinity come through
    if not np.isfinite(peak):
        text = f"{name} holds NaN or infinite samples (near {start_s:.1f} s)."
        raise AudioError(text, "Export it again.", code="recording_bad_format", parameters={"name": name})
    if peak > _MAX_PEAK:
        raise AudioError(
            f"{name} holds samples of {peak:.4g}.",
            "Float samples must lie between -1 and 1.",
            code="recording_bad_format",
            parameters={"name": name},
        )


def _array_to_wav(rate_hz: int, samples: NDArray[Any], settings: Settings) -> bytes:
    """An array as the bytes of a 32-bit float WAV file, so that one path decodes everything and the mux keeps every channel."""
    name = "The recording"
    if not isinstance(rate_hz, (int, np.integer)) or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"The sampling rate is {rate_hz}.", f"It must be a whole number of Hz from {MIN_RATE_HZ} to {MAX_RATE_HZ}.")
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or (array.shape[0] and not 1 <= array.shape[1] <= MAX_CHANNELS):
        hint = f"It must be (n,) or (n, channels) with at most {MAX_CHANNELS} channels."
        raise AudioError(f"The array of samples has the shape {np.shape(samples)}.", hint)
    if array.size == 0:
        raise AudioError(f"{name} holds no sound (0 samples).", "Record it again.", code="recording_empty", parameters={"name": name})
    if len(array) > settings.max_audio_s * rate_hz:
        hint = f"At most {settings.max_audio_s:g} s are accepted: shorten it."
        raise AudioError(
            f"{name} is longer than {settings.max_audio_s:g} s.",
            hint,
            code="recording_too_long",
            parameters={"name": name, "limit_s": f"{settings.max_audio_s:g}"},
        )
    _FILE.check_bytes(array.nbytes, name, settings.max_audio_bytes)
    payload = _array_to_float(array).astype("<f4").tobytes()
    channels = array.shape[1]
    header = struct.pack("<HHIIHH", 3, channels, rate_hz, rate_hz * channels * 4, channels * 4, 32)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _array_to_float(array: NDArray[Any]) -> NDArray[np.floating[Any]]:
    kind = array.dtype.kind
    if kind == "f":
        return array
    if kind not in "iu":
        raise AudioError(f"The samples are of type {array.dtype}.", "They must be integers or floats.")
    bits = 8 * array.dtype.itemsize
    values = array.astype(np.float64)
    if kind == "u":
        return (values - 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)
    if bits == 64:
        # numpy's default integer, hardly ever a scale: sound in it is 16-bit or 32-bit sound that was widened.
        bits = 16 if np.abs(values).max() <= 2**15 else 32
    return values / 2.0 ** (bits - 1)
