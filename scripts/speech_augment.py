"""Augments clean synthetic speech with voices, rooms, microphones and codecs; the times of the phones stay exact."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from core.lite.phones import Segment
from scripts.speech_corpus import RATE, Utterance

F32 = NDArray[np.float32]
Rng = np.random.Generator


def augment(speech: Utterance, rng: Rng, others: Sequence[F32]) -> Utterance:
    """One random version of `speech`. others: recordings of other speech, for babble."""
    x, segments = _tract(speech, rng)
    x, segments = _pauses(x, segments, rng)
    x = x * (0.05 / (rms(x) + 1e-6))
    if rng.random() < 0.25:
        x = _swell(x, rng)
    if rng.random() < 0.2:
        x = _breathy(x, rng)
    if rng.random() < 0.45:
        x = _room(x, rng)
    if rng.random() < 0.7:
        x = _equalise(x, rng)
    if rng.random() < 0.65:
        x = x + noise(len(x), rng, others) * rms(x) * 10 ** (-float(rng.uniform(6, 38)) / 20)
    if rng.random() < 0.1:
        x = _band(x, *((300, 3400) if rng.random() < 0.6 else (60, float(rng.uniform(3500, 6500)))))
    if rng.random() < 0.2:
        drive = float(rng.uniform(1.5, 6)) / (np.abs(x).max() + 1e-6)
        x = np.tanh(x * drive) / drive  # the soft clipping of a compressor or an overdriven microphone
    x = x * (10 ** (float(rng.uniform(-46, -12)) / 20) / (rms(x) + 1e-6))
    if rng.random() < 0.12:
        x = codec(np.clip(x, -1, 1), str(rng.choice(["mp3", "opus", "aac"])), int(rng.choice([16, 24, 32, 48])))
    return Utterance(np.clip(x, -1, 1).astype(np.float32), segments)


def silence(rng: Rng, others: Sequence[F32]) -> Utterance:
    """Some seconds of everything that is not speech: noise floors, breaths, hums, taps, music, digital zero."""
    n = int(RATE * rng.uniform(2, 5))
    x = np.zeros(n)
    if rng.random() < 0.85:
        x += noise(n, rng, ()) * 10 ** (float(rng.uniform(-75, -22)) / 20)
    for _ in range(int(rng.integers(0, 4))):
        sound = (breath if rng.random() < 0.6 else tap)(rng) * 10 ** (float(rng.uniform(-50, -22)) / 20)
        at = int(rng.integers(0, n - min(len(sound), n - 1)))
        x[at : at + len(sound)] += sound[: n - at]
    return Utterance(np.clip(x, -1, 1).astype(np.float32), [("_", 0.0, n / RATE)])


def rms(x: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _tract(speech: Utterance, rng: Rng) -> tuple[NDArray[np.float64], list[Segment]]:
    """A longer or shorter vocal tract: resampling moves formants, pitch and tempo together; the voices vary pitch and tempo themselves."""
    factor = float(np.clip(np.exp(rng.normal(0, 0.1)), 0.8, 1.25))
    x = soxr.resample(speech.samples, RATE, RATE / factor)
    return x.astype(np.float64), [(p, s / factor, e / factor) for p, s, e in speech.segments]


def _pauses(x: NDArray[np.float64], segments: list[Segment], rng: Rng) -> tuple[NDArray[np.float64], list[Segment]]:
    """Silence before and after, sometimes with a breath or a tap in it."""
    def gap() -> NDArray[np.float64]:
        quiet = np.zeros(int(RATE * rng.choice([rng.uniform(0.0, 0.2), rng.uniform(0.2, 1.0)])))
        if rng.random() < 0.4 and len(quiet) > 4000:
            sound = (breath if rng.random() < 0.7 else tap)(rng) * 10 ** (float(rng.uniform(-45, -22)) / 20)
            sound = sound[: len(quiet) - 1600]
            at = int(rng.integers(0, len(quiet) - len(sound)))
            quiet[at : at + len(sound)] += sound
        return quiet

    before, after = gap(), gap()
    shift, end = len(before) / RATE, (len(before) + len(x)) / RATE
    moved = [(p, s + shift, e + shift) for p, s, e in segments]
    tiled = [("_", 0.0, shift), *moved, ("_", end, end + len(after) / RATE)]
    joined: list[Segment] = []
    for p, s, e in tiled:
        if joined and p == joined[-1][0] == "_":
            joined[-1] = ("_", joined[-1][1], e)
        elif e > s:
            joined.append((p, s, e))
    return np.concatenate((before, x, after)), joined


def _swell(x: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """Loudness that wanders by some dB within a second or two, as people's does."""
    knots = rng.normal(0, 4, len(x) // RATE + 3)
    return x * 10 ** (np.interp(np.arange(len(x)) / RATE, np.arange(len(knots)), knots) / 20)


def _breathy(x: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """A hoarse or whispering voice: part of the sound keeps its spectrum and loses its phases, so that the buzz turns to breath."""
    size, hop = 512, 128
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(x, (size, 2 * size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    spectrum = np.abs(np.fft.rfft(frames, axis=1)) * np.exp(2j * np.pi * rng.random((len(frames), size // 2 + 1)))
    pieces = np.fft.irfft(spectrum, axis=1) * window
    y = np.zeros(len(frames) * hop + size)
    for k in range(size // hop):  # overlapping pieces, a quarter of a window at a time
        y[k * hop : k * hop + len(frames) * hop] += pieces[:, k * hop : (k + 1) * hop].ravel()
    y = y[size : size + len(x)]
    share = float(rng.uniform(0.2, 1.0))
    return x * np.sqrt(1 - share) + y * (rms(x) / (rms(y) + 1e-9)) * np.sqrt(share)


def fft_filter(x: NDArray[np.float64], gain: NDArray[np.float64], hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero-phase filter with the gain given at hz (interpolated)."""
    n = 1 << int(np.ceil(np.log2(len(x) + 2048)))
    return np.fft.irfft(np.fft.rfft(x, n) * np.interp(np.fft.rfftfreq(n, 1 / RATE), hz, gain), n)[: len(x)]


def _equalise(x: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    hz = np.geomspace(50, 8000, 60)
    octaves = np.log2(hz / 1000)
    db = rng.normal(0, 2) * octaves
    for _ in range(int(rng.integers(0, 4))):
        db = db + rng.normal(0, 6) * np.exp(-(((octaves - rng.uniform(-3.5, 3)) / rng.uniform(0.3, 1.2)) ** 2))
    return fft_filter(x, 10 ** (np.clip(db, -25, 25) / 20), hz)


def _band(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return fft_filter(x, np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), np.array([0, low * 0.7, low, high, high * 1.15, 8000]))


def _room(x: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """A synthetic room: direct sound, a few early reflections, an exponential tail coloured towards the lows."""
    t60 = float(rng.uniform(0.12, 0.8))
    n = int(RATE * t60)
    t = np.arange(n) / RATE
    tail = rng.normal(size=n) * 10 ** (-3 * t / t60)
    tail = np.convolve(tail, np.ones(3) / 3, "same")
    tail[: int(0.004 * RATE)] = 0
    for _ in range(int(rng.integers(2, 7))):
        tail[int(rng.uniform(0.002, min(0.03, t60 / 2)) * RATE)] += rng.normal(0, 6)
    response = tail / np.sqrt(np.sum(tail**2)) * 10 ** (-float(rng.uniform(-1, 16)) / 20)
    response[0] += 1.0
    size = 1 << int(np.ceil(np.log2(len(x) + n)))
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[: len(x)]


def noise(n: int, rng: Rng, others: Sequence[F32]) -> NDArray[np.float64]:
    """n samples of unit-power noise: white to brown, hum, babble of `others`, or music-like chords; its level wanders."""
    kind = rng.random()
    if kind < 0.5 or (kind < 0.75 and not others):
        size = n + n % 2
        spectrum = np.fft.rfft(rng.normal(size=size))
        hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 30)
        x = np.fft.irfft(spectrum * hz ** -float(rng.uniform(0, 1)), size)[:n]
    elif kind < 0.75:
        x = np.zeros(n)
        for _ in range(int(rng.integers(4, 9))):
            other = others[int(rng.integers(len(others)))]
            x += np.roll(np.resize(other, n), int(rng.integers(n))) / (rms(other) + 1e-6)
    elif kind < 0.83:
        t = np.arange(n) / RATE
        x = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * k * (50 if rng.random() < 0.5 else 60) * t) for k in range(1, 12))
        x = x + 0.1 * rng.normal(size=n)
    else:
        x = _music(n, rng)
    if rng.random() < 0.4:
        x = _swell(x, rng)
    return np.asarray(x / (rms(x) + 1e-9))


def _music(n: int, rng: Rng) -> NDArray[np.float64]:
    x = np.zeros(n)
    beat = int(RATE * rng.uniform(0.2, 0.6))
    for start in range(0, n, beat):
        m = min(beat * 2, n - start)
        t = np.arange(m) / RATE
        for _ in range(3):
            f = 110 * 2 ** (int(rng.integers(0, 36)) / 12)
            decay = np.exp(-t * rng.uniform(1, 8)) * np.minimum(t / 0.01, 1)
            partials = [k for k in range(1, 6) if f * k < 7000]
            x[start : start + m] += decay * sum(np.sin(2 * np.pi * f * k * t) / k ** rng.uniform(0.7, 2) for k in partials)
        if rng.random() < 0.5:
            m = min(1600, n - start)
            x[start : start + m] += 2 * rng.normal(size=m) * np.exp(-np.arange(m) / 300)
    return x


def breath(rng: Rng) -> NDArray[np.float64]:
    """An in- or out-breath: soft noise that swells and fades, peak about 1."""
    n = int(RATE * rng.uniform(0.2, 0.7))
    x = fft_filter(rng.normal(size=n), rng.uniform(0.05, 1, 9), np.array([0, 300, 700, 1200, 1800, 2600, 3600, 5000, 8000]))
    x *= np.sin(np.pi * np.linspace(0, 1, n) ** rng.uniform(0.6, 1.6)) ** 2
    return np.asarray(x / np.abs(x).max())


def tap(rng: Rng) -> NDArray[np.float64]:
    """A click, a knock, a key: short, decaying, peak about 1."""
    n = int(RATE * rng.uniform(0.02, 0.15))
    t = np.arange(n) / RATE
    x = rng.normal(size=n) * rng.uniform(0, 1) + np.sin(2 * np.pi * rng.uniform(80, 3000) * t) * rng.uniform(0, 1)
    x *= np.exp(-t * rng.uniform(40, 300))
    return np.asarray(x / np.abs(x).max())


def codec(x: NDArray[np.float64], name: str, kbit: int) -> NDArray[np.float64]:
    """Through ffmpeg and back, same length. Streamed through pipes mp3 and aac keep their encoder's delay, so it is cut off here."""
    delay = {"mp3": 1105, "opus": 0, "aac": 1024}[name]
    container, encoder = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "aac": ("mp4", "aac")}[name]
    raw = ["-f", "f32le", "-ar", str(RATE), "-ac", "1"]
    out = ["-movflags", "frag_keyframe+empty_moov"] if container == "mp4" else []
    base = ["ffmpeg", "-v", "error", "-hide_banner"]
    packed = subprocess.run(
        [*base, *raw, "-i", "pipe:0", "-c:a", encoder, "-b:a", f"{kbit}k", *out, "-f", container, "pipe:1"],
        input=np.pad(x, (0, 2400)).astype(np.float32).tobytes(), capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    back = subprocess.run([*base, "-i", "pipe:0", *raw, "pipe:1"], input=packed, capture_output=True, check=True, timeout=60).stdout
    y = np.frombuffer(back, np.float32)[delay:].astype(np.float64)
    return np.pad(y, (0, max(len(x) - len(y), 0)))[: len(x)]
