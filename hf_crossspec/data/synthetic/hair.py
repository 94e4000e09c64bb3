"""Hair and beard: where they grow, and the light and dark of their strands.

A hair style is two curves in polar coordinates around the face: the inner one is the hairline, the outer one the
silhouette, both relative to the outline of the head. Strands run away from the parting.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from hf_crossspec.data.synthetic.canvas import (
    ANGLE_INDEX,
    EVERYWHERE,
    SCALE,
    TABLE_DEGREES,
    U,
    V,
    Window,
    bell,
    bumps,
    clip,
    mirrored,
    noise,
    ramp,
    strand_noise,
)
from hf_crossspec.data.synthetic.geometry import Surface
from hf_crossspec.data.synthetic.identity import Identity, generator

DEGREES = (0.0, 35.0, 60.0, 78.0, 92.0, 105.0, 118.0, 132.0, 148.0, 164.0, 180.0)
FAR = 3.0  # beyond every outline: no hair at this angle
# style -> (hairline, silhouette), relative to the outline of the head, at DEGREES from the chin to the crown
STYLES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "short": (
        (FAR, FAR, 1.6, 1.15, 0.985, 0.955, 0.91, 0.855, 0.75, 0.685, 0.67),
        (0.8, 0.8, 0.9, 1.0, 1.05, 1.09, 1.12, 1.13, 1.12, 1.12, 1.12),
    ),
    "fringe": (
        (FAR, FAR, 1.5, 1.1, 0.97, 0.935, 0.85, 0.72, 0.585, 0.51, 0.485),
        (0.8, 0.8, 0.95, 1.08, 1.14, 1.16, 1.16, 1.15, 1.14, 1.14, 1.14),
    ),
    "long": (
        (1.1, 0.95, 0.93, 0.92, 0.91, 0.90, 0.88, 0.845, 0.755, 0.68, 0.66),
        (2.0, 1.75, 1.62, 1.5, 1.38, 1.3, 1.24, 1.2, 1.17, 1.16, 1.16),
    ),
    "bob": (
        (FAR, 0.97, 0.925, 0.91, 0.90, 0.895, 0.87, 0.82, 0.72, 0.64, 0.62),
        (0.9, 1.2, 1.46, 1.46, 1.4, 1.32, 1.25, 1.2, 1.17, 1.16, 1.16),
    ),
    "curly": (
        (FAR, FAR, 1.4, 1.1, 0.985, 0.95, 0.905, 0.85, 0.75, 0.685, 0.67),
        (0.5, 0.8, 1.1, 1.28, 1.36, 1.37, 1.33, 1.27, 1.2, 1.18, 1.18),
    ),
    "receding": (
        (FAR, FAR, 1.6, 1.15, 0.985, 0.965, 0.94, 0.93, 0.87, 0.77, 0.75),
        (0.8, 0.8, 0.9, 1.0, 1.03, 1.04, 1.04, 1.04, 1.04, 1.05, 1.05),
    ),
    "bald": (
        (FAR, FAR, 1.6, 1.2, 0.99, 0.975, 0.985, 1.2, FAR, FAR, FAR),
        (0.8, 0.8, 0.9, 1.0, 1.02, 1.02, 1.01, 0.9, 0.8, 0.8, 0.8),
    ),
}
STYLES |= {"buzz": (STYLES["short"][0], STYLES["receding"][1]), "parted": STYLES["short"]}
STYLES |= {"tied": (STYLES["short"][0], (0.8, 0.8, 0.9, 1.0, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.08))}

Cover = tuple[Window, np.ndarray, np.ndarray]


def hair_cover(who: Identity, surface: Surface) -> Cover | None:
    """Window, coverage and strand texture of the hair; the hair's thickness is added to the height field."""
    inner, outer = _hair_tables(who)
    strands = _strands(who)
    ragged = (0.03 if who.hair_style in ("fringe", "bob", "curly") else 0.022) * strands
    ratio = surface.ratio
    cover = ramp(ratio - inner[ANGLE_INDEX] + ragged, 0.05)
    cover = cover * ramp(outer[ANGLE_INDEX] - ratio + 0.8 * ragged, 0.028)
    cover *= 1 - surface.neck * (1 - surface.face) * ramp(24 - np.abs(U[None, :]), 3)
    if who.hair_style not in ("long", "bob", "curly"):
        cover *= 1 - surface.ears * (1 - surface.face)
    density = {"buzz": 0.6, "bald": 0.22 if who.male else 0.0}.get(who.hair_style, 0.97)
    if density == 0.0:
        return None
    thickness = {"buzz": 0.5, "bald": 0.2, "receding": 1.2, "tied": 1.2}.get(
        who.hair_style, 2.6 + 0.5 * who.hair_volume
    )
    body = cv2.GaussianBlur(cover * thickness, (0, 0), 1.6 * SCALE)  # a step in height would fold under a turned view
    np.add(surface.height, body * (1 + 0.22 * strands), out=surface.height)
    return EVERYWHERE, density * cover, np.maximum(0.9 + 0.34 * strands, 0.15)


@lru_cache(maxsize=4)
def _hair_tables(who: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Hairline and silhouette (ANGLES,) relative to the outline of the head."""
    rng = generator(who.texture_seed, 3)
    inner_values, outer_values = (np.array(values) for values in STYLES[who.hair_style])
    top = np.array([0, 0, 0, 0, 0, 0.2, 0.45, 0.7, 0.9, 1.0, 1.0])
    inner_values = inner_values + 0.03 * who.hair_line * top + 0.012 * rng.standard_normal(len(DEGREES)) * top
    outer_values = outer_values + 0.035 * max(who.hair_volume, -1.5) * (outer_values > 1.04)
    inner = np.interp(np.abs(TABLE_DEGREES), DEGREES, inner_values).astype(np.float32)
    outer = np.interp(np.abs(TABLE_DEGREES), DEGREES, outer_values).astype(np.float32)
    inner, outer = (_round_off(table) for table in (inner, outer))
    if who.hair_style in ("parted", "fringe", "long", "short"):
        swept = (
            np.sin(np.radians(TABLE_DEGREES))
            * np.sign(who.hair_part)
            * np.cos(np.radians(TABLE_DEGREES) / 2 - np.pi / 2)
        )
        inner += (0.06 * who.hair_part**2 * clip(np.abs(TABLE_DEGREES) - 115, 0, 40) / 40 * swept).astype(np.float32)
    return inner, outer


def _round_off(table: np.ndarray) -> np.ndarray:
    kernel = np.hanning(121)
    padded = np.concatenate([table[-60:], table, table[:60]])
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


@lru_cache(maxsize=4)
def _strands(who: Identity) -> np.ndarray:
    """Brightness of the strands (SIZE, SIZE), zero mean, unit variance, about."""
    rng = generator(who.texture_seed, 5)
    if who.hair_style == "curly":
        return 0.75 * noise(1, rng) + 0.5 * noise(0, rng)
    part_u = 30 * who.hair_part if who.hair_style in ("parted", "long", "bob", "short") else 0.0
    du, dv = U[None, :] - part_u, V[:, None] + 66
    fan = np.arctan2(du, np.maximum(dv, 1.0))
    fan = fan + (0.035 * who.hair_wave) * noise(3, rng) + (0.012 * who.hair_wave) * np.sin(np.hypot(du, dv) / 4.5)
    index = ((fan + 2) * 1000).astype(np.int32) & 4095
    bank = strand_noise()
    shine = 0.55 * np.cos((np.hypot(du, dv) - 30) / 9)
    return 0.6 * bank[1][index] + 0.45 * bank[4][index] + 0.3 * noise(0, rng) + shine


def beard_cover(who: Identity, surface: Surface) -> Cover | None:
    """Window, coverage and strand texture of the beard."""
    density = {"none": 0.1 if who.male else 0.0, "stubble": 0.38}.get(who.beard, 0.88)
    if density == 0.0:
        return None
    rng = generator(who.texture_seed, 4)
    mouth = surface.curves.mouth
    lip = [(4.5, mouth.v - 7.0, 7.5, 3.4, 1.3), (12, mouth.v - 4.0, 4, 3.6, 0.9)]
    chin = [(0, mouth.v + 16, 9, 8, 1.6), (15.5, mouth.v + 4, 2.8, 8, 0.8), (9, mouth.v + 15, 6, 7, 0.9)]
    jaw = [(28, mouth.v + 3, 8, 12, 1.3), (20, mouth.v + 14, 9, 8, 1.4), (36, 20, 4.5, 16, 1.0)]
    rows = {"moustache": lip, "goatee": [*lip, *chin]}.get(who.beard, [*lip, *chin, *jaw])
    grain = noise(0, rng)
    zone = bumps(mirrored(rows))
    lips = bell((U[None, :] / (mouth.width + 1.5)) ** 3)
    lips = lips * bell(np.square((V[:, None] - mouth.v - 0.4 * mouth.gap) / (3.6 + 0.5 * mouth.gap)))
    zone = ramp(zone - 0.55 + 0.1 * grain, 0.3) * (1 - lips) * surface.face
    strands = (
        0.6 * grain
        + 0.6 * strand_noise()[2][((U[None, :] * (1 + 0.02 * V[:, None]) + 90) * 17).astype(np.int32) & 4095]
    )
    if density > 0.5:
        np.add(surface.height, zone * (1.2 + 0.25 * strands), out=surface.height)
    return (
        EVERYWHERE,
        zone * clip(density * (1 + 0.35 * strands * (density < 0.5)), 0, 1),
        clip(1 + 0.25 * strands, 0.3, 1.8),
    )
