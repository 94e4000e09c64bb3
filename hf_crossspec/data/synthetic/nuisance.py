"""What changes from picture to picture of one person: pose, expression, light, camera and alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_crossspec.data.synthetic.identity import generator, split_code


@dataclass(frozen=True)
class Nuisance:
    """The conditions of one picture. Angles are in degrees, directions point from the face to the light."""

    yaw: float  # positive turns the face to the picture's right
    pitch: float  # positive looks down
    roll: float  # left over after alignment
    smile: float  # 0 to 1
    mouth_open: float  # 0 to 1
    brow_raise: float  # -0.5 to 1
    lids: float  # opening of the lids relative to the relaxed eye, about 0.6 to 1.2
    gaze: tuple[float, float]
    pupil: float  # radius over the iris radius
    light: tuple[float, float, float]  # direction of the key light (right, down, towards the camera)
    light_strength: float  # share of the key light; the rest is ambient
    warmth: float  # colour temperature of the light, -1 cool to 1 warm
    exposure: float
    blur: float  # of the camera, in pixels of the crop
    noise: float  # standard deviation over the full range
    shift: tuple[float, float]  # error of the alignment in pixels
    zoom: float
    flush: float  # change of the skin's temperature, in kelvin
    nose_cooling: float  # in kelvin, beyond the usual
    background_seed: int


def draw_nuisance(split: str, subject: int, image: int, view: int = 0, seed: int = 0) -> Nuisance:
    """Conditions of picture `image`; `view` numbers the unaligned renderings of it, 0 is shared by all modalities."""
    rng = generator(seed, split_code(split), subject, image, view)
    g = rng.standard_normal
    smile = float(np.clip(rng.random() * 1.7 - 0.7, 0, 1))
    return Nuisance(
        yaw=float(np.clip(8.0 * g(), -18, 18)),
        pitch=float(np.clip(5.0 * g(), -11, 11)),
        roll=float(1.2 * g()),
        smile=smile,
        mouth_open=float(np.clip(rng.random() * 2.2 - 1.5 + 0.3 * smile, 0, 0.7)),
        brow_raise=float(np.clip(0.25 * g() + 0.1, -0.5, 1)),
        lids=float(np.clip(1 + 0.1 * g() - 0.15 * smile, 0.6, 1.2)),
        gaze=(float(0.45 * g()), float(0.25 * g())),
        pupil=float(rng.uniform(0.3, 0.5)),
        light=_unit(0.55 * g(), -0.42 + 0.3 * g(), 1.0),
        light_strength=float(rng.uniform(0.5, 0.86)),
        warmth=float(0.55 * g()),
        exposure=float(np.exp(0.14 * g())),
        blur=float(rng.uniform(0.38, 0.95)),
        noise=float(rng.uniform(0.004, 0.018)),
        shift=(float(0.7 * g()), float(0.7 * g())),
        zoom=float(np.exp(0.016 * g())),
        flush=float(0.3 * g()),
        nose_cooling=float(max(0.0, 0.8 + 0.9 * g())),
        background_seed=int(rng.integers(2**31)),
    )


def _unit(*direction: float) -> tuple[float, float, float]:
    length = float(np.linalg.norm(direction))
    return direction[0] / length, direction[1] / length, direction[2] / length
