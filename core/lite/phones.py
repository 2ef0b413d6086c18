"""The table of mouth shapes for each phone, and the curves that blend one shape into the next.

The table is keyed by IPA symbols, which espeak-ng speaks (phoneme events in IPA); flite's ARPAbet is mapped onto it. It was written
from phonetics textbooks' common ground (vowel height and rounding, place of articulation), before anything was trained or measured.

aperture  0 lips closed, 1 open as for a stressed /a/ (inner lip distance)
spread    -1 fully rounded (/u w/), 0 neutral, +1 spread (/i s/)
tuck      0..1 lower lip under the upper teeth (/f v/)
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUPS = (
    "silence", "p", "b", "m", "labiodental", "w", "dental", "t", "d", "n", "s", "l", "r", "sh", "k", "g", "ng", "h", "j",
    "a", "ae", "e", "i", "o", "u", "y", "schwa",
)  # fmt: skip
"""Classes of the network's phone head; kinds of phones in a phones file."""
BILABIAL = ("p", "b", "m")
ROUND = ("u", "o", "w")
SPREAD = ("i", "e", "s")
Segment = tuple[str, float, float]
"""(phone, start_s, end_s); phone is a group's member in IPA, "" or "pau" for silence."""


@dataclass(frozen=True)
class Target:
    """aperture, spread and tuck as above; hold_*: how firmly the phone keeps its target against its neighbours, 0..1."""

    group: str
    aperture: float
    hold_aperture: float
    spread: float
    hold_spread: float
    tuck: float = 0.0


def _rows(group: str, symbols: str, *values: float) -> dict[str, Target]:
    return {symbol: Target(group, *values) for symbol in symbols.split()}


TABLE: dict[str, Target] = {
    # consonants: group, symbols, aperture, its hold, spread, its hold, tuck
    **_rows("p", "p ɸ", 0.0, 1.0, 0.0, 0.15),
    **_rows("b", "b ɓ ʙ", 0.0, 1.0, 0.0, 0.15),
    **_rows("m", "m", 0.0, 1.0, 0.0, 0.15),
    **_rows("w", "β", 0.15, 0.8, -0.2, 0.3),
    **_rows("labiodental", "f v ɱ ⱱ", 0.18, 0.9, 0.1, 0.4, 1.0),
    **_rows("labiodental", "ʋ", 0.2, 0.8, 0.0, 0.3, 0.6),
    **_rows("w", "w ʍ", 0.18, 0.9, -1.0, 1.0),
    **_rows("w", "ɥ", 0.2, 0.8, -0.8, 0.9),
    **_rows("dental", "θ ð", 0.3, 0.6, 0.1, 0.3),
    **_rows("t", "t ʈ c ʔ ʡ", 0.3, 0.35, 0.15, 0.15),
    **_rows("d", "d ɖ ɟ ɗ ʄ", 0.3, 0.4, 0.15, 0.15),
    **_rows("n", "n ɳ ɲ", 0.3, 0.4, 0.15, 0.15),
    **_rows("s", "s z", 0.22, 0.6, 0.65, 0.6),
    **_rows("l", "l ɭ ʎ ʟ ɬ ɮ ɫ ɺ", 0.4, 0.4, 0.1, 0.2),
    **_rows("r", "ɹ ɻ", 0.3, 0.5, -0.35, 0.5),
    **_rows("r", "r ɾ ɽ ʀ", 0.35, 0.4, 0.0, 0.15),
    **_rows("sh", "ʃ ʒ ɧ", 0.3, 0.6, -0.5, 0.8),
    **_rows("sh", "ʂ ʐ", 0.28, 0.6, -0.3, 0.6),
    **_rows("sh", "ɕ ʑ ç ʝ", 0.26, 0.6, 0.3, 0.4),
    **_rows("k", "k q x χ", 0.4, 0.25, 0.0, 0.1),
    **_rows("g", "ɡ g ɢ ɠ ʛ ɣ ʁ ɰ", 0.4, 0.25, 0.0, 0.1),
    **_rows("ng", "ŋ ɴ", 0.38, 0.3, 0.0, 0.1),
    **_rows("h", "h ɦ ħ ʕ ʜ ʢ", 0.45, 0.15, 0.0, 0.05),
    **_rows("j", "j", 0.3, 0.4, 0.6, 0.5),
    # vowels
    **_rows("a", "a ɑ ɐ ä", 1.0, 0.7, 0.1, 0.4),
    **_rows("a", "ɒ", 0.85, 0.7, -0.3, 0.5),
    **_rows("a", "ʌ", 0.7, 0.6, 0.05, 0.3),
    **_rows("ae", "æ", 0.95, 0.7, 0.35, 0.4),
    **_rows("e", "ɛ", 0.7, 0.65, 0.45, 0.5),
    **_rows("e", "e", 0.55, 0.65, 0.65, 0.6),
    **_rows("i", "ɪ", 0.42, 0.55, 0.55, 0.5),
    **_rows("i", "i", 0.35, 0.6, 1.0, 0.8),
    **_rows("o", "ɔ", 0.65, 0.7, -0.55, 0.7),
    **_rows("o", "o", 0.45, 0.7, -0.8, 0.9),
    **_rows("u", "ʊ", 0.35, 0.6, -0.7, 0.7),
    **_rows("u", "u", 0.25, 0.7, -1.0, 1.0),
    **_rows("u", "ɯ ɨ ʉ", 0.32, 0.5, -0.1, 0.3),
    **_rows("y", "y ʏ", 0.25, 0.7, -0.8, 0.9),
    **_rows("y", "ø œ ɵ ɶ", 0.45, 0.65, -0.6, 0.8),
    **_rows("schwa", "ə ɘ ɤ", 0.45, 0.35, 0.0, 0.15),
    **_rows("schwa", "ɜ ɝ ɚ ɞ", 0.45, 0.5, -0.2, 0.4),
    **_rows("silence", "_", 0.0, 0.9, 0.0, 0.3),
}
VOWELS = frozenset("aæɑɐäɒʌɛeɪiɔoʊuɯɨʉyʏøœɵɶəɘɤɜɝɚɞ")
STOPS = frozenset(("p", "b", "t", "d", "k", "g"))
"""Groups whose closure precedes their sound."""

ARPABET = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "eh": "ɛ", "er": "ɝ", "ey": "eɪ", "ih": "ɪ", "iy": "i",
    "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u", "b": "b", "ch": "tʃ", "d": "d", "dh": "ð", "f": "f", "g": "ɡ", "hh": "h", "jh": "dʒ",
    "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "v": "v", "w": "w",
    "y": "j", "z": "z", "zh": "ʒ", "pau": "_", "axr": "ɚ", "el": "l", "em": "m", "en": "n", "ix": "ɪ", "dx": "ɾ", "ssil": "_",
}  # fmt: skip
"""flite's phones in IPA."""


_MARKS = {"ʷ": "w", "ʲ": "j"}


def symbols(phone: str) -> list[str]:
    """Splits one phone into the table's symbols: "tʃ" → ["t", "ʃ"], "eɪ" → ["e", "ɪ"]; length, tone and stress marks are dropped.

    An unknown or empty phone is silence. A labialised consonant ("kʷ") gains a /w/.
    """
    if phone in ("", "_", "pau") or phone.startswith("("):
        return ["_"]
    found = []
    for ch in unicodedata.normalize("NFD", phone):
        if ch in _MARKS:
            found += [_MARKS[ch]] if ch == "ʷ" or len(phone) == 1 else []
        elif ch in TABLE:
            found.append(ch)
    return found or ["ə"]


def expand(segments: Iterable[Segment]) -> list[Segment]:
    """Diphthongs, affricates and the like as their parts (60 % of the time for the first, the rest shared); others unchanged."""
    out: list[Segment] = []
    for phone, start, end in segments:
        parts = symbols(phone)
        if len(parts) == 1:
            out.append((parts[0], start, end))
            continue
        cut = start + 0.6 * (end - start)
        edges = [start, *np.linspace(cut, end, len(parts)).tolist()]
        out += [(part, edges[k], edges[k + 1]) for k, part in enumerate(parts)]
    return out


def closed_interval(start: float, end: float, group: str) -> tuple[float, float]:
    """When the lips touch for a bilabial: a stop opens at its burst, about three quarters in. At least 50 ms, so that a frame shows it."""
    lo, hi = (start + 0.1 * (end - start), start + 0.75 * (end - start)) if group in STOPS else (start, end)
    middle, half = (lo + hi) / 2, max((hi - lo) / 2, 0.025)
    return middle - half, middle + half


BEHIND_S = 0.4
"""A phone that is over for so long does not matter any more: its pull is exp(-10)."""
SHORT_PAUSE_S = 0.1
"""A silence shorter than this is part of the speech around it: the lips do not close for it."""


def _ramp(t: NDArray[np.float64], lo: float, hi: float, before: float, after: float) -> NDArray[np.float64]:
    """1 inside [lo, hi], raised-cosine flanks of `before` and `after` seconds outside."""
    distance = np.maximum(np.maximum((lo - t) / before, (t - hi) / after), 0.0)
    return np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1.0)), 0.0)


@dataclass(frozen=True)
class Shapes:
    """The mouth at n times, float64 (n,) each. aperture: 0..1.2, as if lips never met. apart: 0 where they meet for a bilabial, 1 where
    they do not; open: the same, but 0 in pauses too. spread, tuck: as above, at rest in pauses.
    """

    aperture: NDArray[np.float64]
    apart: NDArray[np.float64]
    open: NDArray[np.float64]
    spread: NDArray[np.float64]
    tuck: NDArray[np.float64]


def shapes(
    segments: Sequence[Segment], t: NDArray[np.float64], *, reach_s: float = 0.04, ahead_s: float = math.inf, ends: bool = True
) -> Shapes:
    """Coarticulated targets at the times t (seconds).

    Every phone pulls with its hold, which fades outside it with the time constant reach_s (Cohen and Massaro's dominance functions);
    bilabials, silences and /f v/ then take over with smooth flanks, so that lips that must touch do touch.
    ahead_s: a phone that begins later than so long after a time does not count for it, nor one that is over since BEHIND_S: so a time's
    shape depends on those around it alone, however many are given. ends: the first and the last silence are no pauses within speech.
    """
    parts = expand(segments)
    if not parts:
        return Shapes(*(np.zeros(len(t)) for _ in range(5)))
    rows = [TABLE[p] for p, _, _ in parts]
    start = np.array([s for _, s, _ in parts])
    end = np.array([e for _, _, e in parts])
    duration = end - start
    short = np.array([r.group == "silence" for r in rows]) & (duration < SHORT_PAUSE_S)
    if ends:
        short[[0, -1]] = False
    gone = short | np.array([r.group in ("silence", *BILABIAL) for r in rows])
    # A short vowel does not get as far open as a long one.
    is_vowel = np.array([p in VOWELS for p, _, _ in parts])
    reach = np.where(is_vowel, np.clip(0.7 + 0.3 * duration / 0.11, 0.75, 1.1), 1.0)
    aperture_to = np.array([r.aperture for r in rows]) * reach
    distance = np.maximum(np.maximum(start[None] - t[:, None], t[:, None] - end[None]), 0.0)
    near = (start[None] < t[:, None] + ahead_s) & (end[None] > t[:, None] - (math.inf if ahead_s == math.inf else BEHIND_S))
    pull = np.where(near, np.exp(-distance / reach_s), 0.0)
    # Closures are laid over afterwards: they should not also drag the vowels beside them half shut.
    weight = pull * np.where(gone, 0.02, np.array([r.hold_aperture for r in rows]))
    aperture = (weight @ aperture_to) / np.maximum(weight.sum(1), 1e-9)
    weight = pull * np.where(short, 0.02, np.array([r.hold_spread for r in rows]))
    spread = (weight @ np.array([r.spread for r in rows])) / np.maximum(weight.sum(1), 1e-9)
    apart = np.ones_like(t)
    tuck = np.zeros_like(t)
    lively = np.ones_like(t)
    for k, ((_, s, e), row, is_short) in enumerate(zip(parts, rows, short, strict=True)):
        if row.group in BILABIAL:
            lo, hi = closed_interval(s, e, row.group)
            apart = np.minimum(apart, 1 - _ramp(t, lo, hi, 0.07, 0.07) * near[:, k])
        elif row.tuck:
            tuck = np.maximum(tuck, row.tuck * _ramp(t, s + 0.01, e - 0.01, 0.06, 0.06) * near[:, k])
        elif row.group == "silence" and not is_short:
            # Lips sink shut in about 140 ms when the voice stops, and part within 60 ms before it starts.
            gate = _ramp(t, s + 0.12, e, 0.14, 0.06) * near[:, k]
            lively = np.minimum(lively, 1 - gate)
    return Shapes(aperture, apart, np.minimum(apart, lively), spread * lively, tuck)


def curves(segments: Sequence[Segment], t: NDArray[np.float64], *, reach_s: float = 0.04) -> NDArray[np.float32]:
    """The shapes at the times t (seconds): (len(t), 3) float32, columns aperture, spread, tuck."""
    found = shapes(segments, t, reach_s=reach_s)
    return np.stack((found.aperture * found.open, found.spread, found.tuck), 1).astype(np.float32)


def classes(segments: Sequence[Segment], t: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into GROUPS at each time t (seconds); silence outside all segments."""
    out = np.zeros(len(t), np.int64)
    for phone, start, end in expand(segments):
        out[(t >= start) & (t < end)] = GROUPS.index(TABLE[phone].group)
    return out


def contacts(segments: Sequence[Segment], t: NDArray[np.float64]) -> NDArray[np.float32]:
    """(len(t), 2) float32 in 0..1: lips touching for a bilabial; a silence long enough to close them. Flanks of 20 ms."""
    out = np.zeros((len(t), 2))
    parts = expand(segments)
    for k, (phone, s, e) in enumerate(parts):
        group = TABLE[phone].group
        if group in BILABIAL:
            lo, hi = closed_interval(s, e, group)
            out[:, 0] = np.maximum(out[:, 0], _ramp(t, lo, hi, 0.02, 0.02))
        elif group == "silence" and (e - s >= SHORT_PAUSE_S or k in (0, len(parts) - 1)):
            out[:, 1] = np.maximum(out[:, 1], _ramp(t, s + 0.1, e - 0.02, 0.04, 0.02))
    if parts:
        out[(t >= parts[-1][2]) | (t < parts[0][1]), 1] = 1.0
    return out.astype(np.float32)
