"""Pictures of people: one geometry per (identity, nuisance), seen by several sensors.

`vis`          RGB; the light of the nuisance, Lambert and soft specular reflection, cast shadow, ambient occlusion.
`nir-sim`      one band at 850 nm under the camera's own frontal light, grey in three equal channels.
`thermal-sim`  emitted 8-14 um radiation: temperature times emissivity, no illumination, coarse optics.
`sketch-sim`   a pencil drawing of the face: contours and hatching on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from hf_crossspec.data.synthetic.canvas import SCALE, clip, grain
from hf_crossspec.data.synthetic.geometry import Surface, face_surface
from hf_crossspec.data.synthetic.identity import Identity, generator
from hf_crossspec.data.synthetic.layers import Layer, face_layers, glints, skin_marks
from hf_crossspec.data.synthetic.materials import ROOM, paint_reflectance, temperature
from hf_crossspec.data.synthetic.nuisance import Nuisance
from hf_crossspec.data.synthetic.pencil import draw_sketch
from hf_crossspec.data.synthetic.projection import CROP, Projection, aligned_projection
from hf_crossspec.data.synthetic.shading import Relief, light_face, relief_of
from hf_crossspec.errors import InputError

MODALITIES = ("vis", "nir-sim", "thermal-sim", "sketch-sim")
GLOSS = {"lips": 1.5, "hair": 0.12, "beard": 0.12, "brow": 0.3, "sclera": 0.0, "iris": 0.0, "mouth": 0.3, "cavity": 0.0}


METERED = 0.31  # mean radiance of a face that the camera exposes as it is
AUTOMATIC = 0.4  # share of a deviation, in stops, that the camera takes back


@dataclass(frozen=True)
class Scene:
    """Everything about a picture that does not depend on the sensor."""

    who: Identity
    how: Nuisance
    surface: Surface
    layers: list[Layer]
    marks: tuple[np.ndarray, np.ndarray]
    silhouette: np.ndarray  # (SIZE, SIZE) coverage of the head with hair and neck
    projection: Projection
    maps: tuple[np.ndarray, np.ndarray]

    @cached_property
    def relief(self) -> Relief:
        return relief_of(self.surface.height)

    @cached_property
    def backdrop(self) -> np.ndarray:
        return _backdrop(self.how)

    @property
    def landmarks(self) -> np.ndarray:
        """(68, 2) float32 pixels of the crop, iBUG order; the middle of the first pixel is (0, 0)."""
        return self.projection.project(self.surface.landmarks).astype(np.float32)

    def warp(self, field: np.ndarray) -> np.ndarray:
        """A canvas field (SIZE, SIZE[, C]) as the posed and aligned camera sees it, (112, 112[, C])."""
        return cv2.remap(field, *self.maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def make_scene(who: Identity, how: Nuisance) -> Scene:
    """Geometry, layers and projection of one picture."""
    surface = face_surface(who, how)
    layers = face_layers(who, how, surface)
    silhouette = np.maximum(np.maximum(surface.face, surface.ears), surface.neck)
    for layer in layers:
        if layer.material == "hair":
            np.maximum(silhouette, layer.cover, out=silhouette)
    projection = aligned_projection(how, surface.landmarks)
    maps = projection.canvas_maps(surface.height)
    return Scene(who, how, surface, layers, skin_marks(who), silhouette, projection, maps)


def render_scene(scene: Scene, modality: str) -> np.ndarray:
    """One picture, uint8 (112, 112, 3)."""
    rng = generator(scene.how.background_seed, MODALITIES.index(modality))
    image = {"vis": _see_visible, "nir-sim": _see_infrared, "thermal-sim": _see_heat, "sketch-sim": _see_sketch}[
        modality
    ](scene, rng)
    return clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def render_batch(identities: Sequence[Identity], nuisances: Sequence[Nuisance], modality: str) -> np.ndarray:
    """Pictures of `identities[i]` under `nuisances[i]`, uint8 (B, 112, 112, 3).

    Raises:
        InputError: an unknown modality, or lists of different lengths.
    """
    if modality not in MODALITIES:
        raise InputError(f"no modality {modality!r}; there are {', '.join(MODALITIES)}")
    if len(identities) != len(nuisances):
        raise InputError(f"{len(identities)} identities and {len(nuisances)} nuisances: give one nuisance per identity")
    pictures = np.empty((len(identities), CROP, CROP, 3), np.uint8)
    for row, (who, how) in enumerate(zip(identities, nuisances, strict=True)):
        pictures[row] = render_scene(make_scene(who, how), modality)
    return pictures


def _reflect(scene: Scene, modality: str) -> np.ndarray:
    """Radiance (SIZE, SIZE, C + 1) of the head on the canvas times its silhouette, the last channel."""
    frontal = modality == "nir-sim"
    diffuse, specular = light_face(scene.relief, scene.how, scene.who.oil, frontal)
    image = paint_reflectance(scene.who, scene.marks, scene.layers, modality)
    image *= diffuse
    for layer in scene.layers:
        if layer.material in GLOSS:
            part = layer.where.of(specular)
            part *= 1 + layer.cover * (GLOSS[layer.material] - 1)
    image += specular
    for eye in scene.surface.curves.eyes:
        where, spot = glints(eye, scene.how, frontal)
        where.of(image)[:] += (1.8 if frontal else 0.75) * spot
    return cv2.merge([*(image * scene.silhouette), scene.silhouette])


def _expose(scene: Scene, canvas: np.ndarray, background: np.ndarray, blur: float) -> np.ndarray:
    """Canvas (SIZE, SIZE, C + 1) -> picture (112, 112, C): optics, pose, background.

    The blur comes first, on the finer canvas, so that sampling the crop's pixels from it does not alias.
    """
    seen = scene.warp(cv2.GaussianBlur(canvas, (0, 0), SCALE * blur))
    return background + (seen[..., :-1] - seen[..., -1:] * background)


def _backdrop(how: Nuisance) -> np.ndarray:
    """A smooth, out-of-focus background (112, 112, 3), linear."""
    rng = generator(how.background_seed)
    level = np.exp(rng.uniform(np.log(0.03), np.log(0.6)))
    spots = rng.normal(0, 0.5, (5, 5, 1)) + rng.normal(0, 0.09, (5, 5, 3)) + rng.normal(0, 0.15, 3)
    spots = level * np.exp(spots)
    smooth = cv2.resize(spots.astype(np.float32), (CROP, CROP), interpolation=cv2.INTER_CUBIC)
    return np.maximum(smooth, 0.005)


def _develop(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Linear light -> display values in three channels, with a soft shoulder and the sensor's noise."""
    metered = max(float(image[36:100, 26:86].mean()), 0.02)
    gain = scene.how.exposure * (METERED / metered) ** AUTOMATIC
    image = np.maximum(image * gain, 0)
    image = np.sqrt(image)  # with the next line near the sRGB curve and a camera's S-shaped contrast
    image = image * (0.80 + 0.52 * image - 0.32 * image * image)
    image = image + scene.how.noise * grain(rng, image.shape)
    return image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)


def _see_visible(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    image = _expose(scene, _reflect(scene, "vis"), scene.backdrop, scene.how.blur)
    return _develop(image, scene, rng)


def _see_infrared(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    background = 0.25 * scene.backdrop[..., :1]  # the active light falls off with the distance
    image = _expose(scene, _reflect(scene, "nir-sim"), background, scene.how.blur + 0.3)
    return _develop(image, scene, rng)


def _see_heat(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Apparent temperature, blurred by coarse optics and stretched to the sensor's range."""
    heat = temperature(scene.who, scene.how, scene.surface, scene.layers, scene.marks[1])
    oblique = 1 - scene.relief.out
    heat -= 2.2 * oblique**3 * np.abs(oblique)  # emissivity falls at grazing angles
    canvas = cv2.merge([heat * scene.silhouette, scene.silhouette])
    room = ROOM + rng.normal(0, 1.0)
    image = _expose(scene, canvas, np.full((CROP, CROP, 1), room, np.float32), 1.0)
    low, high = 26.6 + 0.4 * rng.standard_normal(), 36.6 + 0.3 * rng.standard_normal()
    image = (image - low) / (high - low)
    image += 0.008 * grain(rng, image.shape)
    return np.repeat(image, 3, axis=-1)


def _see_sketch(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    image = _expose(scene, _reflect(scene, "vis"), np.full((CROP, CROP, 3), 0.5, np.float32), 0.3)
    grey = np.sqrt(clip(image, 0, 1)) @ np.array([0.3, 0.55, 0.15], np.float32)
    grey *= (0.64 / max(float(grey[40:92, 30:82].mean()), 0.1)) ** 0.75  # artists leave skin mostly white
    return draw_sketch(grey, grain(rng, (*grey.shape, 1))[..., 0])
