"""Do two pictures of one face, in different spectra, show the same in a window? Registered by an affine transform.

Plain arrays in, plain values out, and OpenCV does the work: this file is all that a mining process has to import.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

COARSE = 30  # side in pixels to which a window is reduced for the search of its displacement
FLAT = 2.0  # grey levels of spread below which a window shows nothing that could be registered


@dataclass(frozen=True)
class MatchSettings:
    """What is compared, and what counts as a match.

    Args:
        window: Side in pixels of the windows that are registered.
        stride: Pixels from one window to the next.
        crop: Side in pixels of the central part that is compared and kept; the rest is room for the registration.
        least_correlation: Neither correlation may be lower.
        least_sum: The sum of both must be above this.
        hopeless: A window is given up before the registration if no displacement correlates as much.
        iterations: At most as many steps of the registration.
    """

    window: int = 60
    stride: int = 12
    crop: int = 40
    least_correlation: float = 0.4
    least_sum: float = 1.0
    hopeless: float = 0.25
    iterations: int = 20

    @property
    def margin(self) -> int:
        return (self.window - self.crop) // 2


@dataclass(frozen=True)
class Match:
    """A pair of patches that show the same.

    Args:
        row, column: Upper left corner of the window in the picture.
        patch: (crop, crop) uint8, of the other spectrum.
        visible: (crop, crop, 3) uint8 RGB, registered to it.
        correlation, gradient_correlation: Of the luminance, and of its gradients' magnitudes.
        transform: (2, 3) affine, from the window of the other spectrum to the visible one, in pixels.
    """

    row: int
    column: int
    patch: np.ndarray
    visible: np.ndarray
    correlation: float
    gradient_correlation: float
    transform: np.ndarray


def compare_pictures(
    subject: str, other: tuple[str, np.ndarray], visible: list[tuple[str, np.ndarray]], settings: MatchSettings
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Compare a picture with all visible ones of its subject: a mining process's task.

    Args:
        other: Key and picture (H, W) uint8.
        visible: Keys and pictures (H, W, 3) uint8 RGB.

    Returns:
        For each match two rows, as it is and mirrored, with the patches as PNG; and the counts of `match_windows`.
    """
    cv2.setNumThreads(1)  # the processes share the cores among them
    counts: Counter[str] = Counter()
    rows = []
    for key, picture in visible:
        matches, more = match_windows(other[1], picture, settings)
        counts += more
        for match in matches:
            facts = {
                "subject_id": subject,
                "key": other[0],
                "vis_key": key,
                "row": match.row,
                "column": match.column,
                "correlation": match.correlation,
                "gradient_correlation": match.gradient_correlation,
            }
            for mirrored in (False, True):
                sides = [side[:, ::-1] if mirrored else side for side in (match.patch, match.visible[..., ::-1])]
                patch, visible_patch = ({"bytes": _as_png(side), "path": None} for side in sides)
                rows.append({**facts, "mirrored": mirrored, "patch": patch, "vis": visible_patch})
    return rows, counts


def match_windows(other: np.ndarray, visible: np.ndarray, settings: MatchSettings) -> tuple[list[Match], Counter[str]]:
    """Compare two pictures window by window.

    Args:
        other: (H, W) uint8.
        visible: (H, W, 3) uint8 RGB.

    Returns:
        The matches, and how many windows were `tested`, and of those were `flat`, `hopeless`, `not registered`,
        `below the thresholds` and `kept`.
    """
    counts: Counter[str] = Counter()
    matches = []
    luminance = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    for row, column in window_places(other.shape, settings):
        place = np.s_[row : row + settings.window, column : column + settings.window]
        counts["tested"] += 1
        outcome = _match(other[place], visible[place], luminance[place], settings)
        if isinstance(outcome, str):
            counts[outcome] += 1
            continue
        matches.append(Match(row, column, *outcome))
        counts["kept"] += 1
    return matches, counts


def window_places(shape: tuple[int, ...], settings: MatchSettings) -> Iterator[tuple[int, int]]:
    """Upper left corners of the windows in a picture, row by row."""
    for row in range(0, shape[0] - settings.window + 1, settings.stride):
        for column in range(0, shape[1] - settings.window + 1, settings.stride):
            yield row, column


def _match(
    other: np.ndarray, visible: np.ndarray, luminance: np.ndarray, settings: MatchSettings
) -> tuple[np.ndarray, np.ndarray, float, float, np.ndarray] | str:
    """One window: the fields of its `Match` from `patch` on, or why there is none."""
    centre = slice(settings.margin, settings.margin + settings.crop)
    patch = other[centre, centre]
    if cv2.meanStdDev(patch)[1][0, 0] < FLAT or cv2.meanStdDev(luminance)[1][0, 0] < FLAT:
        return "flat"
    correlation, shift = best_displacement(other, luminance, settings)
    if correlation < settings.hopeless:
        return "hopeless"
    transform = register(other, luminance, shift, settings)
    if transform is None or not _covers(transform, settings):
        return "not registered"
    registered = _crop_registered(visible, transform, settings)
    scores = correlations(patch, cv2.cvtColor(registered, cv2.COLOR_RGB2GRAY))
    if min(scores) < settings.least_correlation or sum(scores) <= settings.least_sum:
        return "below the thresholds"
    return patch, registered, *scores, transform


def best_displacement(
    other: np.ndarray, luminance: np.ndarray, settings: MatchSettings
) -> tuple[float, tuple[float, float]]:
    """How well the centre correlates with the other window at best, both reduced, and at which displacement (x, y)."""
    scale = min(1.0, COARSE / settings.window)
    size = (round(settings.window * scale),) * 2
    margin = round(settings.margin * scale)
    small = cv2.resize(other, size, interpolation=cv2.INTER_AREA)[margin : size[0] - margin, margin : size[0] - margin]
    scores = cv2.matchTemplate(cv2.resize(luminance, size, interpolation=cv2.INTER_AREA), small, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    return float(best), ((x - margin) / scale, (y - margin) / scale)


def register(
    other: np.ndarray, luminance: np.ndarray, shift: tuple[float, float], settings: MatchSettings
) -> np.ndarray | None:
    """The affine transform (2, 3) from `other` to `luminance` that maximises their enhanced correlation coefficient.

    `None` where the iteration breaks off (Evangelidis and Psarakis, "Parametric image alignment using enhanced
    correlation coefficient maximization", 2008; `cv2.findTransformECC`).
    """
    start = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, settings.iterations, 1e-3)
    try:
        _, transform = cv2.findTransformECC(other, luminance, start, cv2.MOTION_AFFINE, criteria)
    except cv2.error:
        return None
    return transform


def correlations(patch: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Correlation of two (H, W) patches, and of the magnitudes of their gradients; 0 where one of them is constant."""
    return _correlation(patch, other), _correlation(_gradient_magnitude(patch), _gradient_magnitude(other))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _gradient_magnitude(patch: np.ndarray) -> np.ndarray:
    return cv2.magnitude(cv2.Sobel(patch, cv2.CV_32F, 1, 0), cv2.Sobel(patch, cv2.CV_32F, 0, 1))


def _covers(transform: np.ndarray, settings: MatchSettings) -> bool:
    """Whether the kept centre, transformed, lies within the window, and is neither mirrored nor scaled by over 2."""
    low, high = settings.margin, settings.margin + settings.crop - 1
    corners = np.array([[low, low, 1], [low, high, 1], [high, low, 1], [high, high, 1]], dtype=np.float32)
    places = corners @ transform.T
    return bool(
        places.min() >= 0 and places.max() <= settings.window - 1 and 0.25 < np.linalg.det(transform[:, :2]) < 4
    )


def _crop_registered(visible: np.ndarray, transform: np.ndarray, settings: MatchSettings) -> np.ndarray:
    """The visible window as the centre of the other one sees it, (crop, crop, 3)."""
    to_centre = transform.copy()
    to_centre[:, 2] += transform[:, :2] @ np.full(2, settings.margin, dtype=transform.dtype)
    size = (settings.crop, settings.crop)
    return cv2.warpAffine(visible, to_centre, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def _as_png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
