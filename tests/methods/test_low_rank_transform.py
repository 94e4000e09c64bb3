"""The low-rank transform: its objective against plain loops, its slope against differences, and a monotone descent."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from hf_crossspec import InputError
from hf_crossspec.methods.low_rank.config import LowRankSettings
from hf_crossspec.methods.low_rank.projection import principal_components, projections
from hf_crossspec.methods.low_rank.transform import ClassFeatures, Iterate, _bounds, _Point, minimise


def problem(seed: int, size: int, counts: list[int], rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (size, N) of classes with these counts, each spread around a direction of its own, and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    basis = torch.randn(size, rank or size, generator=generator, dtype=torch.float64)
    means = torch.randn(rank or size, len(counts), generator=generator, dtype=torch.float64)
    noise = torch.randn(rank or size, len(labels), generator=generator, dtype=torch.float64)
    order = torch.randperm(len(labels), generator=generator)
    return basis @ (means[:, labels] + noise)[:, order], labels[order]


def objective_by_loops(transform: torch.Tensor, features: torch.Tensor, labels: torch.Tensor) -> float:
    moved = (transform @ features).numpy()
    total = 0.0
    for label in sorted(set(labels.tolist())):
        columns = [moved[:, i] for i in range(moved.shape[1]) if labels[i] == label]
        total += float(np.sum(np.linalg.svd(np.stack(columns, axis=1), compute_uv=False)))
    return total - float(np.sum(np.linalg.svd(moved, compute_uv=False)))


def at(transform: torch.Tensor, data: ClassFeatures, shrinkage: float = 0.0) -> Iterate:
    return _Point.at(transform, data, shrinkage).iterate(0)


def slope(transform: torch.Tensor, data: ClassFeatures, shrinkage: float) -> torch.Tensor:
    """Gradient of the objective, from the bounds that an iteration uses."""
    point = _Point.at(transform, data, shrinkage)
    (tangent, curvature), (within, total) = _bounds(point, data), point.norms
    return transform @ curvature / within - tangent / total + shrinkage * (transform - torch.eye(len(transform)))


@pytest.mark.parametrize("counts", [[2, 2, 2], [1, 5, 3, 40], [9], [1, 1], [17, 2, 2, 2, 33]])
def test_the_objective_is_what_loops_say(counts: list[int]) -> None:
    """Also with more pictures than dimensions, where the features are stored narrower."""
    features, labels = problem(1, 6, counts)
    data = ClassFeatures.of(features, labels)
    generator = torch.Generator().manual_seed(2)
    for transform in (torch.eye(6).double(), torch.randn(6, 6, generator=generator, dtype=torch.float64)):
        expected = objective_by_loops(transform, features, labels)
        assert at(transform, data).low_rank == pytest.approx(expected, abs=1e-9)
        assert at(3 * transform, data).low_rank == pytest.approx(3 * expected, abs=1e-9)  # homogeneous
        total = float(np.linalg.svd((transform @ features).numpy(), compute_uv=False).sum())
        ratio = 1 + expected / total
        for scaled in (transform, 3 * transform):
            away = float((scaled - torch.eye(6)).square().sum())
            assert at(scaled, data, 0.1).ratio == pytest.approx(ratio, abs=1e-9)  # whatever the scale
            assert at(scaled, data, 0.1).objective == pytest.approx(np.log(ratio) + 0.05 * away, abs=1e-9)
    assert data.whole.shape[1] <= 6
    assert all(part.shape[2] <= 8 for part in data.parts)


def test_the_bounds_have_the_objectives_slope() -> None:
    features, labels = problem(3, 5, [2, 3, 6, 2])  # of full rank, so the objective is differentiable
    data = ClassFeatures.of(features, labels)
    transform = torch.randn(5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected, step = slope(transform, data, 0.3), 1e-6
    for row in range(5):
        for column in range(5):
            change = torch.zeros(5, 5, dtype=torch.float64)
            change[row, column] = step
            up, down = (at(transform + sign * change, data, 0.3).objective for sign in (1, -1))
            assert (up - down) / (2 * step) == pytest.approx(float(expected[row, column]), abs=1e-6)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(2, 7),
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    rank=st.integers(1, 7),
    shrinkage=st.sampled_from([0.0, 1e-4, 0.02, 2.0]),
    proximal=st.sampled_from([0.01, 0.5]),
)
def test_the_objective_falls_at_every_iteration(
    seed: int, size: int, counts: list[int], rank: int, shrinkage: float, proximal: float
) -> None:
    features, labels = problem(seed, size, counts, min(rank, size))
    data = ClassFeatures.of(features, labels)
    path = list(islice(minimise(data, shrinkage, proximal), 25))
    assert torch.equal(path[0].transform, torch.eye(size).double())
    for before, after in pairwise(path):
        assert after.objective < before.objective
    scale = float(torch.linalg.svdvals(features).sum())
    for iterate in path:
        expected = objective_by_loops(iterate.transform, features, labels)
        assert iterate.low_rank == pytest.approx(expected, abs=1e-8 * scale)
        assert iterate.low_rank >= -1e-9 * scale
        assert iterate.ratio >= 1 - 1e-9
        assert iterate.objective >= -1e-9
        assert 0.2 < float(iterate.transform.norm()) / size**0.5 < 20  # the scale neither vanishes nor explodes


def test_the_procedure_ends_where_the_slope_is_nought() -> None:
    features, labels = problem(5, 6, [2, 3, 2, 4, 3])
    data = ClassFeatures.of(features, labels)
    first, *_, last = islice(minimise(data, 0.05), 3000)
    assert float(slope(last.transform, data, 0.05).abs().max()) < 1e-5
    assert float(slope(first.transform, data, 0.05).abs().max()) > 0.01


def test_nothing_changes_where_no_picture_is() -> None:
    features, labels = problem(6, 4, [2, 2, 2])
    wide = torch.cat([features, torch.zeros(3, 6, dtype=torch.float64)])
    *_, narrow = islice(minimise(ClassFeatures.of(features, labels), 0.1), 8)
    *_, last = islice(minimise(ClassFeatures.of(wide, labels), 0.1), 8)
    expected = torch.block_diag(narrow.transform, torch.eye(3).double())
    torch.testing.assert_close(last.transform, expected, atol=1e-9, rtol=0)


def test_orthogonal_subspaces_have_objective_nought() -> None:
    first, labels = problem(7, 3, [4])
    second, _ = problem(8, 3, [4])
    features = torch.block_diag(first, second)
    data = ClassFeatures.of(features, torch.cat([labels, labels + 1]))
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(9)).double()).Q
    assert at(torch.eye(6).double(), data).objective == pytest.approx(0, abs=1e-10)
    assert at(rotation, data).objective == pytest.approx(0, abs=1e-10)
    path = list(islice(minimise(data, 1.0), 5))
    assert path[-1].objective == pytest.approx(0, abs=1e-10)  # nothing to gain


def test_without_shrinkage_few_pictures_are_fitted_exactly() -> None:
    """The papers' objective reaches 0 on independent training pictures: why T is held near the identity."""
    features, labels = problem(10, 12, [2] * 5)
    plain = list(islice(minimise(ClassFeatures.of(features, labels), 0.0, 0.05), 300))
    assert plain[0].ratio > 1.05
    assert plain[-1].ratio < 1.0001
    *_, held = islice(minimise(ClassFeatures.of(features, labels), 0.1), 300)
    assert held.ratio > 1.01


def test_pictures_that_are_all_alike_are_no_problem() -> None:
    (only,) = minimise(ClassFeatures.of(torch.zeros(3, 4, dtype=torch.float64), torch.tensor([0, 0, 1, 1])), 1.0)
    assert (only.objective, only.ratio) == (0.0, 1.0)


def unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features, dim=0).T.float().numpy()


def test_the_axes_are_those_of_pca() -> None:
    values = torch.from_numpy(unit(problem(11, 5, [30])[0])).double()
    mean, axes = principal_components(values, 3)
    expected = PCA(3).fit(values.numpy())
    np.testing.assert_allclose(mean, expected.mean_, atol=1e-12)
    np.testing.assert_allclose(np.abs(expected.components_ @ axes.numpy()), np.eye(3), atol=1e-9)
    few, all_axes = principal_components(values[:3], 1024)
    torch.testing.assert_close(all_axes.T @ all_axes, torch.eye(5).double())  # also those along which nothing varies
    np.testing.assert_allclose(
        np.abs(PCA(2).fit(values[:3]).components_ @ all_axes[:, :2].numpy()), np.eye(2), atol=1e-9
    )
    assert few.shape == (5,)


def test_the_merged_map_is_pca_then_transform() -> None:
    features, labels = problem(12, 6, [4, 4, 4])
    embeddings, subjects = unit(features), np.array([f"s{label}" for label in labels])
    chosen = LowRankSettings(dimensions=4, iterations=5, tolerance=0.0)
    path = list(projections(embeddings, subjects, chosen))
    assert [projection.iterate.number for projection in path] == [0, 1, 2, 3, 4, 5]
    values = torch.from_numpy(embeddings).double()
    mean, axes = principal_components(values, 4)
    moved = path[-1].iterate.transform @ axes.T @ (values - mean).T
    expected = torch.nn.functional.normalize(moved, dim=0).T
    np.testing.assert_allclose(path[-1].apply(embeddings), expected, atol=1e-6)
    early = list(projections(embeddings, subjects, replace(chosen, tolerance=1.0)))
    assert len(early) == 2  # no iteration lowers the objective by more than all of it


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shrinkage": 0.0}, "proximal must be positive"),
        ({"shrinkage": -1.0}, "shrinkage must be a number of at least 0"),
        ({"proximal": float("nan")}, "proximal must be a number"),
        ({"iterations": 0}, "at least 1"),
        ({"dimensions": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    embeddings, subjects = np.eye(4, dtype=np.float32), np.array(list("aabb"))
    with pytest.raises(InputError, match=message):
        list(projections(embeddings, subjects, replace(LowRankSettings(), **change)))
