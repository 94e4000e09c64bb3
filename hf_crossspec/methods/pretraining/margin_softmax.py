"""Margin softmax: a classifier over the training subjects that pulls each subject's faces together on the sphere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import normalize

from hf_crossspec.errors import InputError

LEAST_SINE = 1e-4  # keeps ArcFace's derivative, which has 1 / sin(theta), finite


def cosface(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    """cos(theta) - m: CosFace, arXiv 1801.09414, equation 4."""
    return cosine - margin


def arcface(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    """cos(theta + m): ArcFace, arXiv 1801.07698, equation 3; m in radians.

    Beyond theta = pi - m that would rise again; there cos(theta) - m sin(m) goes on falling, as in the authors' code.
    """
    sine = (1 - cosine * cosine).clamp(min=LEAST_SINE**2).sqrt()
    added = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), added, cosine - margin * math.sin(margin))


class Margin(NamedTuple):
    """How a margin changes the cosine to the true subject, and the margin of its paper."""

    apply: Callable[[torch.Tensor, float], torch.Tensor]
    default: float


MARGINS = {"cosface": Margin(cosface, 0.35), "arcface": Margin(arcface, 0.5)}


class MarginSoftmax(nn.Module):
    """Logits for the softmax over subjects: scaled cosines, the true subject's made smaller by a margin.

    Args:
        embedding_size: D.
        subjects: Number C of subjects.
        loss: `cosface` or `arcface`.
        margin: In [0, 1); a cosine for CosFace, radians for ArcFace. `None` for the paper's.
        scale: Factor s of all cosines, positive.

    Raises:
        InputError: an unknown loss, or a margin or scale out of range.

    Example:
        >>> head = MarginSoftmax(embedding_size=512, subjects=1000)
        >>> logits = head(torch.randn(8, 512), torch.arange(8))
        >>> torch.nn.functional.cross_entropy(logits, torch.arange(8)).shape
        torch.Size([])
    """

    def __init__(
        self, embedding_size: int, subjects: int, loss: str = "cosface", margin: float | None = None, scale: float = 64
    ) -> None:
        super().__init__()
        self.loss, self.margin, self.scale = loss, check_margin(loss, margin, scale), scale
        self.weight = nn.Parameter(torch.empty(subjects, embedding_size))
        nn.init.normal_(self.weight, std=embedding_size**-0.5)

    def forward(self, embeddings: torch.Tensor, subjects: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, D), not normalised, and subject codes (B,) in [0, C) -> logits (B, C)."""
        with torch.autocast(embeddings.device.type, enabled=False):  # bf16 cosines times the scale are too coarse
            cosine = normalize(embeddings.to(self.weight.dtype)) @ normalize(self.weight).T  # (B, C)
            own = cosine.gather(1, subjects[:, None])  # (B, 1)
            harder = MARGINS[self.loss].apply(own, self.margin)
            return self.scale * cosine.scatter(1, subjects[:, None], harder)

    def extra_repr(self) -> str:
        return f"{self.loss}, margin={self.margin}, scale={self.scale}"


def check_margin(loss: str, margin: float | None, scale: float) -> float:
    """The margin that is meant; `InputError` for an unknown loss, or a margin or scale out of range."""
    if loss not in MARGINS:
        raise InputError(f"unknown margin loss {loss!r}: choose one of {', '.join(MARGINS)}")
    margin = MARGINS[loss].default if margin is None else margin
    if not 0 <= margin < 1 or not 0 < scale < math.inf:
        raise InputError(f"margin must lie in [0, 1) and scale be positive, not {margin} and {scale}")
    return margin
