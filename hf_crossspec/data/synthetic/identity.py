"""A person: the numbers that stay the same from picture to picture.

Lengths are in units of the 112 x 112 template's pixels (about 1.8 mm). Means and spreads follow adult anthropometry
(Farkas 1994, "Anthropometry of the Head and Face": face width 137 +- 5 mm, palpebral fissure 31 +- 1.5 mm, nose width
31 to 45 mm over populations, mouth width 51 +- 4 mm), spread a little wider so that all populations are covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_crossspec.errors import InputError

SPLITS = ("train", "test")
SPREAD = 1.2  # of shape; EdgeFace finds strangers too similar at 1.0
HAIR_STYLES = ("bald", "buzz", "short", "parted", "fringe", "long", "bob", "curly", "receding", "tied")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
ATTRIBUTES = ("bald", "big_nose", "chubby", "narrow_eyes", "male_shape", "glasses", "beard")


@dataclass(frozen=True, eq=False)
class Identity:
    """One person. Fields without a note are deviations in standard deviations, roughly -2.5 to 2.5."""

    subject_id: str
    texture_seed: int
    male: bool  # male-coded shape
    age: float  # years, 18 to 78
    fat: float
    face_width: float
    forehead_width: float
    jaw_width: float
    chin_width: float
    chin_length: float
    chin_height: float
    cheekbones: float
    brow_ridge: float
    forehead_slope: float
    eye_spacing: float  # half the distance of the eye centres
    eye_length: float  # half the palpebral fissure
    eye_height: float  # opening of the relaxed eye over its length
    eye_tilt: float  # rise of the outer corner per unit
    eye_skew: float  # where the upper lid peaks: -1 inner, 1 outer
    eye_depth: float
    lid_crease: float  # distance of the crease from the lid; below 0.6 there is none (epicanthic lid)
    bags: float  # 0 to 1
    brow_height: float  # above the eye centre
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    brow_length: float
    brow_density: float  # 0 to 1
    nose_length: float  # eye line to tip
    nose_width: float  # half the distance of the alae
    nose_height: float  # protrusion of the tip
    nose_root: float  # protrusion at the eyes, fraction of the tip's
    nose_hump: float
    nose_tip: float  # size of the ball
    nose_turn: float  # up-turned positive
    bridge_width: float
    mouth_height: float  # eye line to mouth line
    mouth_width: float  # half
    upper_lip: float
    lower_lip: float
    cupid: float
    muzzle: float
    lip_corner: float
    ear_size: float
    ear_out: float
    cleft: float  # chin cleft, 0 to 1
    melanin: float  # 0 (fairest) to 1 (darkest)
    haemoglobin: float  # 0 to 1
    lip_redness: float
    freckles: float  # 0 to 1
    roughness: float
    oil: float  # 0 to 1
    hair_style: str
    hair_line: float
    hair_volume: float
    hair_part: float  # -1 to 1, of the half-width of the head
    hair_wave: float
    hair_melanin: float  # eumelanin, 0 blond to 1 black
    hair_red: float  # pheomelanin, 0 to 1
    hair_grey: float  # 0 to 1
    beard: str
    iris: float  # iris melanin: 0 blue to 1 dark brown
    lip_paint: float
    eye_paint: float
    glasses: tuple[float, ...]  # empty, or half-width, half-height, squareness, thickness, lightness, hue
    bumps: np.ndarray  # (K, 5) free-form relief, rows as `canvas.bumps` takes them
    moles: np.ndarray  # (M, 4) rows of u, v, radius, darkness
    vessels: np.ndarray  # (N, 5) warm superficial vessels, rows as `canvas.bumps` takes them

    @property
    def attributes(self) -> dict[str, bool]:
        """Binary attributes, by thresholds on the parameters that draw them."""
        return {
            "bald": self.hair_style == "bald",
            "big_nose": self.nose_width + 0.5 * self.nose_height > 14.2,
            "chubby": self.fat > 1.0,
            "narrow_eyes": self.eye_height < 0.57,
            "male_shape": self.male,
            "glasses": bool(self.glasses),
            "beard": self.beard in ("goatee", "full"),
        }


def generator(*key: int) -> np.random.Generator:
    """The random numbers of one thing, by a key of non-negative integers: the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key))))


def split_code(split: str) -> int:
    """The number of a split, as part of a key of `generator`.

    Raises:
        InputError: an unknown split.
    """
    if split not in SPLITS:
        raise InputError(f"SpectralFaces has no split {split!r}; there are {', '.join(SPLITS)}")
    return SPLITS.index(split)


def draw_identity(split: str, subject: int, seed: int = 0) -> Identity:
    """Person number `subject` of a split; the split is part of the key, so splits share nobody."""
    rng = generator(seed, split_code(split), subject)
    male = bool(rng.random() < 0.5)
    age = float(np.clip(18 + rng.gamma(2.2, 10.0), 18, 78))
    melanin = float(np.clip(rng.beta(1.0, 1.6), 0.02, 0.98))
    fields: dict[str, Any] = {"male": male, "age": age, "melanin": melanin}
    fields |= _draw_head(rng, 1.0 if male else -1.0)
    fields |= _draw_eyes(rng, 1.0 if male else -1.0, age)
    fields |= _draw_nose_and_mouth(rng, 1.0 if male else -1.0)
    fields |= _draw_skin(rng, age)
    fields |= _draw_hair(rng, male, age, melanin)
    fields |= _draw_paint_and_glasses(rng, male, melanin)
    fields |= {"bumps": _draw_relief(rng), "moles": _draw_moles(rng), "vessels": _draw_vessels(rng)}
    return Identity(f"{split}-{seed}-{subject:05d}", int(rng.integers(2**31)), **fields)


def _deviate(rng: np.random.Generator) -> Callable[[], float]:
    return lambda: SPREAD * rng.standard_normal()


def _draw_head(rng: np.random.Generator, sex: float) -> dict[str, float]:
    g = _deviate(rng)
    return {
        "fat": g(),
        "face_width": g() + 0.25 * sex,
        "forehead_width": g(),
        "jaw_width": g() + 0.6 * sex,
        "chin_width": g() + 0.5 * sex,
        "chin_length": g() + 0.5 * sex,
        "chin_height": g() + 0.3 * sex,
        "cheekbones": g() - 0.2 * sex,
        "brow_ridge": g() + 0.8 * sex,
        "forehead_slope": g() + 0.4 * sex,
        "ear_size": g() + 0.3 * sex,
        "ear_out": g(),
        "cleft": float(max(0.0, rng.random() * 3 - 2)),
        "muzzle": g(),
    }


def _draw_eyes(rng: np.random.Generator, sex: float, age: float) -> dict[str, float]:
    g = _deviate(rng)
    return {
        "eye_spacing": 17.6 + 1.25 * g(),
        "eye_length": 8.2 + 0.75 * g() + 0.1 * sex,
        "eye_height": float(np.clip(0.66 + 0.115 * g() - 0.03 * sex, 0.38, 0.95)),
        "eye_tilt": 0.06 + 0.085 * g() - 0.02 * sex - 0.0015 * (age - 35),
        "eye_skew": 0.35 * g(),
        "eye_depth": g() + 0.3 * sex,
        "lid_crease": float(np.clip(2.0 + 1.2 * g(), 0, 4.5)),
        "bags": float(np.clip((age - 25) / 60 + 0.25 * g(), 0, 1)),
        "brow_height": 10.6 + 1.5 * g() - 0.7 * sex,
        "brow_thickness": float(np.clip(2.0 + 0.55 * g() + 0.35 * sex, 0.8, 3.4)),
        "brow_arch": 1.7 + 0.75 * g() - 0.4 * sex,
        "brow_tilt": 0.03 + 0.06 * g(),
        "brow_length": 11.2 + 1.0 * g(),
        "brow_density": float(np.clip(0.80 + 0.18 * g() + 0.06 * sex, 0.3, 1)),
    }


def _draw_nose_and_mouth(rng: np.random.Generator, sex: float) -> dict[str, float]:
    g = _deviate(rng)
    return {
        "nose_length": 20.4 + 1.9 * g() + 0.4 * sex,
        "nose_width": 8.4 + 1.35 * g() + 0.4 * sex,
        "nose_height": 10.0 + 1.7 * g() + 0.5 * sex,
        "nose_root": float(np.clip(0.42 + 0.15 * g() + 0.03 * sex, 0.1, 0.8)),
        "nose_hump": g() + 0.2 * sex,
        "nose_tip": g() + 0.3 * sex,
        "nose_turn": g() - 0.3 * sex,
        "bridge_width": float(np.clip(5.9 + 0.8 * g() + 0.2 * sex, 4.0, 8.5)),
        "mouth_height": 40.6 + 1.8 * g() + 0.4 * sex,
        "mouth_width": 14.2 + 1.5 * g() + 0.4 * sex,
        "upper_lip": float(np.clip(3.2 + 1.05 * g() - 0.3 * sex, 1.0, 6)),
        "lower_lip": float(np.clip(4.4 + 1.15 * g() - 0.3 * sex, 1.8, 7.5)),
        "cupid": float(np.clip(0.5 + 0.35 * g(), 0, 1.4)),
        "lip_corner": g(),
    }


def _draw_skin(rng: np.random.Generator, age: float) -> dict[str, float]:
    g = rng.standard_normal
    return {
        "haemoglobin": float(np.clip(0.42 + 0.16 * g(), 0.08, 0.9)),
        "lip_redness": float(np.clip(0.5 + 0.22 * g(), 0.05, 1.0)),
        "freckles": float(np.clip(rng.random() * 2.6 - 1.6, 0, 1)),
        "roughness": float(np.clip(0.35 + 0.25 * g() + 0.004 * (age - 30), 0.05, 1.2)),
        "oil": float(np.clip(0.45 + 0.22 * g(), 0.05, 1)),
    }


def _draw_hair(rng: np.random.Generator, male: bool, age: float, melanin: float) -> dict[str, Any]:
    g = rng.standard_normal
    male_odds = np.array([0.6 + 0.02 * (age - 25), 1.2, 3, 2, 1, 0.3, 0.2, 0.6 + melanin, 0.03 * (age - 22), 0.4])
    female_odds = np.array([0.04, 0.1, 0.7, 0.8, 1.4, 3, 1.8, 0.8 + melanin, 0.05, 1.8])
    odds = np.maximum(male_odds if male else female_odds, 0.01)
    style = HAIR_STYLES[int(np.searchsorted(np.cumsum(odds / odds.sum()), rng.random()))]
    beard_odds = np.cumsum([0.5, 0.2, 0.08, 0.08, 0.14])
    beard = BEARDS[int(np.searchsorted(beard_odds, rng.random() * 0.9999))]
    blondness = (1 - melanin) ** 1.5
    return {
        "hair_style": style,
        "hair_line": g() + 0.4 * male + 0.012 * (age - 35),
        "hair_volume": g(),
        "hair_part": float(rng.uniform(-0.75, 0.75)),
        "hair_wave": float(np.clip(0.5 + 0.5 * g(), 0, 1.6)),
        "hair_melanin": float(np.clip(1 - blondness * rng.random() * 1.1, 0.08, 1)),
        "hair_red": float(np.clip(0.25 + 0.3 * g(), 0, 1)) * blondness,
        "hair_grey": float(np.clip((age - 48) / 28 + 0.25 * g(), 0, 1)),
        "beard": beard if male else "none",
        "iris": float(np.clip(1 - blondness * rng.random() * 1.6, 0.0, 1)),
    }


def _draw_paint_and_glasses(rng: np.random.Generator, male: bool, melanin: float) -> dict[str, Any]:
    painted = not male and rng.random() < 0.55
    lips, eyes = rng.random(2).tolist()
    frame = (rng.uniform(10.5, 13), rng.uniform(7, 10), rng.uniform(2.2, 5), rng.uniform(0.45, 1.2), rng.random())
    wears = rng.random() < 0.17
    return {
        "lip_paint": lips if painted else 0.0,
        "eye_paint": eyes if painted else 0.15 * eyes,
        "glasses": (*frame, float(rng.random())) if wears else (),
    }


def _draw_relief(rng: np.random.Generator) -> np.ndarray:
    """Free-form relief: what makes a face somebody's own beyond the named measures. Nearly symmetric."""
    count = 18
    u, v = rng.uniform(5, 33, count), rng.uniform(-36, 58, count)
    width = rng.uniform(4.0, 10, (2, count))
    amplitude = np.where(v < -14, 0.6, 1.1) * rng.standard_normal(count)  # the forehead is bone
    right = np.stack([u, v, *width, amplitude], axis=1)
    left = np.stack([-u, v, *width, amplitude + 0.25 * rng.standard_normal(count)], axis=1)
    return np.concatenate([right, left]).astype(np.float32)


def _draw_moles(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.poisson(2.2))
    u, v = rng.uniform(-32, 32, count), rng.uniform(-30, 56, count)
    return np.stack([u, v, rng.uniform(0.45, 1.1, count), rng.uniform(0.3, 0.9, count)], axis=1).astype(np.float32)


def _draw_vessels(rng: np.random.Generator) -> np.ndarray:
    """Superficial vessels (supratrochlear, superficial temporal, facial artery) as chains of warm spots."""
    chains = []
    for u, v, du, dv in ((7, -12, 0.3, -4), (28, -16, 1.2, -4), (19, 42, -1.2, -4.5), (24, 8, 2.0, 3)):
        for side in (-1, 1):
            steps = np.arange(6)[:, None]
            wander = np.cumsum(rng.normal(0, 0.9, (6, 2)), axis=0) + rng.normal(0, 2.0, 2)
            path = np.array([u, v]) + steps * np.array([du, dv]) + wander
            heat = np.full((6, 1), max(0.0, rng.normal(0.45, 0.35)))
            chains.append(np.hstack([path * [side, 1], np.full((6, 2), 2.2), heat]))
    return np.concatenate(chains).astype(np.float32)
