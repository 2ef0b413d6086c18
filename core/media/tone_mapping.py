"""Brings pictures of high dynamic range, or of a wider gamut, to what an ordinary screen shows: sRGB.

One table per kind of picture, a cube of colours that libavfilter interpolates in: so a frame costs a look-up for each pixel, whatever
stands in the table. White of 203 cd/m² (ITU-R BT.2408) is the brightest that the screen shows; what is brighter is compressed by the curve
of ITU-R BT.2390-11 section 5.4.1, applied to the largest of the three channels, which keeps the hue.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

Kind = Literal["pq", "hlg", "bt2020", "p3"]
"""PQ and HLG of BT.2100 (in BT.2020 primaries), and pictures of ordinary range in BT.2020 or Display P3 primaries."""
HDR: tuple[Kind, ...] = ("pq", "hlg")
WHITE_CD, PEAK_CD = 203.0, 1000.0
"""Light of diffuse white, and the brightest that is told apart from what is brighter still: what HDR is usually mastered for."""
_LEVEL = 8
"""Of the Hald table: 64 steps along each side of the cube."""
_PQ, _HLG, _BT2020, _P3 = 16, 18, 9, 12
"""ITU-T H.273 codes of transfer curves and primaries."""
_TO_BT709 = {
    "bt2020": np.array([[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]),
    "p3": np.array([[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]),
}
"""Linear light in other primaries to that in BT.709's, both with a D65 white (ITU-R BT.2087, SMPTE RP 432-1)."""
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

Light = NDArray[np.float64]


def kind_of(frame: av.VideoFrame) -> Kind | None:
    """None: its colours are an ordinary screen's already, or it does not say otherwise."""
    if frame.color_trc == _PQ:
        return "pq"
    if frame.color_trc == _HLG:
        return "hlg"
    return {_BT2020: "bt2020", _P3: "p3"}.get(frame.color_primaries)  # type: ignore[return-value]


def pq_light(signal: Light) -> Light:
    """SMPTE ST 2084: 0..1 to cd/m²."""
    power = np.power(signal, 1 / _M2)
    light: Light = 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return light


def pq_signal(light: Light | float) -> Light:
    """cd/m² to 0..1."""
    power = np.power(np.asarray(light, np.float64) / 10_000, _M1)
    signal: Light = np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)
    return signal


def hlg_light(signal: Light) -> Light:
    """ITU-R BT.2100 HLG on a display of PEAK_CD: (..., 3) of 0..1 to cd/m²."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    light: Light = PEAK_CD * np.power(luminance, 0.2)[..., None] * scene  # system gamma 1.2
    return light


def compressed(light: Light) -> Light:
    """cd/m² of up to PEAK_CD to cd/m² of up to WHITE_CD: nothing changes below the knee, the curve bends to the white above it."""
    peak = float(pq_signal(PEAK_CD))
    most = float(pq_signal(WHITE_CD)) / peak
    knee = 1.5 * most - 0.5
    level = np.minimum(pq_signal(light) / peak, 1.0)
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_light(np.where(level < knee, level, bent) * peak)


def mapped(signal: Light, kind: Kind) -> Light:
    """(..., 3) R'G'B' of that kind, 0..1, to sRGB, 0..1."""
    if kind in HDR:
        light = pq_light(signal) if kind == "pq" else hlg_light(signal)
        most = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        linear = np.clip(light * (compressed(most) / most) / WHITE_CD @ _TO_BT709["bt2020"].T, 0, 1)
        srgb: Light = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
        return srgb
    # The range is the screen's own: one curve in and out again, so that greys stay what they are.
    ordinary: Light = np.power(np.clip(np.power(signal, 2.4) @ _TO_BT709[kind].T, 0, 1), 1 / 2.4)
    return ordinary


@functools.cache
def _table(kind: Kind) -> NDArray[np.uint16]:
    """(512, 512, 3): red varies fastest, then green, then blue."""
    side = _LEVEL * _LEVEL
    steps = np.linspace(0, 1, side)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    colours = mapped(np.stack((red, green, blue), axis=-1), kind)
    table: NDArray[np.uint16] = np.rint(colours * 65535).astype(np.uint16).reshape(side * _LEVEL, side * _LEVEL, 3)
    return table


class ToneMapper:
    """Maps frames of one size, format and kind. Not thread-safe."""

    def __init__(self, frame: av.VideoFrame, kind: Kind) -> None:
        graph: Any = Graph()
        self._graph, self._n = graph, 0
        base = Fraction(1, 25)
        self._pictures = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=base)
        side = _LEVEL**3
        table = graph.add_buffer(width=side, height=side, format="rgb48le", time_base=base)
        # Packed: of planar pictures the filter takes one channel for another (FFmpeg 8).
        wide, look, end = graph.add("format", "rgb48le"), graph.add("haldclut", "interp=tetrahedral"), graph.add("buffersink")
        narrow = graph.add("format", "rgb24")
        self._pictures.link_to(wide)
        wide.link_to(look, 0, 0)
        table.link_to(look, 0, 1)
        look.link_to(narrow)
        narrow.link_to(end)
        graph.configure()
        colours: Any = av.VideoFrame.from_ndarray(_table(kind), "rgb48le")
        colours.pts, colours.time_base = 0, base
        table.push(colours)
        table.push(None)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as rgb24 of sRGB; the given one is as it was."""
        pts, frame.pts = frame.pts, self._n  # backwards too a graph wants times that grow
        self._n += 1
        try:
            self._pictures.push(frame)
            return self._graph.vpull()
        finally:
            frame.pts = pts
