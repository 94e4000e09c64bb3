"""The low-rank transform: subjects become subspaces of low rank that are far apart, by a monotone procedure.

Lezama, Qiu, Sapiro: Not Afraid of the Dark, CVPR 2017 (arXiv 1611.06638), section 4.1, after Qiu, Sapiro: Learning
Transformations for Clustering and Classification, JMLR 2015. With the features Y (r, N) of all pictures, Y_c those of
subject c, and |A| the nuclear norm (the sum of the singular values), the papers minimise over square T

    f(T) = sum_c |T Y_c| - |T Y|  >=  0,

which is 0 where the subjects' column spaces are orthogonal. f is homogeneous, f(sT) = s f(T), so its infimum is 0 at
T = 0; the older paper holds the spectral norm of T at 1, the newer one drops the condition and starts at the identity.
Neither keeps an exact minimisation from shrinking T, or from the directions in which the features hardly vary. So we
compare the two sums by their ratio, which no scale of T changes. And with few pictures, whose features are linearly
independent, some T makes the training subjects orthogonal exactly, and what it does to other people is arbitrary; so T
is held near the identity, which also leaves directions that no training picture has as they were:

    F(T) = log(sum_c |T Y_c| / |T Y|) + shrinkage / 2 |T - I|_F^2  >=  0.

The first term is 0 where f is; with `shrinkage` 0 it is alone.

One iteration replaces F by a convex function that touches it from above at the present T_k, so F cannot rise:

- |T Y| >= <T, G> with G = P Y' and P the polar factor U V' of T_k Y (the tangent, as in the concave-convex procedure);
- |T Y_c| <= 1/2 tr(T Y_c N_c^-1 Y_c' T') + 1/2 tr N_c with N_c = (Y_c' T_k' T_k Y_c)^(1/2);
- log a <= log a_k + a / a_k - 1 for a = sum_c |T Y_c|.

With H = sum_c Y_c N_c^-1 Y_c' the minimum is T = (G / t + shrinkage I) (H / a_k + shrinkage I)^-1, where t = <T, G> is
the positive root of a quadratic equation. `proximal` adds proximal / 2 |T - T_k|_F^2, that is, makes steps shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

SMALLEST = 1e-9  # singular values below this part of the largest count as 0
TINY = 1e-30
HALVINGS = 10


@dataclass(frozen=True)
class ClassFeatures:
    """Features by class, in a form that leaves all nuclear norms |T Y| and |T Y_c| as they are, and is small.

    Args:
        whole: (r, n) all features, n <= r.
        parts: Of classes of similar size, (C, r, n) with zero columns to fill up.
    """

    whole: Tensor
    parts: tuple[Tensor, ...]

    @classmethod
    def of(cls, features: Tensor, labels: Tensor) -> ClassFeatures:
        """Args: features (r, N), labels (N,) whole numbers."""
        classes = [_narrow(features[:, labels == label]) for label in torch.unique(labels)]
        by_size: dict[int, list[Tensor]] = {}
        for columns in classes:
            width = 1 << (columns.shape[1] - 1).bit_length()  # next power of two: few batches, at most half of it zeros
            by_size.setdefault(width, []).append(torch.nn.functional.pad(columns, (0, width - columns.shape[1])))
        return cls(_narrow(features), tuple(torch.stack(by_size[width]) for width in sorted(by_size)))


def _narrow(columns: Tensor) -> Tensor:
    """(r, n) -> (r, min(r, n)) with the same singular values under every T: the triangle of a QR of the transpose."""
    if columns.shape[1] <= columns.shape[0]:
        return columns
    return torch.linalg.qr(columns.T, mode="r").R.T


@dataclass(frozen=True)
class Iterate:
    """The transform after some iterations.

    Args:
        number: 0 is the identity.
        transform: T, (r, r).
        objective: F(T); never rises from one iterate to the next.
        low_rank: f(T), the papers' objective; it depends on the scale of T.
        ratio: sum_c |T Y_c| / |T Y|, at least 1, and 1 where f(T) is 0.
    """

    number: int
    transform: Tensor
    objective: float
    low_rank: float
    ratio: float


@dataclass(frozen=True)
class _Point:
    """T with the singular value decompositions that its value and the next step need."""

    transform: Tensor
    whole: tuple[Tensor, Tensor, Tensor]
    parts: tuple[tuple[Tensor, Tensor, Tensor], ...]
    shrinkage: float

    @classmethod
    def at(cls, transform: Tensor, data: ClassFeatures, shrinkage: float) -> _Point:
        whole, *parts = (
            torch.linalg.svd(transform @ columns, full_matrices=False) for columns in (data.whole, *data.parts)
        )
        return cls(transform, whole, tuple(parts), shrinkage)

    @property
    def norms(self) -> tuple[float, float]:
        """sum_c |T Y_c| and |T Y|."""
        return float(sum(values.sum() for _, values, _ in self.parts)), float(self.whole[1].sum())

    @property
    def objective(self) -> float:
        away = float((self.transform - _eye(self.transform)).square().sum())
        return log(self.ratio) + self.shrinkage / 2 * away

    @property
    def ratio(self) -> float:
        within, total = self.norms
        return within / total if total else 1.0

    def iterate(self, number: int) -> Iterate:
        within, total = self.norms
        return Iterate(number, self.transform, self.objective, within - total, self.ratio)


def minimise(data: ClassFeatures, shrinkage: float, proximal: float = 0.0) -> Iterator[Iterate]:
    """Iterates of the procedure above from the identity on, until no step lowers the objective any more.

    Args:
        shrinkage, proximal: As above, both >= 0 and one positive.
    """
    point = _Point.at(_eye(data.whole), data, shrinkage)
    number = 0
    while True:
        yield point.iterate(number)
        following = _descend(point, data, proximal)
        if following is None:
            return
        assert following.objective <= point.objective, "the objective rose"
        point, number = following, number + 1


def _descend(point: _Point, data: ClassFeatures, proximal: float) -> _Point | None:
    """The minimum of the majoriser, or a point nearer to T_k where rounding spoils that; `None` at a minimum."""
    goal = _minimum_of_majoriser(point, data, proximal)
    for halvings in range(HALVINGS):
        transform = torch.lerp(point.transform, goal, 0.5**halvings)
        following = _Point.at(transform, data, point.shrinkage)
        if following.objective < point.objective:
            return following
    return None


def _minimum_of_majoriser(point: _Point, data: ClassFeatures, proximal: float) -> Tensor:
    within, total = point.norms
    if total == 0:
        return point.transform
    tangent, curvature = _bounds(point, data)
    eye = _eye(tangent)
    held = point.shrinkage * eye + proximal * point.transform
    matrix = curvature / within + (point.shrinkage + proximal) * eye
    along, rest = torch.linalg.solve(matrix, torch.stack([tangent, held]), left=False)
    a, b = float((along * tangent).sum()), float((rest * tangent).sum())
    t = (b + sqrt(b * b + 4 * a)) / 2  # T = along / t + rest, so <T, G> = t says t^2 = a + b t
    return along / t + rest


def _bounds(point: _Point, data: ClassFeatures) -> tuple[Tensor, Tensor]:
    """G and H, both (r, r): at T_k, G is a subgradient of |T Y| and T_k H one of sum_c |T Y_c|."""
    tangent = _polar(point.whole) @ data.whole.T
    curvature = torch.zeros_like(tangent)
    for (_, values, right), columns in zip(point.parts, data.parts, strict=True):
        weights = values.clamp(min=max(SMALLEST * float(values.max()), TINY)).rsqrt()  # N_c^-1/2 in its own basis
        scaled = (columns @ right.mT) * weights[:, None, :]  # (C, r, n)
        scaled = scaled.transpose(0, 1).flatten(1)  # (r, C n)
        curvature += scaled @ scaled.T
    return tangent, curvature


def _polar(svd: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """U V' over the singular values that are not 0: a subgradient of the nuclear norm."""
    left, values, right = svd
    return (left * (values > SMALLEST * values.max())[..., None, :]) @ right


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[0], dtype=like.dtype, device=like.device)
