"""Light on the height field: normals, cast shadow, ambient occlusion, Lambert and soft specular reflection."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hf_crossspec.data.synthetic.canvas import SCALE, SIZE, clip
from hf_crossspec.data.synthetic.nuisance import Nuisance
from hf_crossspec.data.synthetic.projection import rotation

LAMP = 110.0  # distance of the near-infrared lamp, some 20 cm
COARSE = 64  # cells of the grid on which shadows and wide occlusion are found
STEPS = (1.0, 2.0, 3.2, 4.6, 6.4, 8.6, 11.5)  # along a ray towards the light, in cells


@dataclass(frozen=True)
class Relief:
    """Normals (SIZE, SIZE) of the height field, and how much of the surroundings each point sees."""

    right: np.ndarray
    down: np.ndarray
    out: np.ndarray
    openness: np.ndarray
    coarse: np.ndarray  # (COARSE, COARSE) heights


def relief_of(height: np.ndarray) -> Relief:
    """Normals and ambient occlusion; hollows see less of the surroundings than the mean height around them."""
    smooth = cv2.GaussianBlur(height, (0, 0), 0.45 * SCALE)
    slope_u = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=SCALE / 8)
    slope_v = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=SCALE / 8)
    out = 1 / np.sqrt(1 + slope_u * slope_u + slope_v * slope_v)
    coarse = cv2.resize(height, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 3.0), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    near = cv2.GaussianBlur(height, (0, 0), 1.8 * SCALE)
    hollow = clip(near - height, -0.6, 3) * 0.42 + clip(wide - height, -0.6, 6) * 0.085
    return Relief(-slope_u * out, -slope_v * out, out, np.exp(-hollow), coarse)


def cast_shadow(coarse: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Light that reaches each point, (SIZE, SIZE) in 0..1, by marching towards the light over the coarse heights."""
    cell = SIZE / SCALE / COARSE
    blocked = np.zeros_like(coarse)
    for step in STEPS:
        shift = np.array([[1, 0, step * light[0]], [0, 1, step * light[1]]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ahead = cv2.warpAffine(coarse, shift, (COARSE, COARSE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        over = ahead - coarse - step * cell * light[2]
        np.maximum(blocked, over / (0.8 + 0.35 * step), out=blocked)
    lit = cv2.GaussianBlur(1 - clip(blocked, 0, 1), (0, 0), 0.6)
    return cv2.resize(lit, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def light_face(relief: Relief, how: Nuisance, oil: float, frontal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse light (C, SIZE, SIZE) that multiplies the reflectance, and specular light (SIZE, SIZE) to add.

    Args:
        oil: Gloss of the skin, 0 to 1.
        frontal: The active illumination of a near-infrared camera (C = 1) instead of the light of `how` (C = 3).
    """
    turn = rotation(how)
    direction = np.array([0.05, -0.12, 1.0]) if frontal else np.array(how.light)
    light = turn.T @ (direction / np.linalg.norm(direction))
    half = light + turn.T @ np.array([0.0, 0.0, 1.0])
    facing = _dot(relief, light)
    lit = clip(cast_shadow(relief.coarse, light), 0, 1)
    share = 0.86 if frontal else how.light_strength
    sky = relief.openness * (0.72 - 0.28 * relief.down) * (1 - share) * 1.25
    wraps = (0.6,) if frontal else (0.26, 0.14, 0.09)  # red light travels furthest under the skin
    tint = (1.0,) if frontal else (1 + 0.10 * how.warmth, 1.0, 1 - 0.14 * how.warmth)
    sun = share * (0.35 + 0.65 * relief.openness)
    if frontal:
        sun *= _falloff(relief)
    diffuse = np.empty((len(wraps), SIZE, SIZE), np.float32)
    for channel, (wrap, colour) in enumerate(zip(wraps, tint, strict=True)):
        key = np.maximum((facing + wrap) * (1 / (1 + wrap)), 0)
        key *= np.maximum(lit, wrap) * sun
        diffuse[channel] = (key * colour + sky) * 1.36
    if frontal:  # 850 nm goes some 2 mm into the skin, which washes fine relief out (Bashkatov et al. 2005)
        diffuse[0] = cv2.GaussianBlur(diffuse[0], (0, 0), 1.8 * SCALE)
    shine = np.maximum(_dot(relief, half / np.linalg.norm(half)), 0.1)
    for _ in range(4):
        shine = shine * shine  # to the 16th power
    specular = (0.02 + (0.24 if frontal else 0.13) * oil) * share * shine * lit * relief.openness
    return diffuse, specular


def _falloff(relief: Relief) -> np.ndarray:
    """Inverse-square decay of a lamp LAMP units before the face."""
    depth = cv2.resize(relief.coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.square(LAMP / (LAMP - depth))


def _dot(relief: Relief, direction: np.ndarray) -> np.ndarray:
    right, down, out = direction.tolist()  # Python floats keep float32
    return relief.right * right + relief.down * down + relief.out * out
