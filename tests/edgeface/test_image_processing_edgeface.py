"""Every kind of picture reaches the network on the same scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hf_crossspec import EdgeFaceImageProcessor

PROCESSOR = EdgeFaceImageProcessor()
GRAY = np.random.default_rng(0).integers(0, 256, (112, 112), dtype=np.uint8)
EXPECTED = torch.from_numpy(GRAY.astype(np.float32) / 127.5 - 1).expand(3, -1, -1)


def pixel_values(picture: Any) -> torch.Tensor:
    return PROCESSOR(picture, return_tensors="pt").pixel_values[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Image.fromarray(GRAY),
        lambda: Image.fromarray(GRAY).convert("RGB"),
        lambda: Image.fromarray(GRAY).convert("RGBA"),
        lambda: Image.fromarray(GRAY).convert("LA"),
        lambda: Image.fromarray(GRAY).convert("P"),
        lambda: Image.fromarray(GRAY.astype(np.uint16) * 257),
        lambda: Image.fromarray(GRAY.astype(np.int32) * 257),
        lambda: Image.fromarray(GRAY.astype(np.float32) / 255),
        lambda: GRAY,
        lambda: GRAY[:, :, None],
        lambda: np.stack([GRAY] * 3),
        lambda: np.stack([GRAY] * 3, axis=-1),
        lambda: GRAY.astype(np.uint16) * 257,
        lambda: GRAY.astype(np.float64),
        lambda: GRAY / 255.0,
        lambda: torch.from_numpy(GRAY),
        lambda: torch.from_numpy(GRAY / 255.0).expand(3, -1, -1),
        lambda: torch.from_numpy(GRAY.astype(np.int64)),
    ],
)
def test_same_content_same_input(make: Callable[[], Any]) -> None:
    torch.testing.assert_close(pixel_values(make()), EXPECTED, atol=1e-5, rtol=0)


def test_colours_keep_their_channels() -> None:
    pixels = pixel_values(Image.new("RGB", (112, 112), (255, 0, 51)))
    torch.testing.assert_close(pixels[:, 5, 5], torch.tensor([1.0, -1.0, -0.6]))


def test_cmyk_white_is_white_and_transparency_lies_on_white() -> None:
    assert pixel_values(Image.new("CMYK", (112, 112), (0, 0, 0, 0))).min() == 1.0
    assert pixel_values(Image.new("RGBA", (112, 112), (0, 0, 0, 0))).min() == 1.0


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    upright = Image.fromarray(GRAY)
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored picture must be turned by 90 degrees clockwise
    path = tmp_path / "turned.png"
    upright.rotate(90, expand=True).save(path, exif=exif)
    torch.testing.assert_close(pixel_values(Image.open(path)), EXPECTED, atol=1e-5, rtol=0)
    torch.testing.assert_close(pixel_values(str(path)), EXPECTED, atol=1e-5, rtol=0)


def test_sixteen_bit_file_does_not_saturate(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(path)
    torch.testing.assert_close(pixel_values(str(path)), EXPECTED, atol=1e-5, rtol=0)


def test_other_sizes_are_resized_whole_not_cropped() -> None:
    picture = np.zeros((60, 200), dtype=np.uint8)
    picture[:2], picture[-2:], picture[:, :4], picture[:, -4:] = 255, 255, 255, 255  # a frame
    pixels = pixel_values(picture)
    assert pixels.shape == (3, 112, 112)
    for edge in (pixels[0, 0], pixels[0, -1], pixels[0, :, 0], pixels[0, :, -1]):
        assert edge.min() > 0.5
    assert pixels[0, 56, 56] == -1


def test_mixed_sizes_and_kinds_make_one_batch() -> None:
    batch = PROCESSOR([Image.fromarray(GRAY), Image.new("RGB", (50, 70))], return_tensors="pt").pixel_values
    assert batch.shape == (2, 3, 112, 112)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((8, 8), np.nan), "finite"),
        (np.full((8, 8), -1.0), "finite and lie"),
        (np.full((8, 8), 1e6), "65535"),
        (np.zeros((5, 8, 8), np.uint8), "channels"),
        ("no_such_picture.png", "no_such_picture"),
    ],
)
def test_unusable_pictures_are_refused(picture: Any, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        pixel_values(picture)


@settings(max_examples=40)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(5, 150), st.integers(5, 150), st.sampled_from([1, 3, 4]))),
)
def test_any_byte_picture_gives_bounded_input(picture: np.ndarray) -> None:
    pixels = pixel_values(picture)
    assert pixels.shape == (3, 112, 112)
    assert pixels.dtype == torch.float32
    assert pixels.min() >= -1.0001
    assert pixels.max() <= 1.0001
