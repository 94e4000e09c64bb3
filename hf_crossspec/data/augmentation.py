"""Small random variations of aligned faces, a whole batch at a time."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import affine_grid, grid_sample

MAX_ROTATION = math.radians(5)
MAX_SCALE = 0.05
MAX_SHIFT = 0.03  # of the picture's side
MAX_CONTRAST = 0.15
MAX_BRIGHTNESS = 0.15  # of the full range


def augment_faces(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror half of the faces; rotate, scale, shift, and change contrast and brightness of each a little.

    Args:
        pixels: (B, 3, H, W) in [-1, 1].
        generator: Source of all draws; its state decides the result.

    Returns:
        (B, 3, H, W) in [-1, 1].
    """
    count = len(pixels)

    def draw(limit: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle, scale = draw(MAX_ROTATION), 1 + draw(MAX_SCALE)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift_x, shift_y = draw(2 * MAX_SHIFT), draw(2 * MAX_SHIFT)  # the grid spans [-1, 1]
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([cosine * mirror, -sine, shift_x, sine * mirror, cosine, shift_y], dim=1).view(-1, 2, 3)
    grid = affine_grid(matrix, list(pixels.shape), align_corners=False)
    pixels = grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    contrast, brightness = 1 + draw(MAX_CONTRAST), draw(2 * MAX_BRIGHTNESS)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (pixels - mean) * contrast.view(-1, 1, 1, 1) + mean + brightness.view(-1, 1, 1, 1)
    return pixels.clamp(-1, 1)
