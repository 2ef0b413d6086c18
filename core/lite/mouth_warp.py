"""The image warp of the mouth, which moves the lips, the jaw and the cheeks between them.

Three layers meet in the mouth: the upper face (down to the upper lip's inner line), the interior, and the lower face (from the
lower lip's inner line down). Each layer is a smooth displacement that depends on the position along the mouth (x) and is a
monotone function of the height (y), anchored at the lines that are known: inner and outer lip lines, nose base, chin, and the outline
of the face, outside which nothing moves.
Beyond the corners of the mouth both layers have the same displacement, so that there is no seam anywhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.lite.local_frame import STEPS_PER_PX, Array, LocalFrame, clipped, look_up, points_of, rows_between, smoothstep
from core.lite.mouth_shape import MouthLayers, MouthShape, MouthSource

CORNERS = (61, 291)
UPPER_OUTER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
LOWER_OUTER = (146, 91, 181, 84, 17, 314, 405, 321, 375)
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
NOSE_BASE, CHIN = 2, 152
CHEEKS = ((234, 93, 132, 58, 172, 136, 150), (454, 323, 361, 288, 397, 365, 379))  # the face's outline beside the mouth, left and right
JAW_LEFT, JAW_RIGHT = 58, 288
JAW_LINE = (*CHEEKS[0], 149, 176, 148, CHIN, 377, 400, 378, *reversed(CHEEKS[1]))
"""The outline of the face from one cheek around the chin to the other."""

FULL_OPENING, MOST_OPEN = 0.22, 1.9
"""Lip gap at aperture 1 over the distance of the outer eye corners: the 95th percentile of people in conversation is 0.12 to 0.28; and the
largest aperture that can be asked for."""
UPPER_SHARE, CORNER_DROP = 0.34, 0.28
"""Part of an opening that lies above the line through the corners, and by which that line sinks: the upper lip hardly rises, the jaw opens,
and the corners come to lie beside the opening. Corners that stay up make every open vowel a laugh."""
SEEN_UPPER_SHARE, SEEN_CORNER_DROP = 0.18, 0.10
"""The same of a mouth that is open in the picture: corners that stand higher there are not known to have sunk."""
LOWER_SHARE = 1 - UPPER_SHARE + CORNER_DROP
"""Part of an opening by which the lower lip sinks."""
JAW_SHARE, JAW_BOW = 0.72, 1.4
"""How far the chin follows the lower lip, and the power of a cosine by which the jaw beside it does: less would square the chin, more leave
a notch in its line."""
REST_FROM, REST_PER_JAW, NECK, REST_OVER = 0.4, 2.0, 0.35, 0.2
"""What the jaw moves comes to rest outside the face's outline: collar, neck and hair beside it keep still. Of the jaw's way at each place,
it begins to so far below the outline, and takes this multiple of that way (NECK of the distance from mouth to chin at most where it opens),
and so many half widths of the mouth for it: what a closing jaw draws out would fold at less than 1.5."""
DRAWN_OUT, DRAWN_TO = (0.05, 0.1), 1.6
"""A jaw that closes by more than the first, of the distance from mouth to chin, draws out what is below it from its boss on, to so many
times that distance when it is closed by the second more: the neck under it would else be torn up with the chin."""
STEEPEST = 3.0
"""Of the outline beside the chin, pixels down per pixel sideways."""
ROUND_NARROWING, SPREAD_WIDENING = 0.3, 0.13
"""Change of the mouth's width at full rounding and full spreading."""
ROUND_FLATTENING = 0.35
"""Rounded lips lose this part of a smile's curve."""
ROUND_OPENING = 0.48
"""At full rounding the lips touch in this outer part of each half of the mouth: the opening is round and small."""
EVEN_BOW, FULL_BOW = 0.95, 0.7
"""Powers of 1 - x² that the height of the gap follows along the mouth, of lips that are hardly and far open; an ellipse has 0.5,
and corners as blunt."""
ROUND_POUT = 0.2
"""How much thicker rounded lips are, which come forward."""
TUCK_HIDDEN, TUCK_LIFT, TUCK_CLOSING = 0.5, 0.18, 0.35
"""f, v: part of the lower lip that rolls in under the teeth, of the upper lip's thickness that it rises to give them free, and of the gap
by which the lower lip comes up to them."""
PRESSED_HIDDEN, PRESSED_THINNER = 0.24, 0.16
"""p, b, m: part of each lip that rolls in where they are pressed together, and by which its outer edge follows."""
RELAXED_FLATTENING, RELAXED_NARROWING = 1.2, 0.24
"""A full smile that relaxes loses this part of its curve (all of it at most: its corners sink, its middle stays) and of its width."""
OPEN_NARROWING, OPEN_FLATTENING = 0.13, 0.7
"""An aperture of 1 draws the corners together by this part of the width, and takes this part of the line's curve, as a smile does that
relaxes."""
OUTER_SHARE = 0.7
"""How far the outer edge of the lower lip is below its line in the mesh where the inner one is."""
LOWER_SHADE, SHADE_FROM = 1.4, 0.1
"""How far below the lower lip its shade reaches, in its own thickness; and the rounding from which on light and shade are seen."""
CORNER_DARK = 2.2
"""How much farther than teeth the dark of a parted mouth's corners reaches into the lips."""
BEYOND = 4.0
"""How far a lip goes on beyond the line where it ends, in its own thickness."""
CONTACT_SHARE = 0.62
"""Part of a gap between smiling lips above the line where they meet: a smile draws the upper lip up from its teeth, while the lower one
lies at their edges. The jaw opens SEEN_UPPER_SHARE of its gap above it."""


def _and_beside(rows: slice) -> slice:
    """Two more on either side, from which samples between rows are made."""
    return slice(max(rows.start - 2, 0), rows.stop + 2)


def _room_beside(points: Array, frame: LocalFrame) -> Array:
    """(2,) pixels to the left and right of the mouth in which the skin gives way, up to the outline of the face, which stays: on a turned
    head the near outline leaves little room, and the corner moves less.
    """
    room = np.zeros(2, np.float32)
    for side, indices in enumerate(CHEEKS):
        outline = frame.local(points_of(points, indices))
        beside = float(np.abs(np.interp(0.3 * frame.half, outline[:, 1], outline[:, 0])))
        room[side] = np.clip(0.85 * (beside - frame.half), 0.25 * frame.half, 0.95 * frame.half)
    return room


class MouthWarp:
    """The mouth of one portrait.

    points: (478, 3) mesh in output pixels. eye_distance_px: of the outer eye corners, undone for head turn. by_jaw: the part of the gap
    between the lips that the jaw has made, 0..1. smiling: blendshape 0..1. rest_width: of a frame of a clip, whose lips may be in the
    middle of a word, the mouth's width at rest over that in the picture; None: of a photo, whose lips are taken as they are.
    lip_below_px: how far below its line in the mesh the lower lip begins in the middle (`lip_edge.py`).
    """

    def __init__(
        self,
        points: Array,
        eye_distance_px: float,
        by_jaw: float,
        smiling: float = 0.0,
        rest_width: float | None = None,
        lip_below_px: float = 0.0,
    ) -> None:
        self._smiling = smiling
        self._rest_width = 1.0 if rest_width is None else rest_width
        left, right = points_of(points, CORNERS)
        self.frame = frame = LocalFrame(left, right, reach_per_half=4.0)
        self.half = half = frame.half
        x = frame.x

        def line(indices: tuple[int, ...]) -> Array:
            return frame.curve(frame.local(points_of(points, indices)))

        inside = np.clip(1 - (x / half) ** 2, 0, 1)
        below = np.float32(lip_below_px) * inside.astype(np.float32)
        upper, lower = line(UPPER_INNER), line(LOWER_INNER) + below
        middle = (upper + lower) / 2
        upper, lower = np.minimum(upper, middle), np.maximum(lower, middle)
        self.upper_outer = np.minimum(line(UPPER_OUTER), upper - 0.8)
        self.lower_outer = np.maximum(line(LOWER_OUTER) + np.float32(OUTER_SHARE) * below, lower + 0.8)
        self.upper_lip, self.lower_lip = upper - self.upper_outer, self.lower_outer - lower  # thickness
        gap = lower - upper
        self.gap_px = float(gap.max())
        # Where teeth show, the lines move a little into the lips: a pixel of tooth left on a lip would shine when the mouth closes.
        parted = self.gap_px / half
        self.teeth_shown = float(parted > 0.05) if rest_width is None else float(smoothstep(np.array([(parted - 0.02) / 0.06]))[0])
        into_lips = 0.02 * half + 0.3
        inset = np.minimum(0.5 * gap, into_lips) * np.float32(self.teeth_shown)
        # The dark in the corners of a parted mouth reaches a little beyond the lines, which meet there.
        at_corners = smoothstep((np.abs(x) / half - 0.45) / 0.4) * smoothstep((1.06 - np.abs(x) / half) / 0.2)
        dark = np.float32(CORNER_DARK * into_lips * self.teeth_shown) * at_corners
        self.upper_src = (upper - np.maximum(np.minimum(inset, 0.45 * self.upper_lip), dark)).astype(np.float32)
        self.lower_src = (lower + np.maximum(np.minimum(inset, 0.45 * self.lower_lip), dark)).astype(np.float32)
        spoken = 0.0 if rest_width is None else by_jaw
        above = CONTACT_SHARE + (SEEN_UPPER_SHARE - CONTACT_SHARE) * spoken
        self.contact = (upper + above * gap).astype(np.float32)  # where the lips meet
        self._corner_rise = SEEN_CORNER_DROP * self.gap_px * spoken

        self.nose_y = min(float(frame.local(points_of(points, (NOSE_BASE,)))[0, 1]), -0.35 * half)
        chin_y = max(float(frame.local(points_of(points, (CHIN,)))[0, 1]), 0.8 * half)
        self.chin_y = 0.82 * chin_y  # the boss of the chin: from here up the jaw moves as one
        jaw = frame.local(points_of(points, (JAW_LEFT, JAW_RIGHT)))
        jaw_half = max(1.25 * half, float(np.abs(jaw[:, 0]).mean()))
        self.opening_px = FULL_OPENING * eye_distance_px
        self.jaw_rest_px = JAW_SHARE * LOWER_SHARE * self.gap_px * by_jaw

        self._room = _room_beside(points, frame)
        self._bow = (inside**EVEN_BOW).astype(np.float32)  # height of the gap along the mouth
        self._near = smoothstep(2 - np.abs(x) / half)  # 1 along the mouth, 0 a half width beyond the corners
        beside = np.cos(np.pi / 2 * np.clip(x / (1.2 * jaw_half), -1, 1))
        self._jaw_bow = (np.maximum(beside, 0) ** JAW_BOW).astype(np.float32)  # rounding may leave a cosine below 0
        self._jaw_line, sloping = self._outline(frame.local(points_of(points, JAW_LINE)))
        self._rest_over = np.float32(REST_OVER * half) * sloping
        self._neck, self._drawn_to_y = NECK * chin_y, DRAWN_TO * chin_y
        self._drawn_out = tuple(part * chin_y for part in DRAWN_OUT)
        most = MOST_OPEN * JAW_SHARE * LOWER_SHARE * self.opening_px
        widest = np.float32(REST_FROM * most + min(REST_PER_JAW * most, self._neck))
        bottom = max(float((self._jaw_line + self._rest_over + widest * self._jaw_bow).max()), self._drawn_to_y, 2.0 * half)
        self.bounds = (-min(frame.reach, 1.25 * jaw_half), 1.02 * self.nose_y, min(frame.reach, 1.25 * jaw_half), bottom)

    def shape(
        self, aperture: float, spread: float, tuck: float, smile: float = 1.0, press: float = 0.0, tongue: float = 0.0
    ) -> MouthShape:
        """The lips for aperture 0..1.2, spread -1..1 (rounded..spread), tuck 0..1, smile 0..1 (relaxed..as in the photo), press 0..1
        (closed lips pressed together), tongue 0..1 (at rest..its tip raised to the upper teeth).
        """
        rounding, spreading = max(-spread, 0.0), max(spread, 0.0)
        gap = self.opening_px * aperture * (1 - TUCK_CLOSING * tuck)
        bow = self._opening_bow(rounding, min(max(rounding, aperture), 1.0))
        relaxed = self._smiling * (1 - smile)
        flattened = min(ROUND_FLATTENING * rounding + RELAXED_FLATTENING * relaxed + OPEN_FLATTENING * aperture, 1.0)
        sunk = flattened * max(float(self.contact.max()), 0.0)
        common = np.float32(CORNER_DROP * gap + sunk - self._corner_rise) * self._near
        upper_src = self.upper_src - np.float32(PRESSED_HIDDEN * press) * self.upper_lip * self._bow
        lower_src = self.lower_src + np.float32(TUCK_HIDDEN * tuck + PRESSED_HIDDEN * press) * self.lower_lip * self._bow
        contact = self.contact * np.float32(1 - flattened)
        upper = contact + common - (UPPER_SHARE * gap + TUCK_LIFT * tuck * float(self.upper_lip.max())) * bow
        lower = contact + common + ((1 - UPPER_SHARE) * gap) * bow
        lower = np.maximum(lower, upper)
        d_upper, d_lower = upper - upper_src, lower - lower_src
        jaw = JAW_SHARE * LOWER_SHARE * gap - self.jaw_rest_px
        thicker = np.float32(ROUND_POUT * rounding * (1 - press)) * self._bow - np.float32(PRESSED_THINNER * press) * self._bow
        d_upper_outer = common + (upper - self.upper_src - common) * 0.75 - thicker * self.upper_lip
        d_lower_outer = common + (lower - self.lower_src - common) * 0.85 + thicker * self.lower_lip

        scale = 1 - ROUND_NARROWING * rounding + SPREAD_WIDENING * spreading - OPEN_NARROWING * aperture * (1 - rounding)
        scale -= RELAXED_NARROWING * relaxed * (1 - rounding)
        d_x = self._sideways(float(scale) * self._rest_width)
        return MouthShape(
            upper=upper.astype(np.float32),
            lower=lower.astype(np.float32),
            d_upper=d_upper.astype(np.float32),
            d_upper_outer=d_upper_outer.astype(np.float32),
            d_lower=d_lower.astype(np.float32),
            d_lower_outer=d_lower_outer.astype(np.float32),
            d_chin=(np.float32(jaw) * self._jaw_bow).astype(np.float32),
            d_x=d_x,
            jaw_px=float(lower[len(lower) // 2] - self.contact[len(lower) // 2]),
            gap_px=gap,
            rounding=rounding,
            tongue=tongue,
        )

    def around_lips(self, shape: MouthShape) -> tuple[float, float, float, float]:
        """Left, top, right, bottom (frame coordinates) of the lips and of some skin beside them, with the shade beneath rounded ones."""
        top, bottom = float((self.upper_outer + shape.d_upper_outer).min()), float((self.lower_outer + shape.d_lower_outer).max())
        side = 1.25 * self.half
        beneath = LOWER_SHADE * float(self.lower_lip.max()) if shape.rounding > SHADE_FROM else 0.3 * self.half
        return -side, top - 0.2 * self.half, side, bottom + beneath

    def _outline(self, points: Array) -> tuple[Array, Array]:
        """The lower outline of the face, and how much longer a way down across it is than one at right angles to it, at each x. points:
        (n, 2) of it, from left to right around the chin.
        """
        x = self.frame.x
        ends = int(points[:, 0].argmin()), int(points[:, 0].argmax())
        low = points[ends[0] : ends[1] + 1]
        low = low[np.argsort(low[:, 0])]
        line = np.interp(x, low[:, 0], low[:, 1]) - STEEPEST * (np.maximum(low[0, 0] - x, 0) + np.maximum(x - low[-1, 0], 0))
        line = cv2.GaussianBlur(line[None].astype(np.float32), (0, 0), 0.1 * self.half * STEPS_PER_PX, borderType=cv2.BORDER_REPLICATE)[0]
        slope = np.clip(np.gradient(line, x), -STEEPEST, STEEPEST)
        return line, np.sqrt(1 + slope * slope).astype(np.float32)

    def _rest(self, d_chin: Array) -> tuple[Array, Array]:
        """From where on what the jaw moves comes to rest, and over how much, at each x."""
        way = np.float32(REST_PER_JAW) * np.abs(d_chin)
        begin = self._jaw_line + np.float32(REST_FROM) * d_chin
        if float(d_chin.sum()) >= 0:
            return begin, self._rest_over + np.minimum(way, np.float32(self._neck))
        boss, over = np.float32(self.chin_y) + d_chin, self._rest_over + way
        far = clipped((np.abs(d_chin) - np.float32(self._drawn_out[0])) / np.float32(self._drawn_out[1]), 0, 1)
        return begin + far * (boss - begin), over + far * (np.float32(self._drawn_to_y) - boss - over)

    def _opening_bow(self, rounding: float, fullness: float) -> Array:
        """Height of the gap along the mouth, 0..1. fullness: 0 the gap narrows evenly towards its ends, 1 it is nearly an ellipse."""
        inside = np.clip(1 - (self.frame.x / np.float32(self.half * (1 - ROUND_OPENING * rounding))) ** 2, 0, 1)
        bow: Array = inside ** np.float32(EVEN_BOW + (FULL_BOW - EVEN_BOW) * fullness)
        return bow

    def _sideways(self, scale: float) -> Array:
        """Displacement along x that makes the mouth `scale` times as wide: linear between the corners, fading out over the room beside."""
        x, distance = self.frame.x, np.abs(self.frame.x)
        room = np.where(x < 0, self._room[0], self._room[1])
        # smoothstep's steepest slope is 1.5 / room: beyond 0.6 of it the skin would fold
        moved = np.clip(self.half * (1 - scale), -0.4 * room, 0.4 * room)
        corner = self.half - moved
        beyond = moved * (1 - smoothstep((distance - corner) / room))
        inside = x * (moved / corner)
        displacement: Array = np.where(distance <= corner, inside, np.sign(x) * beyond).astype(np.float32)
        return displacement

    def layers(self, shape: MouthShape, x: Array, y: Array) -> MouthLayers:
        """Of the places at (x, y) (frame coordinates, (rows, columns) of a part of the picture). Each term is computed for the rows that it
        can change: most rows lie on one side of the mouth.
        """
        lowest, highest = y.min(1), y.max(1)
        moved = self._sideways_at(shape, x, y, lowest, highest)
        column = self.frame.index(x + moved)
        upper, lower = np.zeros_like(y), np.zeros_like(y)
        top, bottom = (_and_beside(part) for part in (rows_between(lowest < shape.lower.max()), rows_between(highest > shape.upper.min())))
        upper[top] = self._moved_above(shape, column[top], y[top])
        lower[bottom] = self._moved_below(shape, column[bottom], y[bottom])
        return MouthLayers(moved, upper, lower)

    def seen(self, shape: MouthShape, layers: MouthLayers, x: Array, y: Array) -> Array:
        """Of the layer that is seen at each place, how far it is moved down."""
        between = look_up(shape.upper + shape.lower, self.frame.index(x + layers.x))
        return np.where(y + y < between, layers.upper, layers.lower)

    def joined(self, shape: MouthShape, layers: MouthLayers, x: Array, y: Array) -> MouthSource:
        """Where the pixels at (x, y) come from."""
        column = self.frame.index(x_src := x + layers.x)
        upper, lower = look_up(shape.upper, column), look_up(shape.lower, column)
        from_upper = np.minimum(y - layers.upper, look_up(shape.upper - shape.d_upper, column))
        from_lower = np.maximum(y - layers.lower, look_up(shape.lower - shape.d_lower, column))
        y_src = np.where(y + y < upper + lower, from_upper, from_lower)
        soft = np.float32(max(0.5, 0.022 * self.half))  # lips are round: their edge against the dark is never razor-sharp
        covered = np.minimum(y + soft, lower, out=lower)
        covered -= np.maximum(y - soft, upper, out=upper)
        covered *= np.float32(0.5) / soft
        return MouthSource(x_src, y_src, column, clipped(covered, 0, 1))

    def source(self, shape: MouthShape, x: Array, y: Array) -> MouthSource:
        """Where the pixels at (x, y) (frame coordinates, (rows, columns) of a part of the picture) come from."""
        return self.joined(shape, self.layers(shape, x, y), x, y)

    def inside_source(self, shape: MouthShape, column: Array, y: Array, y_src: Array) -> Array:
        """`y_src`, as `source` gives it, but between the lips the place between those of the picture. column: table index of each x_src."""
        upper, lower = look_up(shape.upper, column), look_up(shape.lower, column)
        height = (y - upper) / np.maximum(lower - upper, 1e-3)
        first, last = look_up(self.upper_src, column), look_up(self.lower_src, column)
        inside: Array = np.where((height > 0) & (height < 1), first + (last - first) * height, y_src)
        return inside

    def _sideways_at(self, shape: MouthShape, x: Array, y: Array, lowest: Array, highest: Array) -> Array:
        """lowest, highest: y of each row, (rows,)."""
        lip_top, lip_bottom = float(self.upper_outer.min()), float((self.lower_outer + shape.d_lower_outer).max())
        moved = look_up(shape.d_x, self.frame.index(x))
        above, below = rows_between(lowest < lip_top), rows_between(highest > lip_bottom)
        moved[above] *= 1 - smoothstep((lip_top - y[above]) / np.float32(0.85 * (lip_top - self.nose_y) + 1e-3))
        moved[below] *= 1 - smoothstep((y[below] - lip_bottom) / np.float32(max(self.chin_y - lip_bottom, 0.6 * self.half)))
        return moved

    def _moved_above(self, shape: MouthShape, column: Array, y: Array) -> Array:
        """Below the line of the upper lip it goes on as above, so that samples beside the line tell what is at it."""
        outer = self.upper_outer + shape.d_upper_outer
        per_lip = np.float32(1) / np.maximum(shape.upper - outer, np.float32(0.5))
        per_skin = np.float32(1) / np.maximum(outer - np.float32(self.nose_y), np.float32(1))
        lip = (look_up(shape.upper, column) - y) * look_up(per_lip, column)
        moved = clipped(lip, -BEYOND, 1)
        moved *= look_up(shape.d_upper_outer - shape.d_upper, column)
        moved += look_up(shape.d_upper, column)
        skin = look_up(outer, column) - y
        skin *= look_up(per_skin, column)
        moved *= 1 - smoothstep(skin)
        return moved

    def _moved_below(self, shape: MouthShape, column: Array, y: Array) -> Array:
        """Above the line of the lower lip it goes on as below."""
        outer = self.lower_outer + shape.d_lower_outer
        chin = np.float32(self.chin_y) + shape.d_chin
        rest_from, rest_over = self._rest(shape.d_chin)
        per_rest = np.float32(1) / rest_over
        per_lip = np.float32(1) / np.maximum(outer - shape.lower, np.float32(0.5))
        per_skin = np.float32(1) / np.maximum(chin - outer, np.float32(1))
        lip = (y - look_up(shape.lower, column)) * look_up(per_lip, column)
        moved = clipped(lip, -BEYOND, 1)
        moved *= look_up(shape.d_lower_outer - shape.d_lower, column)
        moved += look_up(shape.d_lower, column)
        skin = y - look_up(outer, column)
        skin *= look_up(per_skin, column)
        d_chin = look_up(shape.d_chin, column)
        d_chin -= moved
        d_chin *= smoothstep(skin)
        moved += d_chin
        beside = rows_between(y.max(1) > rest_from.min())
        outside = y[beside] - look_up(rest_from, column[beside])
        outside *= look_up(per_rest, column[beside])
        moved[beside] *= 1 - smoothstep(outside)
        return moved
