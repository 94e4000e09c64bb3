"""All that happens between an aligned picture and its embedding, as one network without adapters or options."""

from __future__ import annotations

import copy
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from hf_crossspec.embedding import FaceEmbedder


class FaceNetwork(nn.Module):
    """Pixel scaling, backbone, optional linear map and normalisation.

    Args:
        backbone: A model that takes `pixel_values` (B, 3, H, W) and returns `embeddings` (B, D).
        scale, shift: (3,) pixel values 0 to 255 become `pixels * scale + shift`.
        projection: Linear map for embeddings of length one, applied before the final normalisation.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, backbone: nn.Module, scale: Tensor, shift: Tensor, projection: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, pixels: Tensor) -> Tensor:
        """Aligned faces, uint8 (B, H, W, 3) -> embeddings (B, D) of length one, float32."""
        values = pixels.float() * self.scale + self.shift
        pixel_values = values.permute(0, 3, 1, 2)  # (B, 3, H, W), still channels last in memory
        embeddings = self.backbone(pixel_values=pixel_values).embeddings.float()
        if self.projection is not None:
            embeddings = self.projection(nn.functional.normalize(embeddings))
        return nn.functional.normalize(embeddings)


def build_network(embedder: FaceEmbedder) -> FaceNetwork:
    """A copy of an embedder's model with its adapter folded in, ready to run on its device or to be exported."""
    model: Any = copy.deepcopy(embedder.model)
    backbone = model.merge_and_unload() if isinstance(model, PeftModel) else model
    processor = embedder.processor
    std = torch.tensor(processor.image_std)
    scale, shift = processor.rescale_factor / std, -torch.tensor(processor.image_mean) / std
    projection = None if embedder.low_rank is None else copy.deepcopy(embedder.low_rank.linear)
    network: Any = FaceNetwork(backbone, scale, shift, projection).eval().requires_grad_(False)
    return network.to(embedder.model.device, memory_format=torch.channels_last)
