"""The networks: the paper's sizes, any picture, blending, colours, loading with and without the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from transformers import AutoImageProcessor, AutoModel

from hf_crossspec.methods.hallucination.auto import CrossSpectralHallucinator, HallucinatorConfig
from hf_crossspec.methods.hallucination.modeling_hallucination import blend, rgb_to_ycbcr, ycbcr_to_rgb
from hf_crossspec.methods.hallucination.pictures import picture_processor

TINY = {"layers": [4, 4, 5], "outer_widths": [6, 4, 4], "inner_widths": [3, 2, 3], "kernel_sizes": [5, 3, 3]}


def tiny(seed: int = 0, **changes: object) -> CrossSpectralHallucinator:
    """A small hallucinator whose every weight matters."""
    torch.manual_seed(seed)
    model = CrossSpectralHallucinator(HallucinatorConfig(**{**TINY, **changes})).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def random_pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def parameters_by_hand(layers: int, outer: int, inner: int, kernel: int) -> int:
    """Weights and biases of every convolution, and a slope per filter of all but the last."""
    area = kernel * kernel
    first, last = outer * area + outer, outer * area + 1
    down, up = inner * outer * area + inner, outer * inner * area + outer
    middle = (layers - 4) * (inner * inner * area + inner)
    return first + down + middle + up + last + 2 * outer + (layers - 3) * inner


@pytest.mark.parametrize(
    ("channel", "sizes", "total"),
    [("y", (11, 148, 36, 11), 2_424_073), ("cb", (7, 66, 32, 3), 67_373), ("cr", (8, 148, 48, 5), 594_073)],
)
def test_the_papers_networks(channel: str, sizes: tuple[int, int, int, int], total: int) -> None:
    with torch.device("meta"):
        network = CrossSpectralHallucinator(HallucinatorConfig()).networks[channel]
    layers, outer, inner, kernel = sizes
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters_by_hand(*sizes) == total
    widths = [convolution.out_channels for convolution in network.convolutions]
    assert widths == [outer, *[inner] * (layers - 3), outer, 1]
    for convolution in network.convolutions:
        assert convolution.kernel_size == (kernel, kernel)
        assert (convolution.stride, convolution.padding) == ((1, 1), (kernel // 2, kernel // 2))
    assert len(network.activations) == layers - 1
    assert network.skip == (channel == "y")


@pytest.mark.parametrize("size", [(40, 40), (17, 29), (1, 1), (112, 63)])
def test_any_size_and_one_or_three_channels(size: tuple[int, int]) -> None:
    model, grey = tiny(), random_pictures(2, 1, *size)
    with torch.no_grad():
        one, three = model(pixel_values=grey), model(pixel_values=grey.expand(-1, 3, -1, -1))
        as_tuple = model(pixel_values=grey, return_dict=False)
    assert one.pixel_values.shape == (2, 3, *size)
    assert (one.luminance.shape, one.chroma.shape) == ((2, 1, *size), (2, 2, *size))
    assert one.pixel_values.abs().max() <= 1
    torch.testing.assert_close(one.pixel_values, three.pixel_values, atol=1e-5, rtol=0)
    assert torch.equal(as_tuple[0], one.pixel_values)


def test_a_larger_picture_gives_the_same_where_the_border_is_far() -> None:
    model, picture = tiny(), random_pictures(1, 1, 60, 60)
    with torch.no_grad():
        whole, part = (model(pixel_values=each, alpha=0).pixel_values for each in (picture, picture[..., 10:, 10:]))
    torch.testing.assert_close(whole[..., 20:, 20:], part[..., 10:, 10:], atol=1e-5, rtol=0)


def test_fresh_weights_give_the_grey_picture() -> None:
    picture = random_pictures(2, 1, 21, 34)
    with torch.no_grad():
        output = CrossSpectralHallucinator(HallucinatorConfig.for_variant("small"))(pixel_values=picture)
    torch.testing.assert_close(output.pixel_values, picture.expand(-1, 3, -1, -1), atol=1e-5, rtol=0)


def test_blending_keeps_the_networks_luminance_at_0_and_leads_to_the_picture_at_1() -> None:
    luminance, picture = random_pictures(2, 1, 32, 40), random_pictures(2, 1, 40, 32).mT
    assert torch.equal(blend(luminance, picture, 0.0, 1.0), luminance)
    distances = [(blend(luminance, picture, alpha, 1.0) - picture).square().mean() for alpha in (0, 0.3, 0.6, 1)]
    assert distances == sorted(distances, reverse=True)
    half = torch.full_like(luminance, 0.5)
    torch.testing.assert_close(blend(half, -half, 1.0, 1.0), -half)  # what is smooth is taken from the picture


def test_blending_is_the_twice_blurred_difference() -> None:
    luminance, picture = random_pictures(1, 1, 30, 25), random_pictures(1, 1, 25, 30).mT
    difference = (picture - luminance)[0, 0].double().numpy()
    for _ in range(2):
        difference = gaussian_filter(difference, 1.3, mode="nearest", radius=6)
    expected = luminance[0, 0].double().numpy() + 0.6 * difference
    np.testing.assert_allclose(blend(luminance, picture, 0.6, 1.3)[0, 0], expected, atol=1e-5)


def test_alpha_0_gives_the_networks_luminance() -> None:
    model = tiny()
    with torch.no_grad():
        for channel in ("y", "cb", "cr"):  # small outputs: no colour is clipped
            model.networks[channel].convolutions[-1].weight.mul_(0.05)
        output = model(pixel_values=0.3 * random_pictures(1, 1, 24, 24), alpha=0)
    assert output.pixel_values.abs().max() < 1
    torch.testing.assert_close(rgb_to_ycbcr(output.pixel_values)[:, :1], output.luminance, atol=1e-5, rtol=0)
    torch.testing.assert_close(rgb_to_ycbcr(output.pixel_values)[:, 1:], output.chroma, atol=1e-5, rtol=0)


@given(st.integers(0, 2**32 - 1))
def test_colours_as_pillow_converts_them(seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pillow = np.array(Image.fromarray(rgb).convert("YCbCr")).astype(float)
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1
    ours = rgb_to_ycbcr(pixels)
    levels = ours[0].permute(1, 2, 0).numpy() * 127.5 + [127.5, 128, 128]
    assert np.abs(levels - pillow).max() <= 1.05  # Pillow cuts off what others round
    torch.testing.assert_close(ycbcr_to_rgb(ours), pixels, atol=1e-5, rtol=0)


def test_pictures_are_brought_to_the_training_scale() -> None:
    model, picture = tiny(input_mean=0.1, input_std=0.3), random_pictures(3, 1, 20, 30)
    with torch.no_grad():
        first, brighter = model(pixel_values=picture), model(pixel_values=0.5 * picture + 0.2)
    torch.testing.assert_close(first.picture.mean(dim=(1, 2, 3)), torch.full((3,), 0.1))
    torch.testing.assert_close(first.picture.flatten(1).std(dim=1, correction=0), torch.full((3,), 0.3))
    torch.testing.assert_close(first.pixel_values, brighter.pixel_values, atol=1e-4, rtol=0)
    with torch.no_grad():
        assert model(pixel_values=torch.zeros(1, 1, 8, 8)).pixel_values.isfinite().all()  # a picture of one value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [11, 7]}, "three positive"),
        ({"layers": [11, 7, 3]}, "at least 4"),
        ({"kernel_sizes": [11, 4, 5]}, "odd"),
        ({"alpha": 1.5}, "alpha"),
        ({"sigma": 0.0}, "sigma"),
        ({"input_mean": 0.0}, "belong together"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HallucinatorConfig(**change)  # type: ignore[arg-type]


def test_impossible_inputs_are_refused() -> None:
    model = tiny()
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        model(pixel_values=torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="alpha must lie"):
        model(pixel_values=torch.zeros(1, 1, 8, 8), alpha=-0.1)
    with pytest.raises(ValueError, match="paper, small"):
        HallucinatorConfig.for_variant("large")


@pytest.mark.slow
def test_saved_and_loaded_with_and_without_the_package(tmp_path: Path) -> None:
    """The code goes along; a process that cannot import the package loads it, one that can needs no trust."""
    folder, picture = tmp_path / "model", random_pictures(2, 1, 21, 33)
    model = tiny(input_mean=0.1, input_std=0.4)
    model.save_pretrained(folder)
    picture_processor().save_pretrained(folder)
    with torch.no_grad():
        expected = model(pixel_values=picture).pixel_values
        again = AutoModel.from_pretrained(folder)
        assert type(again) is CrossSpectralHallucinator
        assert torch.equal(again(pixel_values=picture).pixel_values, expected)
    assert AutoImageProcessor.from_pretrained(folder).do_resize is False
    torch.save(picture, tmp_path / "picture.pt")
    script = f"""
import sys
sys.modules["hf_crossspec"] = None  # importing it now fails
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel
try:
    AutoModel.from_pretrained({str(folder)!r}, trust_remote_code=False)
except ValueError as error:
    assert "trust_remote_code" in str(error), error
else:
    raise SystemExit("loaded without trust")
model = AutoModel.from_pretrained({str(folder)!r}, trust_remote_code=True)
assert AutoConfig.from_pretrained({str(folder)!r}, trust_remote_code=True).alpha == 0.6
processor = AutoImageProcessor.from_pretrained({str(folder)!r}, trust_remote_code=True)
assert processor(torch.zeros(1, 20, 30), return_tensors="pt").pixel_values.shape == (1, 3, 20, 30)
with torch.no_grad():
    made = model(pixel_values=torch.load({str(tmp_path / "picture.pt")!r})).pixel_values
torch.save(made, {str(tmp_path / "made.pt")!r})
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=300, env={"HF_HOME": str(tmp_path)})
    torch.testing.assert_close(torch.load(tmp_path / "made.pt"), expected)
