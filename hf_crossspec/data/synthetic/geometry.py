"""The face as a height field over the canvas, its silhouette, and the 68 landmarks on it.

The relief is a head-shaped base plus Gaussian bumps for bones, cartilage and fat, plus creases along the curves of the
lids, lips and folds. Heights are in units towards the camera; the plane of the eyes' corners is near zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from hf_crossspec.data.synthetic.canvas import (
    ANGLE_INDEX,
    LEFT,
    RADIUS,
    SCALE,
    SIZE,
    TOP,
    U,
    V,
    angle_table,
    bell,
    bumps,
    clip,
    mirrored,
    noise,
    ramp,
    window,
)
from hf_crossspec.data.synthetic.curves import Curves, Eye, Mouth, face_curves
from hf_crossspec.data.synthetic.identity import Identity, generator
from hf_crossspec.data.synthetic.nuisance import Nuisance

PROFILE_V = (-58.0, -42.0, -28.0, -14.0, -4.0, 8.0, 28.0, 40.0, 50.0, 58.0, 66.0, 70.0)
MEAN_PROFILE = np.array([-11.0, -4.5, -1.0, 0.4, -0.8, 0.2, 0.8, 1.6, 0.6, 0.9, -1.5, -5.0])
EAR_DEGREES = 92.0


@dataclass(frozen=True)
class Surface:
    """A head in canvas coordinates; fields are (SIZE, SIZE) float32."""

    curves: Curves
    height: np.ndarray  # units towards the camera
    ratio: np.ndarray  # distance from POLAR_CENTRE over the outline's: 1 on the outline
    face: np.ndarray  # coverage of the face, 0 to 1
    ears: np.ndarray
    neck: np.ndarray
    points: np.ndarray  # (68, 2) landmarks, u and v

    @property
    def landmarks(self) -> np.ndarray:
        """(68, 3) u, v and height, on top of whatever hair has been added to the height field."""
        return np.concatenate([self.points, sample(self.height, self.points)[:, None]], axis=1)


def face_surface(who: Identity, how: Nuisance) -> Surface:
    """The relief of `who` with the expression of `how`, in the frontal pose."""
    curves = face_curves(who, how)
    outline = curves.outline[ANGLE_INDEX]
    ratio = RADIUS / outline
    inside = np.minimum(ratio, 1)
    height = _base(who, curves, inside)
    height += (bumps(_relief(who, how, curves)) + _free_relief(who)) * ramp(0.97 - inside, 0.12)
    for eye in curves.eyes:
        _crease_lids(height, eye, who)
    _fold_cheeks(height, who, how, curves)
    _swell_lips(height, curves.mouth)
    _wrinkle(height, who, how)
    gap = (ratio - 1) * outline
    face = ramp(-gap, 0.5)
    ears = _ears(height, who, curves, face)
    neck = _neck(height, who, face, gap)
    points = np.array(_landmark_points(who, curves))
    return Surface(curves, height, ratio, face, ears, neck, points)


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values (N,) of a (SIZE, SIZE) field at points (N, 2) in units."""
    x = clip((points[:, 0] - LEFT) * SCALE - 0.5, 0, SIZE - 1.001)
    y = clip((points[:, 1] - TOP) * SCALE - 0.5, 0, SIZE - 1.001)
    column, row = x.astype(int), y.astype(int)
    a, b = x - column, y - row
    top = field[row, column] * (1 - a) + field[row, column + 1] * a
    bottom = field[row + 1, column] * (1 - a) + field[row + 1, column + 1] * a
    return top * (1 - b) + bottom * b


@lru_cache
def _profile_basis() -> np.ndarray:
    spline = CubicSpline(np.array(PROFILE_V), np.eye(len(PROFILE_V)), bc_type="natural")
    return spline(clip(V, PROFILE_V[0], PROFILE_V[-1])).astype(np.float32)


@lru_cache(maxsize=4)
def _free_relief(who: Identity) -> np.ndarray:
    return bumps(who.bumps)


DEPTH_DEGREES = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0)


def _base(who: Identity, curves: Curves, inside: np.ndarray) -> np.ndarray:
    """The head without features: a midline profile that falls off towards the outline."""
    profile = MEAN_PROFILE + np.array([-3, -1.8, -0.6, 0.2, 0, 0, 0, 0, 0, 0, 0, 0]) * who.forehead_slope
    profile += np.array([0, 0, 0, 0, 0, 0, 0.5, 0.9, 0.4, 0, 0, 0]) * who.muzzle
    profile += np.array([0, 0, 0, 0, 0, 0, 0, 0, -0.3, 1.3, 1.0, 0]) * who.chin_height
    midline = _profile_basis() @ profile.astype(np.float32)
    soft = angle_table(DEPTH_DEGREES, np.array([2.0, 7, 14, 19, 17, 12, 8]) * (1 - 0.04 * who.fat))
    hard = angle_table(DEPTH_DEGREES, np.array([13.0, 12, 10, 9, 9, 10, 10]))
    square = inside * inside
    fourth = square * square
    return midline[:, None] - soft[ANGLE_INDEX] * square - hard[ANGLE_INDEX] * fourth * fourth


def _relief(who: Identity, how: Nuisance, curves: Curves) -> np.ndarray:
    eye, mouth = who.eye_spacing, curves.mouth
    brow = 1.3 + 0.55 * who.brow_ridge
    socket = 2.4 + 0.6 * who.eye_depth
    fat, thin = max(who.fat, -0.5), max(-who.fat, 0.0)
    chin_v = mouth.v + 16.5 + 0.8 * who.chin_length + 0.8 * curves.jaw_drop
    wing = who.nose_width
    rows = [
        (eye - 2, -9.5 + 0.1 * who.brow_ridge, 10, 4.0, brow),
        (0, -10, 8, 5.0, 0.5 * brow),
        (eye - 1, -1.5, 9.5, 6.5, -socket),
        (eye - 9, -1.5, 4.2, 5.5, -0.55 * socket),
        (eye, 0.5, 7.2, 5.2, 2.3),
        (eye, 7.2, 7, 2.0, 0.7 * who.bags),
        (eye - 5, 10.5, 7, 2.2, -0.6 * who.bags - 0.15),
        (25 + 0.5 * who.face_width, 10.5, 9, 7, 1.7 + 0.75 * who.cheekbones),
        (25, 28, 8, 10, 1.2 * fat - 1.5 * thin - 0.7 - 0.4 * who.cheekbones),
        (20, 21, 9, 8, 0.8 * fat + 0.6),
        (20, 15, 7, 5.5, 2.0 * how.smile),
        (36, -16, 6, 11, -1.4),
        (13, -30, 10, 9, 0.7),
        (0, mouth.v - 3, 15, 12, 2.6),
        (0, mouth.v - 10, 1.5, 3.6, -0.6),
        (2.7, mouth.v - 9.5, 1.4, 3.6, 0.35),
        (0, chin_v - 6.5, 9, 2.8, -1.5 - 0.3 * who.chin_height),
        (0, chin_v, 7.5 + 0.8 * who.chin_width, 5, 2.2 + 0.6 * who.chin_height),
        (0, chin_v + 1, 1.4, 3.2, -1.1 * who.cleft),
        (23, mouth.v + 8, 6, 6, 0.9 * max(0.0, (who.age - 45) / 30) + 0.5 * fat),
        (12.5, mouth.v + 9, 3, 6, -0.7 * max(0.0, (who.age - 40) / 30)),
        (wing + 3.4, who.nose_length + 1.6, 2.2, 3.4, -0.6),
        (wing - 1.3, who.nose_length + 1.6, 3.1, 3.0, 3.3),
        (4.5, who.nose_length + 5.6, 2.6, 1.6, -0.9),
    ]
    return np.concatenate([mirrored(rows), _nose_ridge(who)])


def _nose_ridge(who: Identity) -> np.ndarray:
    """The bridge as a chain of bumps from the root to the tip, which widen downwards, and the ball of the tip."""
    along = np.linspace(0, 1, 6)
    v = -4 + along * (who.nose_length + 3.2)
    rise = who.nose_root + (1 - who.nose_root) * along**1.15
    rise += 0.1 * who.nose_hump * bell((along - 0.42) / 0.25)
    rise[-1] = 0.86
    width = who.bridge_width + along**2 * (0.22 * who.nose_width + 0.4 * who.nose_tip)
    spacing = v[1] - v[0]
    amplitude = 0.55 * who.nose_height * rise
    chain = np.stack([np.zeros(6), v, width, np.full(6, spacing * 1.0), amplitude], axis=1)
    tip = [0, who.nose_length - 0.2 - 0.5 * who.nose_turn, 3.9 + 0.45 * who.nose_tip, 3.3, 2.3 + 0.6 * who.nose_tip]
    columella = [0, who.nose_length + 3.6 - 0.5 * who.nose_turn, 1.7, 2.2, 2.4]
    return np.concatenate([chain, [tip, columella]]).astype(np.float32)


def _crease_lids(height: np.ndarray, eye: Eye, who: Identity) -> None:
    """The eyeball in its opening, the rim of the lids, and the crease above."""
    where = eye.window
    s, y = eye.local(where.u, where.v)
    part = where.of(height)
    near = ramp(1.15 - np.abs(s), 0.2)
    upper, lower = eye.upper(s), eye.lower(s)
    open_ = ramp(y - upper, 0.5) * ramp(lower - y, 0.5)
    part -= 1.0 * open_
    part += 0.75 * near * bell((y - upper + 1.1) / 1.0)
    part += 0.5 * near * bell((y - lower - 1.0) / 0.9)
    if who.lid_crease > 0.6:
        fold = upper * 0.85 - who.lid_crease - 0.5 * (1 - s)
        part -= 0.7 * near * bell((y - fold) / 0.8)


def _fold_cheeks(height: np.ndarray, who: Identity, how: Nuisance, curves: Curves) -> None:
    """The nasolabial folds from the alae past the corners of the mouth."""
    depth = 0.16 + 0.5 * how.smile + 0.008 * max(0.0, who.age - 25)
    start, stop = who.nose_length, curves.mouth.v + 2.5
    for side in (-1, 1):
        a, b = sorted((side * 4.0, side * 32.0))
        where = window(a, b, start - 2, stop + 4)
        along = clip((where.v - start) / (stop - start), 0, 1.1)
        path = who.nose_width + 3.0 + (curves.mouth.width + 3.2 - who.nose_width - 3.0) * along**1.3
        across = (side * where.u - path) / 1.7
        fade = np.sin(np.pi * clip(0.12 + 0.9 * along, 0, 1))
        part = where.of(height)
        part -= depth * fade * bell(across)
        part += 0.7 * depth * fade * bell((across - 2.6) / 2.0)


def _swell_lips(height: np.ndarray, mouth: Mouth) -> None:
    where = mouth.window
    part = where.of(height)
    x = where.u / mouth.width
    upper, top, bottom, lower = mouth.edges(x)
    flat = np.maximum(1 - x * x, 0)
    for first, last, rise in ((upper, top, 1.5), (bottom, lower, 2.1)):
        fraction = clip((where.v - first) / np.maximum(last - first, 0.3), 0, 1)
        part += rise * np.sqrt(flat) * np.sqrt(np.maximum(fraction * (1 - fraction), 0)) * 2
    part -= 1.6 * ramp(where.v - top, 0.7) * ramp(bottom - where.v, 0.7) * ramp(flat, 0.1)
    part -= 0.5 * bell((np.abs(x) - 1.0) / 0.12) * bell((where.v - mouth.v - mouth.corner) / 1.6)
    part -= 0.6 * bell((where.v - 0.5 * (top + bottom)) / 0.8) * ramp(flat, 0.15)


def _wrinkle(height: np.ndarray, who: Identity, how: Nuisance) -> None:
    """Forehead lines and crow's feet, deeper with age and with a raised brow or a smile."""
    lines, grain = _wrinkle_draws(who)
    years = max(0.0, who.age - 30) / 45
    depth = 0.42 * years + 0.3 * max(0.0, how.brow_raise)
    if depth > 0.08:
        where = window(-27, 27, -36, -13)
        part = where.of(height)
        for place, phase, middle, width, strength in lines:
            path = place + 1.2 * np.sin(where.u / 7 + phase)
            reach = bell(np.square((where.u - middle) / width))
            part -= depth * strength * reach * bell((where.v - path) / 0.7)
    feet = 0.35 * years + 0.3 * how.smile * years
    for side in (-1, 1):
        a, b = sorted((side * (who.eye_spacing + who.eye_length), side * 37))
        where = window(a, b, -8, 10)
        part = where.of(height)
        for slope in (-0.45, 0.0, 0.45):
            out = (side * where.u - who.eye_spacing - who.eye_length) / 9
            path = 0.5 + 9 * slope * out
            part -= feet * np.sin(np.pi * clip(out, 0, 1)) * bell((where.v - path) / 0.55)
    height += grain


@lru_cache(maxsize=4)
def _wrinkle_draws(who: Identity) -> tuple[list[list[float]], np.ndarray]:
    """Four forehead lines (place, phase, middle, width, strength), and the relief (SIZE, SIZE) of pores."""
    rng = generator(who.texture_seed, 1)
    middle, spread = np.array([[-16, 3, 0, 19, 0.65], [0.8, 1.7, 4, 3, 0.2]])
    draws = middle + spread * rng.standard_normal((4, 5)) - np.array([5.0, 0, 0, 0, 0]) * np.arange(4)[:, None]
    grain = (0.02 + 0.06 * who.roughness) * noise(1, rng) + 0.03 * who.roughness * noise(0, rng)
    return draws.tolist(), grain


def _ears(height: np.ndarray, who: Identity, curves: Curves, face: np.ndarray) -> np.ndarray:
    """Coverage of both ears; their relief goes into `height`."""
    coverage = np.zeros_like(height)
    half_v, half_u = 13.0 + 1.3 * who.ear_size, 4.2 + 0.9 * who.ear_out
    edge = float(np.interp(EAR_DEGREES, np.linspace(-180, 180, len(curves.outline), endpoint=False), curves.outline))
    for side in (-1, 1):
        centre = side * (edge + 0.35 * half_u)
        where = window(centre - 12, centre + 12, 4 - half_v - 4, 4 + half_v + 4)
        x = side * (where.u - centre) - 0.16 * (4 - where.v)
        y = where.v - 4
        width = half_u * (1 - 0.022 * clip(y, -10, 20))
        radius = np.sqrt(np.square(x / width) + np.square(y / half_v))
        ear = ramp((1 - radius) * half_u, 0.5)
        where.of(coverage)[:] = ear
        outside = 1 - where.of(face)
        rim = bell((radius - 0.82) / 0.16)
        bowl = bell((x + 0.3 * half_u) / (0.5 * half_u)) * bell((y - 1) / (0.45 * half_v))
        where.of(height)[:] += ear * outside * (2.0 + 1.4 * rim - 2.4 * bowl)
    return coverage


def _neck(height: np.ndarray, who: Identity, face: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Coverage of the neck below the jaw; its cylinder goes into `height`, where `gap` units from the outline."""
    half = 26.0 + 1.3 * who.fat + (2.5 if who.male else -1.0)
    top = 24.0
    flare = clip((V[:, None] - 54) / 16, 0, 1)
    width = half + 14 * flare * flare
    across = U[None, :] / width
    coverage = ramp((1 - np.abs(across)) * half, 0.6) * ramp(V[:, None] - top, 1.0)
    cylinder = -25 - 13 * np.minimum(across * across, 1)
    away = clip(gap * (1 / 10.0), 0, 1)  # the jaw's underside leads over to the neck
    below = (1 - face) * away * ramp(V[:, None] - top, 8.0)
    height += below * (cylinder - height)
    return coverage


def _landmark_points(who: Identity, curves: Curves) -> list[tuple[float, float]]:
    """(68, 2) points on the canvas in the order of iBUG 300-W."""
    left, right = curves.brows[0].landmarks()[::-1], curves.brows[1].landmarks()
    ridge = [(0.0, float(v)) for v in np.linspace(-1.0, who.nose_length, 4)]
    base = who.nose_length + 4.3
    wing = who.nose_width
    nostrils = [
        (-0.85 * wing, base),
        (-0.45 * wing, base + 0.8),
        (0.0, base + 1.6),
        (0.45 * wing, base + 0.8),
        (0.85 * wing, base),
    ]
    left_eye = curves.eyes[0].landmarks()
    outer, outer_up, inner_up, inner, inner_down, outer_down = curves.eyes[1].landmarks()
    right_eye = [inner, inner_up, outer_up, outer, outer_down, inner_down]
    return curves.jaw_landmarks() + left + right + ridge + nostrils + left_eye + right_eye + curves.mouth.landmarks()
