"""A visible-light face from a picture in another spectrum (Lezama, Qiu and Sapiro, "Not Afraid of the Dark", 2017)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv2d, pad
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_hallucination import CHANNELS, HallucinatorConfig

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # luminance of ITU-R BT.601; with full range this is JPEG's YCbCr


@dataclass
class HallucinatorOutput(ModelOutput):
    """Output of `CrossSpectralHallucinator`.

    Args:
        pixel_values: The visible-light picture, RGB (B, 3, H, W) in [-1, 1].
        luminance: Y as the network gives it, before blending, (B, 1, H, W).
        chroma: Cb and Cr, (B, 2, H, W); 0 is grey.
        picture: What the networks saw and what is blended in, (B, 1, H, W): the input on the training pictures' scale.
    """

    pixel_values: torch.Tensor | None = None
    luminance: torch.Tensor | None = None
    chroma: torch.Tensor | None = None
    picture: torch.Tensor | None = None


class ChannelNetwork(nn.Module):
    """The network of one channel: convolutions of one kernel size, an hourglass in width, PReLU after all but the last.

    With `skip`, the input is added to what the last layer gives, so that the network learns the difference of the
    spectra. (The paper's Table 1 says "input to last layer" and not whether it is added or stacked.)
    """

    def __init__(self, layers: int, outer_width: int, inner_width: int, kernel_size: int, skip: bool) -> None:
        super().__init__()
        widths = [1, outer_width, *[inner_width] * (layers - 3), outer_width, 1]
        shapes = pairwise(widths)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, kernel_size, padding=kernel_size // 2) for a, b in shapes)
        self.activations = nn.ModuleList(nn.PReLU(width) for width in widths[1:-1])
        self.skip = skip

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) -> (B, 1, H, W)."""
        x = picture
        for convolution, activation in zip(self.convolutions[:-1], self.activations, strict=True):
            x = activation(convolution(x))  # (B, width, H, W)
        x = self.convolutions[-1](x)  # (B, 1, H, W)
        return x + picture if self.skip else x


class CrossSpectralHallucinator(PreTrainedModel):
    """Three networks, one per channel of YCbCr, each from the one-channel picture; then blending on the luminance.

    They are fully convolutional: pictures of any size. Fresh weights change nothing: they give the grey picture.

    Example:
        >>> model = CrossSpectralHallucinator(HallucinatorConfig.for_variant("small")).eval()
        >>> model(pixel_values=torch.zeros(2, 1, 112, 96)).pixel_values.shape
        torch.Size([2, 3, 112, 96])
    """

    config: HallucinatorConfig
    config_class = HallucinatorConfig
    base_model_prefix = "hallucinator"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012

    def __init__(self, config: HallucinatorConfig) -> None:
        super().__init__(config)
        sizes = zip(config.layers, config.outer_widths, config.inner_widths, config.kernel_sizes, strict=True)
        self.networks = nn.ModuleDict(
            {name: ChannelNetwork(*size, skip=name == "y") for name, size in zip(CHANNELS, sizes, strict=True)}
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            if module.out_channels == 1:  # the last layer: start from the picture itself, without colour
                init.zeros_(module.weight)
            else:
                init.kaiming_normal_(module.weight, a=0.25, nonlinearity="leaky_relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.PReLU):
            init.constant_(module.weight, 0.25)

    def forward(
        self,
        pixel_values: torch.Tensor,
        alpha: float | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> HallucinatorOutput | tuple[torch.Tensor, ...]:
        """Hallucinate a batch.

        Args:
            pixel_values: (B, 1, H, W), or (B, 3, H, W) of which the luminance is taken; values in [-1, 1].
            alpha: Blending instead of the configuration's, in [0, 1]; see `blend`.
            return_dict: `False` for a plain tuple, the picture first.
            kwargs: Ignored.
        """
        picture = self.standardise(_one_channel(pixel_values.to(self.dtype)))
        luminance, cb, cr = (self.networks[name](picture) for name in CHANNELS)  # (B, 1, H, W) each
        alpha = self.config.alpha if alpha is None else alpha
        blended = blend(luminance, picture, alpha, self.config.sigma)
        output = HallucinatorOutput(
            pixel_values=ycbcr_to_rgb(torch.cat([blended, cb, cr], dim=1)).clamp(-1, 1),
            luminance=luminance,
            chroma=torch.cat([cb, cr], dim=1),
            picture=picture,
        )
        return output.to_tuple() if return_dict is False else output

    def standardise(self, picture: torch.Tensor) -> torch.Tensor:
        """Bring each picture (B, 1, H, W) to the configuration's mean and standard deviation, where it has any."""
        if self.config.input_mean is None or self.config.input_std is None:
            return picture
        mean = picture.mean(dim=(2, 3), keepdim=True)
        deviation = picture.std(dim=(2, 3), keepdim=True, correction=0).clamp_min(1e-3)
        return (picture - mean) / deviation * self.config.input_std + self.config.input_mean


def blend(luminance: torch.Tensor, picture: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """Y + alpha * G * G * (picture - Y), with * convolution and G a Gaussian of standard deviation `sigma`.

    The paper prints equation (1) with a minus, which would lead away from the picture. Its text says that alpha
    balances the information that is kept of the near-infrared picture, so the sign is plus here: `alpha` 0 gives the
    network's luminance, 1 replaces all of it but the finest detail by the picture's. The squared Gaussian is read as
    applied twice. Borders are continued by their last pixel.

    Args:
        luminance, picture: (B, 1, H, W) each.
        alpha: In [0, 1].

    Raises:
        ValueError: alpha out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
    if alpha == 0:
        return luminance
    difference = _gaussian_blur(_gaussian_blur(picture - luminance, sigma), sigma)
    return luminance + alpha * difference


def rgb_to_ycbcr(rgb: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) in [-1, 1] -> Y, Cb, Cr in [-1, 1] by ITU-R BT.601 over the full range (JPEG); chroma 0 is grey."""
    red, green, blue = rgb.unbind(dim=1)
    y = RED * red + GREEN * green + BLUE * blue
    return torch.stack([y, (blue - y) / (2 * (1 - BLUE)), (red - y) / (2 * (1 - RED))], dim=1)


def ycbcr_to_rgb(ycbcr: torch.Tensor) -> torch.Tensor:
    """The inverse of `rgb_to_ycbcr`, not clipped: some combinations of Y, Cb and Cr are no colour."""
    y, cb, cr = ycbcr.unbind(dim=1)
    red, blue = y + 2 * (1 - RED) * cr, y + 2 * (1 - BLUE) * cb
    return torch.stack([red, (y - RED * red - BLUE * blue) / GREEN, blue], dim=1)


def _one_channel(pixels: torch.Tensor) -> torch.Tensor:
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"pictures must be (B, 1, H, W) or (B, 3, H, W), not {tuple(pixels.shape)}")
    return pixels if pixels.shape[1] == 1 else rgb_to_ycbcr(pixels)[:, :1]


def _gaussian_blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    radius = math.ceil(4 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=pixels.dtype, device=pixels.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    pixels = conv2d(pad(pixels, (radius, radius, 0, 0), mode="replicate"), kernel)
    return conv2d(pad(pixels, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))
