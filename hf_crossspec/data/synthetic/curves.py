"""The curves of a face under an expression: lids, brows, lips, nose and outline.

Height field, colour masks and landmarks all read these curves, so they cannot disagree. Lengths are in units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_crossspec.data.synthetic.canvas import POLAR_CENTRE, TABLE_DEGREES, Window, angle_table, bell, clip, window
from hf_crossspec.data.synthetic.identity import Identity
from hf_crossspec.data.synthetic.nuisance import Nuisance

OUTLINE_DEGREES = (0.0, 18.0, 34.0, 50.0, 70.0, 90.0, 118.0, 143.0, 163.0, 180.0)
MEAN_OUTLINE = np.array([53.0, 50.8, 46.2, 41.6, 38.6, 38.6, 45.2, 58.5, 71.0, 75.0])


@dataclass(frozen=True)
class Eye:
    """One eye. Local abscissa `s` runs from -1 (inner corner) to 1 (outer), ordinate `y` down, tilt removed."""

    side: int  # -1 left in the picture, 1 right
    u: float
    v: float
    length: float
    up: float
    down: float
    tilt: float
    skew: float

    def local(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s = self.side * (u - self.u) / self.length
        return s, v - self.v + self.tilt * self.length * s

    def upper(self, s: np.ndarray) -> np.ndarray:
        arc = np.maximum(1 - s * s, 0)
        return -self.up * np.sqrt(arc) * (0.45 + 0.55 * arc) * (1 + self.skew * s)

    def lower(self, s: np.ndarray) -> np.ndarray:
        arc = np.maximum(1 - s * s, 0)
        return self.down * np.sqrt(arc) * (0.6 + 0.4 * arc) * (1 + 0.3 * s)

    def point(self, s: float, y: float) -> tuple[float, float]:
        return self.u + self.side * s * self.length, self.v + y - self.tilt * self.length * s

    @property
    def window(self) -> Window:
        margin = self.length + 5
        return window(self.u - margin, self.u + margin, self.v - 11, self.v + 10)

    def landmarks(self) -> list[tuple[float, float]]:
        """Outer corner, upper lid outer and inner, inner corner, lower lid inner and outer."""
        stops = np.array([0.36, -0.36])
        up, down = self.upper(stops).tolist(), self.lower(stops[::-1]).tolist()
        upper = [self.point(s, y) for s, y in zip((0.36, -0.36), up, strict=True)]
        lower = [self.point(s, y) for s, y in zip((-0.36, 0.36), down, strict=True)]
        return [self.point(1, 0), *upper, self.point(-1, 0), *lower]


@dataclass(frozen=True)
class Brow:
    """One brow: abscissa `s` from 0 (inner end) to 1 (outer end)."""

    side: int
    u: float
    v: float
    length: float
    arch: float
    tilt: float
    thickness: float

    def centre(self, s: np.ndarray) -> np.ndarray:
        return self.v - self.tilt * self.length * s - self.arch * np.sin(np.pi * clip(s, 0, 1.15) ** 1.35)

    @property
    def window(self) -> Window:
        a, b = sorted((self.u - self.side * 4, self.u + self.side * (self.length + 4)))
        return window(a, b, self.v - 9, self.v + 7)

    def landmarks(self) -> list[tuple[float, float]]:
        """Five points from the inner to the outer end."""
        stops = np.linspace(0.02, 0.98, 5)
        rows = self.centre(stops) - 0.4 * self.thickness
        return [(self.u + self.side * s * self.length, v) for s, v in zip(stops.tolist(), rows.tolist(), strict=True)]


@dataclass(frozen=True)
class Mouth:
    """The lips. Abscissa `x` from -1 (corner left in the picture) to 1."""

    v: float
    width: float
    corner: float  # ordinate of the corners relative to `v`
    gap: float  # opening on the midline
    upper_lip: float
    lower_lip: float
    cupid: float

    def line(self, x: np.ndarray) -> np.ndarray:
        wave = 0.5 * self.cupid * bell(x / 0.22) - 0.35 * bell((np.abs(x) - 0.5) / 0.25)
        return self.v + self.corner * x * x + wave

    def edges(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Ordinates of the upper lip's top and bottom and of the lower lip's top and bottom."""
        arc = np.maximum(1 - x * x, 0)
        top = self.line(x) - 0.22 * self.gap * arc
        bottom = self.line(x) + 0.78 * self.gap * arc
        away = np.maximum(1 - np.abs(x), 0)
        bow = 1 - 0.3 * self.cupid * bell(x / 0.14) + 0.12 * bell((np.abs(x) - 0.2) / 0.13)
        upper = top - self.upper_lip * (0.7 * away + 0.3 * arc) * bow
        return upper, top, bottom, bottom + self.lower_lip * arc**0.8

    @property
    def window(self) -> Window:
        reach = self.width + 3
        return window(-reach, reach, self.v - 14, self.v + self.gap + self.lower_lip + 6)

    def landmarks(self) -> list[tuple[float, float]]:
        """48 to 67: outer lips clockwise from the left corner, then inner lips."""
        x = np.array([-0.62, -0.24, 0.0, 0.24, 0.62])
        rows = self.edges(x)
        ends = [(-self.width, self.v + self.corner), (self.width, self.v + self.corner)]
        upper, inner_top, inner_bottom, lower = (list(zip(x * self.width, row, strict=True)) for row in rows)
        outer = [ends[0], *upper, ends[1], *lower[::-1]]
        inner = [
            (-0.9 * self.width, self.v + 0.81 * self.corner),
            *inner_top[1:4],
            (0.9 * self.width, self.v + 0.81 * self.corner),
            *inner_bottom[3:0:-1],
        ]
        return [(float(u), float(v)) for u, v in outer + inner]


@dataclass(frozen=True)
class Curves:
    """Everything that geometry, masks and landmarks share."""

    outline: np.ndarray  # (ANGLES,) radius of the face's outline around POLAR_CENTRE
    eyes: tuple[Eye, Eye]
    brows: tuple[Brow, Brow]
    mouth: Mouth
    jaw_drop: float

    def jaw_landmarks(self) -> list[tuple[float, float]]:
        """0 to 16: along the outline from the left ear over the chin to the right ear."""
        degrees = np.linspace(-103, 103, 17)
        radius = np.interp(degrees, TABLE_DEGREES, self.outline) * 0.97
        u = POLAR_CENTRE[0] + radius * np.sin(np.radians(degrees))
        v = POLAR_CENTRE[1] + radius * np.cos(np.radians(degrees))
        return list(zip(u.tolist(), v.tolist(), strict=True))


def face_curves(who: Identity, how: Nuisance) -> Curves:
    """The curves of `who` with the expression of `how`."""
    drop = 7.5 * how.mouth_open
    eyes = tuple(_eye(who, how, side) for side in (-1, 1))
    brows = tuple(_brow(who, how, side) for side in (-1, 1))
    mouth = Mouth(
        v=who.mouth_height - 0.9 * how.smile,
        width=who.mouth_width * (1 + 0.14 * how.smile - 0.08 * how.mouth_open),
        corner=-0.4 - 0.5 * who.lip_corner - 2.1 * how.smile + 0.15 * drop,
        gap=drop + 3.4 * max(0.0, how.smile - 0.45),
        upper_lip=who.upper_lip * (1 - 0.22 * how.smile),
        lower_lip=who.lower_lip * (1 - 0.15 * how.smile),
        cupid=who.cupid,
    )
    return Curves(_outline(who, drop), (eyes[0], eyes[1]), (brows[0], brows[1]), mouth, drop)


def _outline(who: Identity, drop: float) -> np.ndarray:
    fat = max(who.fat, -1.5)
    radius = MEAN_OUTLINE.copy()
    chin = 1.9 * who.chin_length + 0.75 * drop + (who.mouth_height - 40.6)
    radius += np.array([1.0, 0.9, 0.55, 0.2, 0, 0, 0, 0, 0, 0]) * chin
    radius += np.array([0, 0.7, 1.5, 2.0, 1.3, 0.3, 0, 0, 0, 0]) * who.jaw_width * 0.85
    radius += np.array([-0.3, 1.3, 0.8, 0, 0, 0, 0, 0, 0, 0]) * who.chin_width * 0.9
    radius += np.array([0.3, 0.9, 1.5, 1.9, 1.6, 0.7, 0, 0, 0, 0]) * fat
    radius += np.array([0, 0, 0.5, 0.9, 1.4, 1.6, 1.6, 1.2, 0.6, 0.3]) * who.face_width * 0.9
    radius += np.array([0, 0, 0, -0.2, 0.3, 1.0, 0.8, 0, 0, 0]) * who.cheekbones * 0.7
    radius += np.array([0, 0, 0, 0, 0, 0.2, 1.3, 1.9, 1.2, 0.3]) * who.forehead_width * 0.9
    return angle_table(OUTLINE_DEGREES, radius)


def _eye(who: Identity, how: Nuisance, side: int) -> Eye:
    opening = who.eye_height * who.eye_length
    return Eye(
        side=side,
        u=side * who.eye_spacing,
        v=0.0,
        length=who.eye_length,
        up=0.60 * opening * how.lids,
        down=0.34 * opening * (1 - 0.3 * how.smile),
        tilt=who.eye_tilt,
        skew=who.eye_skew,
    )


def _brow(who: Identity, how: Nuisance, side: int) -> Brow:
    return Brow(
        side=side,
        u=side * (who.eye_spacing - 10.2),
        v=-who.brow_height + 1.3 - 2.6 * how.brow_raise,
        length=who.brow_length * 1.75,
        arch=who.brow_arch + 0.6 * how.brow_raise,
        tilt=who.brow_tilt,
        thickness=who.brow_thickness,
    )
