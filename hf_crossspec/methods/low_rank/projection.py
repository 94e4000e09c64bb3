"""Embeddings and subjects -> PCA and low-rank transform, merged into one affine map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from hf_crossspec.methods.low_rank.config import LowRankSettings
from hf_crossspec.methods.low_rank.transform import ClassFeatures, Iterate, minimise


@dataclass(frozen=True)
class Projection:
    """The merged map x -> T P' (x - mean) after some iterations.

    Args:
        weight, bias: (r, D) and (r,), float64.
        iterate: Where the procedure stood; iteration 0 is PCA alone.
    """

    weight: Tensor
    bias: Tensor
    iterate: Iterate

    @classmethod
    def merge(cls, mean: Tensor, components: Tensor, iterate: Iterate) -> Projection:
        """Args: mean (D,), components (D, r) of the PCA, and the transform."""
        weight = iterate.transform @ components.T
        return cls(weight, -weight @ mean, iterate)

    def apply(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings of length one (N, D) -> embeddings of length one (N, r)."""
        values = torch.from_numpy(embeddings).to(self.weight) @ self.weight.T + self.bias
        return torch.nn.functional.normalize(values).float().cpu().numpy()


def projections(embeddings: np.ndarray, subjects: np.ndarray, settings: LowRankSettings) -> Iterator[Projection]:
    """The map after iterations 0, 1, ... until the objective stands still or the iterations are used up.

    Args:
        embeddings: (N, D) of length one, of all modalities.
        subjects: (N,) subject of each.
    """
    settings.check()
    values = torch.from_numpy(embeddings).double()
    mean, components = principal_components(values, settings.dimensions)
    labels = torch.from_numpy(np.unique(subjects, return_inverse=True)[1])
    data = ClassFeatures.of(((values - mean) @ components).T, labels)
    before: float | None = None
    for iterate in islice(minimise(data, settings.shrinkage, settings.proximal), settings.iterations + 1):
        yield Projection.merge(mean, components, iterate)
        if before is not None and before - iterate.objective <= settings.tolerance * before:
            return
        before = iterate.objective


def principal_components(values: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and the first `dimensions` principal axes as columns (D, r), r at most D.

    Axes along which nothing varies come last and are kept as far as they are asked for: pictures of other people vary
    along them.
    """
    mean = values.mean(0)
    centred = values - mean
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending
    return mean, axes.flip(1)[:, :dimensions]
