"""What each thing looks like to each sensor: reflectances for `vis` and `nir-sim`, temperatures for `thermal-sim`.

Skin follows the two-chromophore picture of Anderson & Parrish (1981, "The optics of human skin", J Invest Dermatol
77) as used in graphics by Donner & Jensen (2006, "A spectral BSSRDF for shading human skin"): light crosses an
epidermis that holds melanin, is scattered back by the dermis, and is filtered by the haemoglobin there, so the
reflectance of a band is the bloodless dermis times exp(-melanin - haemoglobin). Melanin absorbs with a falling power
of the wavelength (about -3.3, Jacques 1998), flattened here within the visible because blue light travels a shorter
way; at 850 nm little is left. Haemoglobin has its bands in the blue and green, lets red pass, and is nearly flat and
weak at 850 nm. Hair is the same law with eumelanin and pheomelanin. The melanin of the irises is transparent at 850
nm: all look alike.

Temperatures (degrees Celsius) follow published maps of resting faces (e.g. Ioannou, Gallese & Merla 2014, "Thermal
infrared imaging in psychophysiology"; Buddharaju et al. 2007 for the vessels): warm inner corners of the eyes, forehead
and neck, cool nose, ears, cheeks and hair; glass is opaque at 8-14 um and shows the temperature of the room.
"""

from __future__ import annotations

import numpy as np

from hf_crossspec.data.synthetic.canvas import bumps, mirrored
from hf_crossspec.data.synthetic.geometry import Surface
from hf_crossspec.data.synthetic.identity import Identity
from hf_crossspec.data.synthetic.layers import Layer
from hf_crossspec.data.synthetic.nuisance import Nuisance

# Per band: red, green, blue; near infrared (850 nm). Optical densities at full concentration.
DERMIS = {"vis": np.array([0.79, 0.65, 0.565]), "nir-sim": np.array([0.80])}
MELANIN = {"vis": np.array([2.0, 2.45, 2.65]), "nir-sim": np.array([0.38])}
HAEMOGLOBIN = {"vis": np.array([0.12, 0.72, 0.84]), "nir-sim": np.array([0.11])}
KERATIN = {"vis": np.array([0.50, 0.37, 0.22]), "nir-sim": np.array([0.62])}
EUMELANIN = {"vis": np.array([3.1, 3.3, 3.1]), "nir-sim": np.array([0.55])}
PHEOMELANIN = {"vis": np.array([0.15, 0.95, 1.7]), "nir-sim": np.array([0.1])}
FIXED = {
    "sclera": {"vis": (0.43, 0.40, 0.38), "nir-sim": (0.52,)},
    "caruncle": {"vis": (0.55, 0.27, 0.23), "nir-sim": (0.55,)},
    "pupil": {"vis": (0.008, 0.008, 0.008), "nir-sim": (0.02,)},
    "mouth": {"vis": (0.06, 0.016, 0.014), "nir-sim": (0.10,)},
    "teeth": {"vis": (0.72, 0.66, 0.54), "nir-sim": (0.62,)},
    "lens": {"vis": (0.9, 0.93, 0.95), "nir-sim": (0.9,)},
}
ROOM = 23.0
# Temperatures; those in brackets are relative to the skin beneath.
TEMPERATURE = {"sclera": 33.6, "iris": 33.2, "pupil": 33.2, "caruncle": 35.8, "mouth": 35.6, "teeth": 33.0}
TEMPERATURE |= {"hair": 28.0, "brow": 32.0, "beard": 30.8, "frame": 25.5, "lens": 25.0}
INFRARED_COVER = {"brow": 0.75, "lash": 0.7, "beard": 0.75, "crease": 0.6}  # thin hair lets 850 nm through
THERMAL_COVER = {"brow": 0.6, "beard": 0.75, "hair": 0.95, "lens": 1.0}


def skin_reflectance(melanin: np.ndarray, haemoglobin: np.ndarray, modality: str) -> np.ndarray:
    """Reflectance (C, ...) of skin with chromophores (...) in 0..1; C is 3 for `vis`, 1 for `nir-sim`."""
    shape = (-1,) + (1,) * np.ndim(melanin)
    dermis, brown, red = (band[modality].astype(np.float32).reshape(shape) for band in (DERMIS, MELANIN, HAEMOGLOBIN))
    return dermis * np.exp(-brown * melanin - red * haemoglobin)


def hair_reflectance(who: Identity, modality: str, darker: float = 0.0) -> np.ndarray:
    """Mean reflectance (C,) of hair, `darker` by an extra share of eumelanin (brows, lashes)."""
    eumelanin = min(who.hair_melanin + darker, 1.1)
    pigmented = KERATIN[modality] * np.exp(-EUMELANIN[modality] * eumelanin - PHEOMELANIN[modality] * who.hair_red)
    grey = who.hair_grey * (1 - 0.8 * (darker > 0))
    return pigmented + grey * (0.42 - pigmented)


def reflectance(material: str, who: Identity, modality: str) -> tuple[np.ndarray, bool]:
    """Reflectance (C,) of a material; True when it filters what is beneath rather than hides it."""
    if material in ("hair", "brow", "beard", "lash"):
        extra = {"hair": 0.0, "brow": 0.12, "beard": 0.08, "lash": 0.6}[material]
        return hair_reflectance(who, modality, extra), False
    if material == "iris":
        base = {"vis": np.array([0.13, 0.20, 0.265]), "nir-sim": np.array([0.36])}[modality]
        density = {"vis": np.array([0.75, 1.95, 3.0]), "nir-sim": np.array([0.22])}[modality]
        return base * np.exp(-density * who.iris), False
    if material == "lips":
        return _lips(who, modality), False
    if material in ("crease", "cavity", "shadow"):
        deep = {"crease": 0.9, "cavity": 2.6, "shadow": 1.0}[material]
        return np.exp(-deep * (np.array([0.75, 1.0, 1.05]) if modality == "vis" else np.array([0.62]))), True
    if material == "paint":
        return np.array([0.35, 0.25, 0.27]) if modality == "vis" else np.array([0.85]), True
    if material == "frame":
        return _frame(who, modality), False
    return np.array(FIXED[material][modality]), material == "lens"


def _lips(who: Identity, modality: str) -> np.ndarray:
    blood = np.array(0.75 + 0.75 * who.lip_redness + 0.4 * who.haemoglobin)
    bare = skin_reflectance(np.array(0.05 + 0.82 * who.melanin), blood, modality) * (
        0.95 if modality == "vis" else 0.92
    )
    if modality != "vis":
        return bare
    bare = bare * np.array([0.93, 0.88, 1.06])  # the vermilion has no keratin to yellow it
    return bare * (1 - 0.6 * who.lip_paint) + 0.6 * who.lip_paint * np.array([0.42, 0.05, 0.07])


def _frame(who: Identity, modality: str) -> np.ndarray:
    lightness, hue = who.glasses[4:6] if who.glasses else (1.0, 0.0)
    if modality == "vis":  # from black over tortoiseshell to steel
        tint = np.array([0.9, 0.5, 0.22]) + hue * np.array([-0.15, 0.22, 0.52])
        return 0.015 + 0.28 * max(0.0, lightness - 0.45) * tint
    return np.array([0.16 + 0.3 * max(0.0, lightness - 0.45)])


def paint_reflectance(
    who: Identity, marks: tuple[np.ndarray, np.ndarray], layers: list[Layer], modality: str
) -> np.ndarray:
    """Reflectance (C, SIZE, SIZE) of the whole head."""
    depth = 1.0 if modality == "vis" else 0.5  # deeper light blurs superficial marks
    melanin = np.maximum(who.melanin + depth * marks[0], 0)
    haemoglobin = np.maximum(who.haemoglobin + depth * marks[1], 0)
    image = skin_reflectance(melanin, haemoglobin, modality)
    for layer in layers:
        colour, filters = reflectance(layer.material, who, modality)
        strength = 1.0 if modality == "vis" else INFRARED_COVER.get(layer.material, 1.0)
        _cover(layer.where.of(image), layer, strength, colour.astype(np.float32), filters)
    return image


def _cover(part: np.ndarray, layer: Layer, strength: float, colour: np.ndarray, filters: bool) -> None:
    value = colour[:, None, None]
    cover = layer.cover if strength == 1.0 else strength * layer.cover
    if filters:
        part *= 1 - cover * (1 - value)
    else:
        part += cover * (value * layer.texture - part)


def temperature(who: Identity, how: Nuisance, surface: Surface, layers: list[Layer], blood: np.ndarray) -> np.ndarray:
    """Temperature (SIZE, SIZE) of the head's surface in degrees Celsius."""
    eye, nose = who.eye_spacing, who.nose_length
    rows = [
        (eye - who.eye_length + 0.5, 0.5, 3.6, 3.2, 1.7),
        (0, -24, 20, 11, 0.75),
        (0, nose, 8.0, 7.5, -1.3 - how.nose_cooling),
        (0, nose - 11, 4.5, 9, -0.5),
        (24, 18, 10, 10, -0.8 - 0.35 * who.fat),
        (41.5, 6, 5, 13, -2.0),
        (0, who.mouth_height + 1, 12, 4, 0.4),
        (0, 58, 10, 6, -0.7),
        (30, -22, 7, 9, 0.45),
    ]
    field = bumps(np.concatenate([mirrored(rows), who.vessels]))
    field += 34.0 + how.flush + 0.25 * blood
    field += (
        1.0 * surface.neck * (1 - surface.face) - 0.012 * np.maximum(-surface.height - 12, 0) ** 2 * surface.face * 0.3
    )
    for layer in layers:
        if layer.material in TEMPERATURE:
            part = layer.where.of(field)
            part += THERMAL_COVER.get(layer.material, 1.0) * layer.cover * (TEMPERATURE[layer.material] - part)
    return field
