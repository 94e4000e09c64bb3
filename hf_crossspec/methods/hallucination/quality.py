"""How near a hallucinated picture is to the true one: PSNR and SSIM."""

from __future__ import annotations

import cv2
import numpy as np


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of one shape; infinite for equal ones."""
    error = np.mean((picture.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of two uint8 pictures, (H, W) or (H, W, C), the mean over pixels and channels.

    As published: a Gaussian window of 11 x 11 with standard deviation 1.5, K1 = 0.01, K2 = 0.03, population
    variances; the border of 5 pixels, where the window does not fit, does not count (Wang, Bovik, Sheikh and
    Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004).
    """
    x, y = picture.astype(np.float64), truth.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _window(x), _window(y)
    variances = _window(x * x) - mean_x**2 + _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return float(similarity[5:-5, 5:-5].mean())


def _window(pixels: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (11, 11), 1.5)
