"""From a picture of any kind (PIL, array, tensor; 8 or 16 bit, float; one to four channels) to EdgeFace's input."""

import os
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_utils import PILImageResampling, is_valid_image, load_image

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class EdgeFaceImageProcessor(TorchvisionBackend):
    """Turns aligned face pictures into `pixel_values`, (B, 3, 112, 112), values in [-1, 1].

    Every kind of input is brought to the same scale first, 0 to 255 in floating point:

    - 8-bit values are taken as they are; unsigned 16-bit values (also PIL's mode `I`) are divided by 257;
    - floating-point values in [0, 1] are multiplied by 255, larger ones up to 255 are taken as they are, still larger
      ones up to 65535 are divided by 257;
    - one channel is repeated three times; transparent pixels are laid on white; the orientation stored in the
      picture's EXIF data is applied.

    A picture of another size is resized as a whole, never cropped: alignment is the caller's.

    Raises:
        ValueError: empty pictures, NaN, infinite or negative values, values above 65535, or other channel counts.

    Example:
        >>> processor = EdgeFaceImageProcessor()
        >>> processor(Image.new("L", (112, 112)), return_tensors="pt").pixel_values.shape
        torch.Size([1, 3, 112, 112])
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012
    resample = PILImageResampling.BILINEAR
    size = {"height": 112, "width": 112}  # noqa: RUF012
    image_mean = [0.5, 0.5, 0.5]  # noqa: RUF012
    image_std = [0.5, 0.5, 0.5]  # noqa: RUF012
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open paths and URLs as PIL pictures, so that 16-bit depth and orientation survive; pass pictures through."""
        source = image_url_or_urls
        if isinstance(source, list | tuple):
            return [self.fetch_images(item) for item in source]
        if isinstance(source, str | os.PathLike):
            return Image.open(source) if os.path.isfile(source) else load_image(str(source))  # noqa: PTH113
        if is_valid_image(source):
            flat = not isinstance(source, Image.Image) and source.ndim == 2
            return source[None] if flat else source
        raise TypeError(f"a picture, a path or a list of them is expected, not {type(source).__name__}")

    def process_image(
        self,
        image: Any,
        do_convert_rgb: bool | None = None,
        input_data_format: Any = None,
        device: "torch.device | None" = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """One picture as (3, H, W) float32 in [0, 255]."""
        if isinstance(image, Image.Image):
            pixels = torch.from_numpy(_pil_to_array(image))  # (H, W) or (H, W, C)
            layout = "channels_last"
        else:
            pixels = torch.from_numpy(image) if isinstance(image, np.ndarray) else torch.as_tensor(image)
            layout = getattr(input_data_format, "value", input_data_format)
        pixels = _channels_first(pixels, layout)
        return _three_channels(_eight_bit_scale(pixels)).to(device=device)


def _pil_to_array(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT_MODES:
        return np.array(image).astype(np.float32) / 257.0
    if image.mode in ("F", "L", "RGB"):
        return np.array(image)
    if image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info:
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("L" if image.mode == "1" else "RGB"))


def _channels_first(pixels: torch.Tensor, layout: str | None) -> torch.Tensor:
    """(H, W), (H, W, C) or (C, H, W) -> (C, H, W) with C in 1, 3, 4."""
    if pixels.ndim == 2:
        pixels = pixels[None]
    elif pixels.ndim == 3:
        last = layout in ("channels_last", "last") or (
            layout is None and pixels.shape[0] not in (1, 3, 4) and pixels.shape[-1] in (1, 3, 4)
        )
        pixels = pixels.permute(2, 0, 1) if last else pixels
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4) or 0 in pixels.shape:
        raise ValueError(f"a picture needs 1, 3 or 4 channels and some pixels; its shape is {tuple(pixels.shape)}")
    return pixels


def _eight_bit_scale(pixels: torch.Tensor) -> torch.Tensor:
    """Any numeric type -> float32 in [0, 255]."""
    if pixels.dtype == torch.uint8:
        return pixels.float()
    if pixels.dtype == torch.bool:
        return pixels.float() * 255.0
    if pixels.dtype == torch.uint16:
        return pixels.float() / 257.0
    values = pixels.float()
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 65535:
        raise ValueError(f"pixel values must be finite and lie in [0, 65535]; these span {low:g} to {high:g}")
    if pixels.is_floating_point() and high <= 1:
        return values * 255.0
    return values if high <= 255 else values / 257.0


def _three_channels(pixels: torch.Tensor) -> torch.Tensor:
    """(1, 3 or 4, H, W) in [0, 255] -> (3, H, W); the fourth channel is opacity over white."""
    if pixels.shape[0] == 4:
        opacity = pixels[3:] / 255.0
        return pixels[:3] * opacity + 255.0 * (1.0 - opacity)
    return pixels.expand(3, -1, -1)
