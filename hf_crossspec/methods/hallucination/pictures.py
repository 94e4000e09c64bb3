"""Stored pictures as arrays of one scale, and their mean and spread brought to a fixed reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hf_crossspec.data.images import BadImageError, decode_image
from hf_crossspec.edgeface.image_processing_edgeface import EdgeFaceImageProcessor

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, on display values


def picture_processor() -> EdgeFaceImageProcessor:
    """EdgeFace's image processor without its resizing: the networks take any size."""
    return EdgeFaceImageProcessor(do_resize=False)


def decode_pixels(entry: Any, name: str, processor: EdgeFaceImageProcessor) -> torch.Tensor:
    """A stored picture of any kind -> (3, H, W) float32 in [0, 255].

    Raises:
        BadImageError: not readable, or values that no picture has.
    """
    try:
        return processor.process_image(decode_image(entry, name))
    except BadImageError:
        raise
    except ValueError as error:
        raise BadImageError(f"{name}: {error}") from None


@dataclass(frozen=True)
class Reference:
    """Mean and standard deviation of each channel of a fixed picture.

    Args:
        mean, std: (C,) on the scale of 0 to 255.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray) -> Reference:
        """Of a picture (H, W, C)."""
        return cls(picture.mean(axis=(0, 1)), picture.std(axis=(0, 1)))

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Bring a picture (H, W, C) in [0, 255] to this mean and standard deviation; uint8, clipped."""
        own = Reference.of(picture)
        spread = np.maximum(own.std, 0.1275)  # as the network's 1e-3 on its scale of [-1, 1]
        return as_uint8((picture - own.mean) / spread * self.std + self.mean)


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Round and clip to 0 ... 255."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
