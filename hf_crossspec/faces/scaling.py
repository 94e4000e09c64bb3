"""Pictures of any depth and number of channels -> upright 8-bit pixels that a detector and a network can use."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageOps

from hf_crossspec.errors import InputError

PERCENTILES = (0.5, 99.5)  # become 0 and 255; what lies beyond, say a hot or dead pixel, is cut off
DEEP_MODES = ("I", "F")  # and those that begin with I;16


def to_eight_bit(picture: Image.Image | np.ndarray) -> np.ndarray:
    """Upright uint8 pixels, (H, W) or (H, W, 3).

    - 8-bit pictures keep their values, however dark or flat; only their form changes: palettes, CMYK and the like
      become RGB, transparent pixels are laid on white, EXIF orientation is applied.
    - 16-bit, integer and floating-point pictures are stretched, see `stretch`. A radiometric thermal picture, whose
      temperatures fill a small part of the 16 bits, gets full contrast; absolute temperatures are lost.
    - Polarity is left alone: white-hot stays white-hot.

    Args:
        picture: A PIL picture, or an array (H, W), (H, W, 1), (H, W, 3), or uint8 (H, W, 4) with opacity.

    Raises:
        InputError: another shape, no pixels, values that are not numbers, or not one finite value.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in DEEP_MODES or upright.mode.startswith("I;16"):
        return stretch(np.asarray(upright))
    if upright.mode in ("L", "RGB") and "transparency" not in upright.info:
        return np.array(upright)
    if upright.mode == "1":
        return np.array(upright.convert("L"))
    if upright.has_transparency_data:
        opaque = Image.new("RGBA", upright.size, "white")
        return np.array(Image.alpha_composite(opaque, upright.convert("RGBA")).convert("RGB"))
    return np.array(upright.convert("RGB"))


def stretch(pixels: np.ndarray) -> np.ndarray:
    """Map the 0.5th to the 99.5th percentile of all values to 0 to 255, linearly; same shape, uint8.

    NaN, infinite values and those beyond float32 count for nothing; such a pixel becomes the mean of its neighbours
    (5 x 5), or the picture's median where none of them has a value. Where the percentiles are equal, minimum and
    maximum take their place; a constant picture becomes grey, 128.

    Raises:
        InputError: not one finite value.
    """
    values = pixels.astype(np.float64)
    usable = np.abs(values) <= np.finfo(np.float32).max  # also False for NaN
    if not usable.any():
        raise InputError("the picture has no finite pixel value")
    finite = values if usable.all() else values[usable]
    low, high = np.percentile(finite, PERCENTILES)
    if low == high:
        low, high = finite.min(), finite.max()
    if low == high:
        return np.full(pixels.shape, 128, np.uint8)
    scaled = np.clip((np.where(usable, values, low) - low) / (high - low), 0, 1) * 255
    return (scaled if usable.all() else _fill(scaled, usable)).round().astype(np.uint8)


def _fill(values: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Unusable pixels from their neighbours, which hides the dead pixels of a camera from a detector."""
    weight = cv2.blur(usable.astype(np.float64), (5, 5))
    nearby = cv2.blur(np.where(usable, values, 0), (5, 5)) / np.maximum(weight, 1e-9)
    return np.where(usable, values, np.where(weight > 1e-9, nearby, np.median(values[usable])))


def _from_array(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    opacity = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 4
    if 0 in pixels.shape or not (opacity or pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InputError(f"a picture needs (H, W) or (H, W, 3) pixels; its shape is {pixels.shape}")
    if opacity:
        return to_eight_bit(Image.fromarray(pixels))
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "iuf":
        raise InputError(f"pixel values must be numbers, not {pixels.dtype}")
    return stretch(pixels)
