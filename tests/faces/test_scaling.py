"""Pictures of any depth become 8 bit; 8-bit pictures keep their values."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hf_crossspec import InputError
from hf_crossspec.faces.scaling import stretch, to_eight_bit

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


@given(
    st.sampled_from([np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64]).flatmap(
        lambda kind: hnp.arrays(kind, SHAPES)
    )
)
@example(np.array([[1e308, -1e308, 0.0]]))
@example(np.array([[5e-324, 0.0]]))
@example(np.array([[np.nan, np.inf, 3.0]]))
def test_any_numbers_become_bytes_in_their_order_without_a_warning(pixels: np.ndarray) -> None:
    usable = np.abs(pixels.astype(np.float64)) <= np.finfo(np.float32).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not usable.any():
            with pytest.raises(InputError, match="no finite"):
                to_eight_bit(pixels)
            return
        scaled = to_eight_bit(pixels)
    assert scaled.dtype == np.uint8
    assert scaled.shape == pixels.shape
    order = np.argsort(pixels[usable], kind="stable")
    assert (np.diff(scaled[usable][order].astype(int)) >= 0).all()
    values = pixels[usable]
    if values.min() < values.max():
        assert (scaled[usable].min(), scaled[usable].max()) == (0, 255)
    else:
        assert (scaled == 128).all()


@settings(max_examples=50)
@given(hnp.arrays(np.uint8, st.sampled_from([(4, 5), (4, 5, 3)])))
def test_eight_bit_pictures_keep_their_values(pixels: np.ndarray) -> None:
    assert np.array_equal(to_eight_bit(pixels), pixels)
    assert np.array_equal(to_eight_bit(Image.fromarray(pixels)), pixels)


def test_the_stretch_is_linear_between_the_percentiles() -> None:
    pixels = np.arange(1001, dtype=np.uint16).reshape(1, -1) * 3 + 20_000  # 0.5 and 99.5 %: the values 5 and 995
    expected = np.clip((np.arange(1001) - 5) / 990, 0, 1) * 255
    assert np.abs(stretch(pixels)[0] - expected).max() <= 0.5


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_radiometric_picture_gets_full_contrast_despite_hot_and_dead_pixels(tmp_path: Path, mode: str) -> None:
    """Simulated: 293 to 310 kelvin in hundredths, two pixels broken."""
    warmth = np.add.outer(np.linspace(0, 850, 120), np.linspace(0, 850, 160))
    pixels = (29_300 + warmth).round().astype(np.uint16)
    pixels[3, 4], pixels[5, 6] = 65_535, 0
    picture = Image.fromarray({"I;16": pixels, "I": pixels.astype(np.int32), "F": pixels.astype(np.float32)}[mode])
    assert picture.mode == mode
    picture.save(tmp_path / "thermal.tiff")
    scaled = to_eight_bit(Image.open(tmp_path / "thermal.tiff"))
    assert (scaled == 0).mean() < 0.02
    assert (scaled == 255).mean() < 0.02
    assert scaled.std() > 45
    assert scaled[-1, -1] > scaled[0, 0]  # polarity: warm stays bright


def test_colour_is_stretched_as_a_whole() -> None:
    pixels = np.dstack([np.full((8, 8), value, np.uint16) for value in (1000, 2000, 3000)])
    assert to_eight_bit(pixels)[0, 0].tolist() == [0, 128, 255]


def test_broken_pixels_count_for_nothing_and_become_like_their_neighbours() -> None:
    pixels = np.linspace(30.0, 37.0, 400, dtype=np.float32).reshape(20, 20)
    broken = pixels.astype(np.float64)
    for number, value in enumerate((np.nan, np.inf, -np.inf, 1e39)):
        broken[10 + 2 * number, 4 * number] = value
    assert np.abs(stretch(pixels).astype(int) - stretch(broken)).max() <= 5
    colour = stretch(np.dstack([broken] * 3))
    assert np.abs(colour.astype(int) - stretch(broken)[:, :, None]).max() <= 2


def test_a_large_hole_becomes_the_median() -> None:
    pixels = np.linspace(30.0, 37.0, 1600).reshape(40, 40)
    pixels[10:30, 10:30] = np.nan
    assert np.abs(stretch(pixels)[13:27, 13:27].astype(int) - 128).max() <= 3


def test_other_forms_become_grey_or_rgb() -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    colour = Image.merge("RGB", [grey, grey.rotate(90), grey.rotate(180)])
    values = np.asarray(colour)
    assert np.array_equal(to_eight_bit(colour.convert("RGBA")), values)
    assert np.array_equal(to_eight_bit(colour.convert("CMYK")), values)
    assert to_eight_bit(colour.quantize(64)).shape == (8, 8, 3)
    assert set(np.unique(to_eight_bit(grey.convert("1")))) == {0, 255}
    assert set(np.unique(to_eight_bit(np.array([[True, False]])))) == {0, 255}
    assert np.array_equal(to_eight_bit(np.asarray(grey)[:, :, None]), np.asarray(grey))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_white(mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    assert (to_eight_bit(clear) == 255).all()
    if mode == "RGBA":
        assert (to_eight_bit(np.asarray(clear)) == 255).all()


def test_the_picture_is_set_upright(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(to_eight_bit(Image.open(tmp_path / "turned.png")), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 4)),
        np.zeros(5),
        np.zeros((4, 4, 2)),
        np.zeros((4, 4, 4)),
        np.zeros((2, 4, 4, 3)),
        np.full((4, 4), np.nan),
        np.zeros((4, 4), complex),
        np.full((4, 4), "x"),
    ],
)
def test_what_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(InputError):
        to_eight_bit(pixels)
