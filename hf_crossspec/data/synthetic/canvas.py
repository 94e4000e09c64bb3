"""The canvas that every face is drawn on, and the few brushes that draw on it.

The canvas is a frontal plane in units of the 112 x 112 template's pixels (1 unit is about 1.8 mm on an adult face),
with the origin midway between the eyes, `u` to the right and `v` down. It is wider than the crop, because a turned head
shows more of its side. Coordinates and pictures are float32; brushes touch local windows or multiply two thin matrices,
which is what makes rendering fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

SCALE = 1.25  # canvas pixels per unit
SIZE = 160  # canvas pixels a side
LEFT, TOP = -64.0, -58.0  # of the canvas, in units
U = ((np.arange(SIZE) + 0.5) / SCALE + LEFT).astype(np.float32)
V = ((np.arange(SIZE) + 0.5) / SCALE + TOP).astype(np.float32)

POLAR_CENTRE = (0.0, 8.0)  # (u, v); every head outline is star-shaped around it
ANGLES = 2048  # entries of a table over the angle
_DU, _DV = U[None, :] - POLAR_CENTRE[0], V[:, None] - POLAR_CENTRE[1]
RADIUS = np.hypot(_DU, _DV)  # (SIZE, SIZE)
ANGLE_INDEX = np.clip(np.round((np.arctan2(_DU, _DV) / np.pi + 1) * (ANGLES / 2)), 0, ANGLES - 1).astype(np.int32)
TABLE_DEGREES = np.linspace(-180, 180, ANGLES, endpoint=False)  # 0 points down to the chin, 90 to the right


@dataclass(frozen=True)
class Window:
    """A rectangle of the canvas: its slices, and its coordinates `u` (1, w) and `v` (h, 1)."""

    rows: slice
    columns: slice

    @property
    def u(self) -> np.ndarray:
        return U[None, self.columns]

    @property
    def v(self) -> np.ndarray:
        return V[self.rows, None]

    def of(self, field: np.ndarray) -> np.ndarray:
        """The part of a (..., SIZE, SIZE) field that lies in the window, as a view."""
        return field[..., self.rows, self.columns]


def window(u0: float, u1: float, v0: float, v1: float) -> Window:
    """The smallest window that holds a rectangle given in units, clipped to the canvas."""
    left, right, top, bottom = (
        min(max(int(place * SCALE), 0), SIZE)
        for place in (u0 - LEFT, u1 - LEFT + 1 / SCALE, v0 - TOP, v1 - TOP + 1 / SCALE)
    )
    return Window(slice(top, bottom), slice(left, right))


EVERYWHERE = Window(slice(0, SIZE), slice(0, SIZE))


def bumps(table: np.ndarray) -> np.ndarray:
    """Sum of axis-parallel Gaussians as one matrix product.

    Args:
        table: (K, 5) rows of u, v, width in u, width in v, amplitude; widths where the Gaussian falls to 1/e.

    Returns:
        (SIZE, SIZE) float32.
    """
    u, v, width_u, width_v, amplitude = table.astype(np.float32).T[:, :, None]
    across = bell((U - u) / width_u)  # (K, SIZE)
    down = amplitude * bell((V - v) / width_v)
    return down.T @ across


def mirrored(rows: Sequence[tuple[float, float, float, float, float]]) -> np.ndarray:
    """Rows for `bumps`, each off the midline doubled onto the other side of the face."""
    table = np.array(rows, np.float32)
    other = table[table[:, 0] != 0] * np.array([-1, 1, 1, 1, 1], np.float32)
    return np.concatenate([table, other])


def bell(x: np.ndarray) -> np.ndarray:
    """exp(-x^2), cut off far out, where float32 turns denormal and the processor slow."""
    return np.exp(-np.minimum(x * x, 30))


def clip(field: np.ndarray, low: float, high: float) -> np.ndarray:
    """`np.clip` without its overhead, which tells on small windows."""
    return np.minimum(np.maximum(field, low), high)


def ramp(field: np.ndarray, softness: float) -> np.ndarray:
    """0 where `field` is far below zero, 1 far above, smooth over about +-`softness`."""
    x = clip(field * (0.5 / softness) + 0.5, 0, 1)
    return x * x * (3 - 2 * x)


@lru_cache
def _spline_basis(degrees: tuple[float, ...]) -> np.ndarray:
    knots = np.array(degrees)
    basis = CubicSpline(knots, np.eye(len(knots)), bc_type=((1, np.zeros(len(knots))), (1, np.zeros(len(knots)))))
    return basis(np.abs(TABLE_DEGREES)).astype(np.float32)


def angle_table(degrees: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """A symmetric function of the angle through `values` at `degrees` (0 to 180), as a table of ANGLES entries."""
    return _spline_basis(degrees) @ np.asarray(values, np.float32)


TILE = 512
OCTAVES = (0.6, 1.5, 4.0, 12.0)  # blur of the noise tiles, in units


@lru_cache
def _noise_tiles() -> tuple[np.ndarray, ...]:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20240607)))
    tiles = []
    for sigma in OCTAVES:
        tile = cv2.GaussianBlur(rng.standard_normal((TILE, TILE)).astype(np.float32), (0, 0), sigma * SCALE)
        tiles.append((tile - tile.mean()) / tile.std())
    return tuple(tiles)


def noise(octave: int, rng: np.random.Generator, where: Window = EVERYWHERE) -> np.ndarray:
    """Smooth noise of unit variance: a random cut, at random mirrored, of a fixed tile."""
    height, width = where.rows.stop - where.rows.start, where.columns.stop - where.columns.start
    top, left = rng.integers(0, TILE - SIZE, 2).tolist()
    step = (1, -1)[int(rng.integers(2))]
    return _noise_tiles()[octave][top : top + height, left : left + width][:, ::step]


def grain(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """White noise of unit variance and `shape` (height, width, channels): a random cut of a fixed tile, for speed."""
    height, width, channels = shape
    top, left = rng.integers(0, TILE - np.array([height, width]), 2).tolist()
    return _white_tile()[top : top + height, left : left + width, :channels]


@lru_cache
def _white_tile() -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20240609)))
    return rng.standard_normal((TILE, TILE, 3), np.float32)


@lru_cache
def strand_noise() -> np.ndarray:
    """(8, 4096) periodic one-dimensional noise of unit variance, each row coarser than the one before."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20240608)))
    rows = []
    for row in range(8):
        signal = np.fft.rfft(rng.standard_normal(4096))
        signal *= bell(np.arange(2049) / (900 / 1.7**row))
        rows.append(np.fft.irfft(signal))
    stack = np.array(rows)
    return (stack / stack.std(axis=1, keepdims=True)).astype(np.float32)
