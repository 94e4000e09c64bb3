"""From the canvas to the picture: pose, alignment to the ArcFace template, and the warp of canvas fields.

A turned head is the height field under a rotation and a parallel projection. The picture is then aligned as real crops
are, by the similarity that brings eye centres, nose tip and mouth corners closest to the template's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hf_crossspec.data.synthetic.canvas import LEFT, SCALE, TOP
from hf_crossspec.data.synthetic.nuisance import Nuisance
from hf_crossspec.faces.alignment import TEMPLATE, TEMPLATE_SIZE, similarity_transform

CROP = TEMPLATE_SIZE
ROUNDS = 9  # of the search for the canvas point behind a pixel
DAMPING = 0.7  # of its steps: where a side turns into view, whole steps would overshoot


@dataclass(frozen=True)
class Projection:
    """Pixels = `matrix` (2, 3) @ (u, v, height) + `offset` (2,); the middle of the first pixel is (0, 0)."""

    matrix: np.ndarray
    offset: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) canvas points -> (N, 2) pixels."""
        return points @ self.matrix.T + self.offset

    def canvas_maps(self, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For every pixel the canvas pixel that it shows, as maps for `cv2.remap`.

        The point solves matrix @ (u, v, height(u, v)) + offset = pixel; iterating (u, v) from the height found before
        converges because the relief is never steeper than the view is oblique.
        """
        inverse = np.linalg.inv(self.matrix[:, :2])
        slide = -inverse @ self.matrix[:, 2] * SCALE
        pixels = np.arange(CROP, dtype=np.float32)
        start = inverse @ -self.offset
        u0 = (inverse[0, 0] * pixels[None, :] + inverse[0, 1] * pixels[:, None] + start[0] - LEFT) * SCALE - 0.5
        v0 = (inverse[1, 0] * pixels[None, :] + inverse[1, 1] * pixels[:, None] + start[1] - TOP) * SCALE - 0.5
        u0, v0 = u0.astype(np.float32), v0.astype(np.float32)
        depth = np.zeros_like(u0)
        for _ in range(ROUNDS):
            u, v = u0 + np.float32(slide[0]) * depth, v0 + np.float32(slide[1]) * depth
            found = cv2.remap(height, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            depth += np.float32(DAMPING) * (found - depth)
        return u, v


def rotation(how: Nuisance) -> np.ndarray:
    """(3, 3) rotation of the head; axes are right, down, towards the camera."""
    yaw, pitch = np.radians([how.yaw, how.pitch])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return turn @ nod


def aligned_projection(how: Nuisance, landmarks: np.ndarray) -> Projection:
    """The projection of a head with `landmarks` (68, 3), aligned up to the error that `how` prescribes."""
    view = rotation(how)[:2]
    flat = landmarks @ view.T
    five = np.stack([flat[36:42].mean(0), flat[42:48].mean(0), flat[33 - 3], flat[48], flat[54]])
    fit = similarity_transform(five, TEMPLATE)
    similarity, offset = fit[:, :2], fit[:, 2]
    angle = np.radians(how.roll)
    error = how.zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = TEMPLATE.mean(0)
    offset = error @ (offset - middle) + middle + np.array(how.shift)
    return Projection(error @ similarity @ view, offset)
