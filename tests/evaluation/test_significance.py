"""Paired tests against copying subjects out, against scipy, and what they promise when nothing differs."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.metrics import area_under_roc, equal_error_rate, rank_of_mate, tar_at_fmr, tar_name
from hf_crossspec.evaluation.scores import Comparisons, ScoreMatrix
from hf_crossspec.evaluation.significance import (
    difference_from,
    mcnemar_exact,
    paired_differences,
    paired_rank_difference,
)
from tests.evaluation.test_intervals import FMRS, copied_out, make_matrix, rates_of


def make_systems(subjects: int, images: int = 1, gain: float = 0.0, seed: int = 0) -> tuple[ScoreMatrix, ScoreMatrix]:
    """Two systems on the same pictures: scores that share what makes a subject hard, `gain` more for mated ones."""
    before = make_matrix(subjects, images, seed=seed)
    mated = before.probe_subject[:, None] == before.gallery_subject[None, :]
    noise = np.random.default_rng([seed, 1]).normal(scale=0.7, size=before.scores.shape)
    after = (before.scores + noise + gain * mated).astype(np.float32)
    return before, ScoreMatrix(after, before.probe_subject, before.gallery_subject)


def naive_rates(data: Comparisons, drawn: list[int]) -> dict[str, float]:
    mated, non_mated = (np.array(side, np.float32) for side in copied_out(data, drawn))
    rates = {"eer": equal_error_rate(mated, non_mated), "auc": area_under_roc(mated, non_mated)}
    return rates | {tar_name(fmr): tar_at_fmr(mated, non_mated, fmr) for fmr in FMRS}


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_paired_bootstrap_is_copying_the_same_subjects_out_of_both(gain: float) -> None:
    before, after = (matrix.comparisons() for matrix in make_systems(7, images=2, gain=gain))
    subjects, rng, drawn_differences = np.unique(before.probe_subject), np.random.default_rng(5), []
    for _ in range(30):
        drawn = subjects[rng.integers(7, size=7)].tolist()
        left, right = naive_rates(before, drawn), naive_rates(after, drawn)
        drawn_differences.append({name: right[name] - left[name] for name in left})
    found = paired_differences(before, after, FMRS, replicates=30, seed=5)
    assert found.keys() == drawn_differences[0].keys()
    for name, difference in found.items():
        values = [round(row[name], 9) for row in drawn_differences]
        value = rates_of(after)[name] - rates_of(before)[name]
        assert difference.value == pytest.approx(value, abs=1e-12)
        low, high = np.quantile(values, [0.025, 0.975])
        assert (difference.low, difference.high) == pytest.approx((min(low, value), max(high, value)), abs=1e-8)
        smaller = min(sum(v <= 0 for v in values), sum(v >= 0 for v in values))
        assert difference.p_value == pytest.approx(min(1, 2 * (smaller + 1) / 31))
        assert (difference.replicates, difference.method) == (30, "paired subject bootstrap")


def test_rank_difference_is_resampling_the_probes_subjects() -> None:
    before, after = make_systems(9, images=3, gain=0.5)
    right = [rank_of_mate(side) <= 2 for side in (before, after)]
    subjects, rng, values = np.unique(before.probe_subject), np.random.default_rng(3), []
    for _ in range(50):
        changes = []
        for subject in subjects[rng.integers(9, size=9)]:
            for probe in np.flatnonzero(before.probe_subject == subject):
                changes.append(int(right[1][probe]) - int(right[0][probe]))
        values.append(np.mean(changes))
    difference, _ = paired_rank_difference(before, after, 2, replicates=50, seed=3)
    assert difference.value == pytest.approx(right[1].mean() - right[0].mean())
    assert (difference.low, difference.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_probes_without_a_mate_take_no_part_in_rank_1() -> None:
    scores = np.array([[0.1, 0.9], [0.9, 0.1], [0.8, 0.7]])
    before = ScoreMatrix(scores, np.array([0, 1, 5]), np.array([0, 1]))
    after = ScoreMatrix(-scores, np.array([0, 1, 5]), np.array([0, 1]))
    difference, mcnemar = paired_rank_difference(before, after, replicates=10)
    assert (difference.value, mcnemar.gained, mcnemar.lost) == (1.0, 2, 0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (10, 2), (5, 5), (0, 8), (60, 41)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    before = np.array([False] * gained + [True] * lost + [True] * 7 + [False] * 4)
    after = np.array([True] * gained + [False] * lost + [True] * 7 + [False] * 4)
    found, n = mcnemar_exact(before, after), gained + lost
    assert (found.gained, found.lost) == (gained, lost)
    tail = sum(comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    if n:
        assert found.p_value == pytest.approx(binomtest(lost, n).pvalue)


def test_the_same_system_twice_does_not_differ() -> None:
    matrix = make_matrix(20)
    for difference in paired_differences(matrix, matrix, FMRS, replicates=40).values():
        assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
        assert not difference.significant
    difference, mcnemar = paired_rank_difference(matrix, matrix, replicates=40)
    assert (difference.p_value, mcnemar.p_value, difference.significant) == (1, 1, False)


def test_a_clear_gain_is_significant_and_its_reverse_a_clear_loss() -> None:
    before, after = make_systems(60, gain=2.0)
    gain = paired_differences(before, after, FMRS, replicates=200)
    loss = paired_differences(after, before, FMRS, replicates=200)
    assert gain["eer"].value < 0 < gain["auc"].value
    for name, difference in gain.items():
        assert difference.significant and difference.p_value == pytest.approx(2 / 201)
        assert loss[name].value == -difference.value and loss[name].significant
        assert (loss[name].low, loss[name].high) == pytest.approx((-difference.high, -difference.low))


def test_equal_systems_are_rarely_told_apart() -> None:
    """Two systems that differ by noise alone: p below 0.05 in about 5 % of 60 data sets."""
    found = []
    for seed in range(60):
        base = make_matrix(30, seed=seed)
        mated = base.probe_subject[:, None] == base.gallery_subject[None, :]
        rng = np.random.default_rng([seed, 2])
        sides = [
            ScoreMatrix(
                base.scores - mated + rng.normal(size=base.scores.shape), base.probe_subject, base.gallery_subject
            )
            for _ in range(2)
        ]
        found.append(paired_differences(*sides, replicates=80, seed=seed)["auc"].significant)
    assert np.mean(found) <= 0.12


def test_the_seed_decides_and_list_and_matrix_agree() -> None:
    before, after = make_systems(20)
    first = paired_differences(before, after, FMRS, replicates=30, seed=1)
    assert paired_differences(before.comparisons(), after.comparisons(), FMRS, replicates=30, seed=1) == first
    assert paired_differences(before, after, FMRS, replicates=30, seed=2) != first


def test_large_data_are_compared_in_parts_as_wide_as_the_whole() -> None:
    ratios = []
    for seed in range(4):
        before, after = make_systems(240, gain=0.3, seed=seed)
        full = paired_differences(before, after, (0.1,), replicates=150)
        part = paired_differences(before, after, (0.1,), replicates=150, max_comparisons=10_000)
        ratios.append([(part[name].high - part[name].low) / (full[name].high - full[name].low) for name in full])
        assert all(part[name].value == full[name].value for name in full)
        assert part["eer"].method.startswith("paired m-out-of-n subject bootstrap, m = 100 of n = 240 subjects")
    assert (np.abs(np.mean(ratios, axis=0) - 1) < 0.3).all()


def test_parts_of_both_systems_are_the_same_comparisons() -> None:
    matrix = make_matrix(120, images=2)
    for max_comparisons in (4_000, 20_000):
        for difference in paired_differences(matrix, matrix, replicates=20, max_comparisons=max_comparisons).values():
            assert (difference.low, difference.high) == (0, 0)


def test_what_is_not_paired_is_refused() -> None:
    before, after = make_systems(5)
    other = ScoreMatrix(after.scores, after.probe_subject[::-1].copy(), after.gallery_subject)
    for left, right in ((before, other), (before, after.comparisons()), (before, make_matrix(6))):
        with pytest.raises(InputError, match="same comparisons"):
            paired_differences(left, right)
    with pytest.raises(InputError, match="replicate"):
        paired_differences(before, after, replicates=0)
    with pytest.raises(InputError, match="one shape"):
        mcnemar_exact(np.array([True]), np.array([True, False]))


def test_without_a_usable_replicate_nothing_is_claimed() -> None:
    difference = difference_from(0.4, np.array([]), "none")
    assert (difference.low, difference.high, difference.p_value, difference.significant) == (-1, 1, 1, False)
