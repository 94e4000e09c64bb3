"""Landmarks -> the upright 112 x 112 crop that EdgeFace was trained on."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageOps

from hf_crossspec.errors import InputError

# Eye centres, nose tip and mouth corners, left to right as seen, in the 112 x 112 crop (ArcFace, arXiv 1801.07698).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
TEMPLATE_SIZE = 112


def align_face(image: Image.Image, landmarks: np.ndarray, size: int = TEMPLATE_SIZE) -> Image.Image:
    """Rotate, scale and shift a picture so that its landmarks fall on the template; bit depth is kept.

    Args:
        image: Any PIL picture; EXIF orientation is applied first.
        landmarks: (2, 2) eye centres or (5, 2) eyes, nose tip, mouth corners, in pixels of the upright picture, left to
            right as seen.
        size: Side of the square crop, in pixels.

    Raises:
        InputError: another number of landmarks, values that are not finite, or points that coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape not in ((2, 2), (5, 2)) or not np.isfinite(points).all():
        raise InputError(f"landmarks must be 2 (eyes) or 5 finite points (x, y); their shape is {points.shape}")
    picture = ImageOps.exif_transpose(image)
    if picture.mode not in ("L", "RGB", "I;16", "F"):
        picture = picture.convert("RGB")
    target = TEMPLATE[: len(points)] * (size / TEMPLATE_SIZE)
    matrix = similarity_transform(points, target)
    pixels = np.array(picture)
    shrink = int(1 / np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink > 1:  # average first, else a strong reduction would pick single pixels
        height, width = pixels.shape[:2]
        reduced = (max(1, width // shrink), max(1, height // shrink))
        pixels = cv2.resize(pixels, reduced, interpolation=cv2.INTER_AREA)
        scale = np.array([pixels.shape[1] / width, pixels.shape[0] / height])
        matrix = similarity_transform((points + 0.5) * scale - 0.5, target)
    return Image.fromarray(cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR))


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares rotation, scale and shift that maps `source` onto `target`, both (N, 2); returned as (2, 3).

    With points as complex numbers the transform is z -> a z + b, and a is an ordinary regression coefficient.
    """
    z, w = source @ [1, 1j], target @ [1, 1j]
    centred = z - z.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-9:
        raise InputError("the landmarks coincide: no face can be aligned by them")
    a = np.vdot(centred, w - w.mean()) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
