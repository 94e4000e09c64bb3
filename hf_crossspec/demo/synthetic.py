"""Rendered people to try the demo with: SpectralFaces of the test split, on whom nothing was trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image

SEED = 0
SPLIT = "test"
PEOPLE = 200


@dataclass(frozen=True)
class Shot:
    """A rendered picture: who, the number of the conditions (pose, expression, light), and the modality."""

    person: int
    image: int
    modality: str


@dataclass(frozen=True)
class Scene:
    """Conditions that the Spectra tab sets: angles in degrees, the others as in `Nuisance`."""

    person: int
    yaw: float = 0.0
    pitch: float = 0.0
    smile: float = 0.0
    light_across: float = 0.4
    light_strength: float = 0.7


@lru_cache(maxsize=512)
def render(shot: Shot) -> Image.Image:
    """The picture of a shot, 112 x 112; each modality has a pose and light of its own."""
    from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance, render_batch

    who = draw_identity(SPLIT, shot.person, SEED)
    how = draw_nuisance(SPLIT, shot.person, shot.image, 1 + MODALITIES.index(shot.modality), SEED)
    return Image.fromarray(render_batch([who], [how], shot.modality)[0])


def render_spectra(scene: Scene) -> dict[str, Image.Image]:
    """One person in one moment, seen by every sensor."""
    from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance
    from hf_crossspec.data.synthetic.render import make_scene, render_scene

    direction = np.array([scene.light_across, -0.42, 1.0])
    light = tuple((direction / np.linalg.norm(direction)).tolist())
    how = replace(
        draw_nuisance(SPLIT, scene.person, 0, seed=SEED), yaw=scene.yaw, pitch=scene.pitch, smile=scene.smile,
        light=light, light_strength=scene.light_strength, roll=0.0, shift=(0.0, 0.0), zoom=1.0,
    )  # fmt: skip
    drawn = make_scene(draw_identity(SPLIT, scene.person, SEED), how)
    return {modality: Image.fromarray(render_scene(drawn, modality)) for modality in MODALITIES}


def person_name(person: int) -> str:
    """What a rendered person is called."""
    return f"Synthetic {person:03d}"
