"""A pencil drawing from a grey picture: contours by difference of Gaussians, tones by hatching."""

from __future__ import annotations

import cv2
import numpy as np

from hf_crossspec.data.synthetic.canvas import clip, ramp


def draw_sketch(grey: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Display values (H, W) in 0..1 and white noise (H, W) -> drawing (H, W, 3) in 0..1.

    Lines are a soft difference of Gaussians (after Winnemoeller, Kyprianidis & Olsen 2012, "XDoG"); tones darker than
    their surroundings are hatched, as portrait artists do; smudging keeps a trace of the soft shading.
    """
    fine = cv2.GaussianBlur(grey, (0, 0), 0.7)
    wide = cv2.GaussianBlur(grey, (0, 0), 1.6)
    broad = cv2.GaussianBlur(grey, (0, 0), 12.0)
    lines = clip((wide - fine - 0.005) * 8, 0, 1)
    relative = fine / (broad + 0.06)
    tone = clip(0.25 + 0.5 * relative + 0.25 * fine, 0, 1)
    height, width = grey.shape
    row, column = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    wobble = cv2.GaussianBlur(noise, (0, 0), 6) * 10
    hatch = 0.5 + 0.5 * np.sin((column + row + wobble) * 1.7)
    dark = ramp(0.62 - tone, 0.35)
    paper = 0.96 - 0.20 * (1 - tone) - dark * (0.10 + 0.26 * hatch) - 0.6 * lines * (1 + 0.15 * noise)
    paper += 0.012 * noise
    return np.repeat(clip(paper, 0.06, 1)[..., None], 3, axis=-1)
