"""Alignment: landmarks land on the template, whatever the picture's size, turn and depth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_crossspec import InputError
from hf_crossspec.faces.alignment import TEMPLATE, align_face, similarity_transform


@given(
    st.floats(-np.pi, np.pi),
    st.floats(0.1, 10),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    st.sampled_from([2, 5]),
)
def test_an_exact_similarity_is_found(angle: float, scale: float, shift: tuple[float, float], points: int) -> None:
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = TEMPLATE[:points]
    matrix = similarity_transform(source, source @ rotation.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([rotation, shift]), atol=1e-6)


@given(st.integers(0, 1000))
def test_the_fit_is_least_squares(seed: int) -> None:
    """No nearby similarity has a smaller error; OpenCV's estimate is not better either."""
    generator = np.random.default_rng(seed)
    source, target = generator.normal(size=(2, 5, 2)) * 20

    def error(matrix: np.ndarray) -> float:
        return float(((source @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum())

    matrix = similarity_transform(source, target)
    other, _ = cv2.estimateAffinePartial2D(source, target, method=cv2.LMEDS)
    assert error(matrix) <= (error(other) if other is not None else np.inf) + 1e-6
    for a, b, x, y in np.vstack([np.eye(4), -np.eye(4)]) * 1e-3:
        assert error(matrix) <= error(matrix + np.array([[a, -b, x], [b, a, y]])) + 1e-9


@settings(max_examples=25)
@given(st.floats(-0.6, 0.6), st.floats(60, 900), st.sampled_from(["L", "RGB", "I;16", "F"]))
def test_bright_dots_at_the_eyes_land_on_the_template(angle: float, distance: float, mode: str) -> None:
    side = int(distance * 4)
    middle = np.array([side / 2, side / 2.2])
    half = distance / 2 * np.array([np.cos(angle), np.sin(angle)])
    eyes = np.array([middle - half, middle + half])
    pixels = np.zeros((side, side), np.float32)
    for eye in eyes:
        cv2.circle(pixels, tuple(int(v) for v in eye.round()), int(distance / 12), 1.0, -1)
    scale = {"I;16": 60000, "F": 1.0}.get(mode, 250)
    array = (pixels * scale).astype({"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8))
    picture = Image.fromarray(array).convert("RGB") if mode == "RGB" else Image.fromarray(array)
    crop = align_face(picture, eyes)
    assert crop.size == (112, 112)
    assert crop.mode == picture.mode
    values = np.asarray(crop.convert("L") if mode == "RGB" else crop).astype(np.float64)
    for half_x, target in ((slice(0, 56), TEMPLATE[0]), (slice(56, 112), TEMPLATE[1])):
        rows, columns = np.mgrid[0:112, 0:112][:, :, half_x]
        weights = values[:, half_x]
        found = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
        assert np.abs(found - target).max() < 0.8


def test_orientation_is_applied_before_the_landmarks() -> None:
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (250, 200), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = upright.rotate(180)
    turned.getexif().update(exif)
    turned.info["exif"] = exif.tobytes()
    eyes = np.array([[75.0, 125.0], [125.0, 125.0]])
    assert np.array_equal(np.asarray(align_face(turned, eyes)), np.asarray(align_face(upright, eyes)))


@pytest.mark.parametrize(
    "landmarks", [np.zeros((2, 2)), np.zeros((3, 2)), np.full((5, 2), np.nan), np.zeros((68, 2)), np.zeros(4)]
)
def test_unusable_landmarks_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(InputError, match="landmarks"):
        align_face(Image.new("L", (100, 100)), landmarks)
