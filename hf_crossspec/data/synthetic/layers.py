"""What covers the skin, in the order it is painted: eyes, mouth, brows, beard, hair, glasses.

A layer says where something is and how its strength varies; what it looks like in a modality is said in materials.py.
So all modalities of a picture share one geometry, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hf_crossspec.data.synthetic.canvas import Window, bell, bumps, clip, mirrored, noise, ramp, strand_noise, window
from hf_crossspec.data.synthetic.curves import Brow, Eye, Mouth
from hf_crossspec.data.synthetic.geometry import Surface
from hf_crossspec.data.synthetic.hair import beard_cover, hair_cover
from hf_crossspec.data.synthetic.identity import Identity, generator
from hf_crossspec.data.synthetic.nuisance import Nuisance

IRIS_RADIUS = 3.25  # 11.7 mm across, nearly the same in all adults


@dataclass(frozen=True)
class Layer:
    """Coverage (h, w) in 0..1 of a named material over a window; `texture` (h, w) multiplies its reflectance."""

    material: str
    where: Window
    cover: np.ndarray
    texture: np.ndarray | float = 1.0


def face_layers(who: Identity, how: Nuisance, surface: Surface) -> list[Layer]:
    """All layers over the skin, innermost first."""
    curves = surface.curves
    layers = [_under_jaw(surface), *_nostrils(who), *_mouth(curves.mouth, who)]
    for eye in curves.eyes:
        layers += _eye(eye, who, how)
    layers += [_brow(brow, who) for brow in curves.brows]
    for material, found in (("beard", beard_cover(who, surface)), ("hair", hair_cover(who, surface))):
        if found is not None:
            layers.append(Layer(material, found[0], found[1], found[2]))
    return layers + (_glasses(who, surface) if who.glasses else [])


def _under_jaw(surface: Surface) -> Layer:
    """The neck close below the jaw sees little of the sky."""
    where = window(-45, 45, 22, 70)
    below = where.of(surface.neck) * (1 - where.of(surface.face))
    return Layer("shadow", where, below * np.exp((1 - where.of(surface.ratio)) * 3.0))


def _nostrils(who: Identity) -> list[Layer]:
    layers = []
    for side in (-1, 1):
        u, v = side * 0.5 * who.nose_width, who.nose_length + 3.5 - 0.35 * who.nose_turn
        where = window(u - 6, u + 6, v - 5, v + 5)
        x = side * (where.u - u) / (0.27 * who.nose_width)
        y = (where.v - v + 0.25 * side * (where.u - u)) / (1.15 + 0.2 * who.nose_turn)
        layers.append(Layer("cavity", where, 0.7 * ramp(1 - np.square(x) - np.square(y), 1.0)))
        wing_u, wing_v = who.nose_width + 0.4, who.nose_length + 1.4
        where = window(side * wing_u - 5, side * wing_u + 5, wing_v - 6, wing_v + 6)
        x, y = side * where.u - wing_u + 2.4, where.v - wing_v
        arc = bell((np.hypot(x, y) - 3.0) / 0.7) * ramp(x - 0.8, 0.9)
        layers.append(Layer("crease", where, 0.28 * arc))
    return layers


def _mouth(mouth: Mouth, who: Identity) -> list[Layer]:
    where = mouth.window
    x, v = where.u / mouth.width, where.v
    upper, top, bottom, lower = mouth.edges(x)
    inside = ramp((1 - np.abs(x)) * mouth.width - 0.8, 1.6)
    lips = (
        ramp(v - upper, 0.55) * ramp(top - v + 0.2, 0.5) + ramp(v - bottom + 0.2, 0.5) * ramp(lower - v, 0.7)
    ) * inside
    lines = 1 + 0.07 * strand_noise()[3][((where.u + 40 + 0.15 * v) * 28).astype(int) % 4096]
    layers = [Layer("lips", where, (0.8 + 0.15 * who.lip_paint) * np.minimum(lips, 1), lines)]
    opening = ramp(v - top, 0.5) * ramp(bottom - v, 0.5) * inside
    if mouth.gap > 0.6:
        layers.append(Layer("mouth", where, opening))
        teeth = opening * ramp(top + min(4.6, 0.9 * mouth.gap) - v, 0.6) * ramp(0.86 - np.abs(x), 0.2)
        slits = np.abs(np.mod(where.u / 3.4 + 0.5, 1.0) - 0.5)
        shade = (1 - 0.35 * bell(slits / 0.07)) * (1 - 0.5 * x * x)
        layers.append(Layer("teeth", where, teeth, shade + 0 * v))
    else:
        line = bell((v - 0.5 * (top + bottom)) / 0.65) * inside
        layers.append(Layer("cavity", where, 0.62 * line))
    return layers


def _eye(eye: Eye, who: Identity, how: Nuisance) -> list[Layer]:
    where = eye.window
    s, y = eye.local(where.u, where.v)
    upper, lower = eye.upper(s), eye.lower(s)
    opening = ramp(y - upper, 0.45) * ramp(lower - y, 0.45) * ramp(1 - np.abs(s), 0.06)
    shade = (0.4 + 0.6 * ramp(y - upper - 0.9, 1.8)) * (1 - 0.4 * np.square(s) ** 2)
    gaze_u, gaze_v = eye.u + how.gaze[0], eye.v - 0.75 + how.gaze[1]
    du, dv = where.u - gaze_u, where.v - gaze_v
    distance = np.sqrt(np.square(du) + np.square(dv)) / IRIS_RADIUS
    turn = ((np.arctan2(du, dv) + np.pi) * (4095 / 6.2832)).astype(int)
    fibres = 1 + 0.16 * strand_noise()[3][turn] + 0.35 * ramp(distance - 0.2, 0.6) - 0.75 * ramp(distance - 0.86, 0.16)
    near = ramp(1.12 - np.abs(s), 0.12)
    thick = 0.62 + 0.25 * who.eye_paint + 0.15 * s
    lash = bell((y - upper + 0.15) / thick) * (0.64 + 0.32 * who.eye_paint)
    lash += bell((y - lower) / 0.45) * (0.16 + 0.35 * who.eye_paint) * ramp(s + 0.4, 0.8)
    layers = [
        Layer("sclera", where, opening, shade),
        Layer("caruncle", where, 0.7 * opening * ramp(-0.82 - s, 0.1), shade),
        Layer("iris", where, opening * ramp(1 - distance, 0.14), fibres * (0.45 + 0.55 * shade)),
        Layer("pupil", where, opening * ramp(how.pupil - distance, 0.13)),
        Layer("lash", where, np.minimum(lash * near, 1)),
    ]
    if who.lid_crease > 0.6:
        fold = upper * 0.85 - who.lid_crease - 0.5 * (1 - s)
        layers.insert(0, Layer("crease", where, 0.3 * near * bell((y - fold) / 0.75)))
    if who.eye_paint > 0.3:
        lid = ramp(upper - y, 0.6) * ramp(y - upper + 0.8 + who.lid_crease, 1.2) * near
        layers.insert(0, Layer("paint", where, 0.45 * who.eye_paint * lid))
    return layers


def glints(eye: Eye, how: Nuisance, frontal: bool) -> tuple[Window, np.ndarray]:
    """The mirror image of the light on a cornea, additive, (h, w)."""
    where = eye.window
    s, y = eye.local(where.u, where.v)
    light = (0.0, 0.0, 1.0) if frontal else how.light
    u, v = eye.u + how.gaze[0] + 1.9 * light[0], eye.v - 0.9 + how.gaze[1] + 1.9 * light[1]
    spot = bell((where.u - u) / 0.65) * bell((where.v - v) / 0.65)
    return where, spot * ramp(y - eye.upper(s), 0.6) * ramp(eye.lower(s) - y, 0.6)


def _brow(brow: Brow, who: Identity) -> Layer:
    where = brow.window
    s = brow.side * (where.u - brow.u) / brow.length
    offset = where.v - brow.centre(s)
    taper = clip(1.05 - 0.75 * clip(s - 0.15, 0, 1) ** 1.6, 0.1, 1) * brow.thickness
    band = bell(np.abs(offset / taper) ** 1.5) * ramp(s + 0.02, 0.12) * ramp(1.02 - s, 0.22)
    strokes = strand_noise()[2][((brow.side * where.u * 1.1 + 0.75 * where.v + 90) * 19).astype(int) % 4096]
    cover = band * clip(who.brow_density * (0.85 + 0.3 * strokes), 0, 1)
    return Layer("brow", where, cover, 1 + 0.12 * strokes)


def _glasses(who: Identity, surface: Surface) -> list[Layer]:
    half_u, half_v, square, thick, _, _ = who.glasses
    where = window(-46, 46, -16, 20)
    centre_u, centre_v = max(who.eye_spacing + 0.3, half_u + 3.2), 2.0
    x, y = np.abs(np.abs(where.u) - centre_u) / half_u, np.abs(where.v - centre_v) / half_v
    radius = (x**square + y**square) ** np.float32(1 / square)
    scale = min(half_u, half_v)
    ring = ramp(thick - np.abs(radius - 1) * scale, 0.45)
    bridge = ramp(thick * 0.9 - np.abs(where.v - centre_v + 2.5 - 0.05 * where.u**2), 0.45)
    bridge = bridge * ramp(centre_u - half_u - np.abs(where.u), 0.5)
    arm = ramp(thick - np.abs(where.v - centre_v + 3), 0.45) * ramp(np.abs(where.u) - centre_u - half_u, 0.5)
    arm = arm * where.of(surface.face)
    lens = ramp((1 - radius) * scale, 0.4)
    streak = 0.5 + 0.5 * ramp(np.sin(0.22 * (where.u + where.v)) - 0.75, 0.3)
    return [Layer("lens", where, lens, streak), Layer("frame", where, np.maximum(np.maximum(ring, bridge), arm))]


@lru_cache(maxsize=4)
def skin_marks(who: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Melanin and haemoglobin of the skin relative to its mean, each (SIZE, SIZE) and around 0."""
    rng = generator(who.texture_seed, 2)
    melanin, blood = _chroma_bumps(who)
    blotch, fine = noise(2, rng), noise(1, rng)
    melanin += 0.014 * blotch + 0.012 * fine
    blood += 0.035 * noise(2, rng) + 0.035 * noise(1, rng) * (0.4 + who.roughness)
    if who.freckles > 0.05:
        zone = window(-34, 34, -34, 34)
        spots = ramp(zone.of(0.8 * noise(1, rng) + 0.6 * noise(0, rng)) - 1.75 + 0.6 * who.freckles, 0.4)
        fade = bell((zone.v - 9) / 20)
        zone.of(melanin)[:] += 0.30 * who.freckles * spots * fade * (1.15 - who.melanin)
    for u, v, radius, dark in who.moles.tolist():
        spot = window(u - 4, u + 4, v - 4, v + 4)
        spot.of(melanin)[:] += dark * bell((spot.u - u) / radius) * bell((spot.v - v) / radius)
    return melanin, blood


def _chroma_bumps(who: Identity) -> tuple[np.ndarray, np.ndarray]:
    eye = who.eye_spacing
    brown = [(eye - 2, 4, 10, 7, 0.04 + 0.05 * who.bags), (0, -32, 24, 9, 0.02), (0, 36, 12, 7, 0.02)]
    red = [
        (25, 17, 10, 9, 0.20 + 0.15 * who.lip_redness),
        (0, who.nose_length, 6, 4.5, 0.22),
        (eye, 6, 8, 3.0, 0.10 + 0.16 * who.bags),
        (eye, -4, 8, 3.0, 0.10),
        (0, 57, 9, 6, 0.08),
        (41, 6, 6, 14, 0.22),
    ]
    return bumps(mirrored(brown)), bumps(mirrored(red))
