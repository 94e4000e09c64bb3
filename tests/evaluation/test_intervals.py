"""Wilson against scipy, the bootstrap against copying subjects out, and what the intervals promise at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.intervals import (
    SubjectResampler,
    draw_multiplicities,
    few_errors,
    proportion,
    subject_bootstrap,
    wilson_interval,
)
from hf_crossspec.evaluation.metrics import (
    SortedScores,
    area_under_roc,
    equal_error_rate,
    tar_at_fmr,
    tar_name,
    verification_rates,
)
from hf_crossspec.evaluation.scores import Comparisons, ScoreMatrix

FMRS = (0.1, 0.01)


def make_matrix(subjects: int, images: int = 1, levels: int | None = None, seed: int = 0) -> ScoreMatrix:
    """Scores with a subject effect, a known overlap and, with `levels`, many ties."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(rng.permutation(subjects) * 3, images)  # codes with gaps, not in order
    effect = 0.5 * rng.standard_normal(3 * subjects)
    scores = rng.standard_normal((len(codes), len(codes))) + effect[codes][:, None]
    scores += 2.0 * (codes[:, None] == codes[None, :])
    if levels is not None:
        scores = np.round(scores * levels) / levels
    return ScoreMatrix(scores.astype(np.float32), codes, codes)


def rates_of(data: Comparisons | ScoreMatrix, fmrs: tuple[float, ...] = FMRS) -> dict[str, float]:
    mated, non_mated = (SortedScores(np.sort(side)) for side in data.split())
    return verification_rates(mated, non_mated, fmrs)


def copied_out(data: Comparisons, drawn: list[int]) -> tuple[list[float], list[float]]:
    """Mated and non-mated scores of the population in which every draw is a person of its own."""
    mated, non_mated = [], []
    rows = list(zip(data.scores.tolist(), data.probe_subject.tolist(), data.gallery_subject.tolist(), strict=True))
    for i, left in enumerate(drawn):
        for j, right in enumerate(drawn):
            if i == j:
                mated += [score for score, p, g in rows if p == g == left]
            elif left != right:
                non_mated += [score for score, p, g in rows if (p, g) == (left, right)]
    return mated, non_mated


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_is_scipys(confidence: float) -> None:
    for n in (1, 2, 10, 338, 6000):
        for successes in {0, 1, n // 3, n - 1, n}:
            expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
            assert wilson_interval(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_holds_the_share_and_stays_within_the_unit_interval() -> None:
    for n in range(1, 200):
        for successes in range(n + 1):
            low, high = wilson_interval(successes, n)
            assert 0 <= low <= successes / n <= high <= 1 and low < high


@pytest.mark.parametrize(("successes", "n", "confidence"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_wilson_refuses_nonsense(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(InputError):
        wilson_interval(successes, n, confidence)


def test_rule_of_thirty() -> None:
    assert few_errors(29) and not few_errors(30) and few_errors(500, 29)
    assert proportion(970, 1000)["few_errors"] is False
    assert proportion(971, 1000) | {"low": 0, "high": 0} == {
        "value": 0.971, "low": 0, "high": 0, "n": 1000, "errors": 29, "few_errors": True, "method": "Wilson"
    }  # fmt: skip


@pytest.mark.parametrize("levels", [None, 1])
def test_bootstrap_equals_copying_subjects_out(levels: int | None) -> None:
    data = make_matrix(7, images=2, levels=levels).comparisons()
    subjects = np.unique(data.probe_subject)
    rng, values = np.random.default_rng(5), []
    for _ in range(40):
        drawn = subjects[rng.integers(7, size=7)].tolist()
        mated, non_mated = (np.array(side, np.float32) for side in copied_out(data, drawn))
        row = {"eer": equal_error_rate(mated, non_mated), "auc": area_under_roc(mated, non_mated)}
        values.append(row | {tar_name(fmr): tar_at_fmr(mated, non_mated, fmr) for fmr in FMRS})
    estimates = rates_of(data)
    intervals = subject_bootstrap(data, estimates, FMRS, replicates=40, seed=5)
    for name, estimate in estimates.items():
        low, high = np.quantile([row[name] for row in values], [0.025, 0.975])
        assert low < high
        assert intervals[name].low == pytest.approx(min(low, estimate), abs=1e-12)
        assert intervals[name].high == pytest.approx(max(high, estimate), abs=1e-12)
        assert intervals[name].method == "subject bootstrap, 40 replicates"


def test_weight_one_gives_the_plain_metrics() -> None:
    data = make_matrix(12, images=2, levels=2).comparisons()
    sides = SubjectResampler(data, np.unique(data.probe_subject)).weighted(np.ones(12, np.int64))
    assert verification_rates(*sides, FMRS) == rates_of(data)


def test_multiplicities_sum_to_the_subjects() -> None:
    for n in (1, 2, 50):
        drawn = draw_multiplicities(np.random.default_rng(n), n)
        assert drawn.shape == (n,) and drawn.sum() == n and (drawn >= 0).all()


def test_list_and_matrix_agree_and_the_seed_decides() -> None:
    matrix = make_matrix(20)
    estimates = rates_of(matrix)
    first = subject_bootstrap(matrix, estimates, FMRS, replicates=50, seed=1)
    assert subject_bootstrap(matrix.comparisons(), estimates, FMRS, replicates=50, seed=1) == first
    assert subject_bootstrap(matrix, estimates, FMRS, replicates=50, seed=2) != first


def test_subjects_with_many_pictures_widen_the_interval() -> None:
    """Repeating every picture adds comparisons but no knowledge: the interval must not shrink."""
    one = make_matrix(25)
    rows = np.repeat(np.arange(25), 4)
    many = ScoreMatrix(one.scores[np.ix_(rows, rows)], one.probe_subject[rows], one.gallery_subject[rows])
    a = subject_bootstrap(one, rates_of(one), FMRS, replicates=200)
    b = subject_bootstrap(many, rates_of(many), FMRS, replicates=200)
    assert (a["auc"].low, a["auc"].high) == pytest.approx((b["auc"].low, b["auc"].high), abs=1e-12)


def width_ratios(data: Comparisons | ScoreMatrix, max_comparisons: int, method: str) -> list[float]:
    """Width of the bootstrap in parts over that of the full one, for each metric."""
    estimates = rates_of(data, (0.1,))
    full = subject_bootstrap(data, estimates, (0.1,), replicates=200)
    part = subject_bootstrap(data, estimates, (0.1,), replicates=200, max_comparisons=max_comparisons)
    assert all(interval.method.startswith(method) for interval in part.values())
    return [(part[name].high - part[name].low) / (full[name].high - full[name].low) for name in estimates]


@pytest.mark.parametrize("as_list", [False, True])
def test_m_out_of_n_is_as_wide_as_the_full_bootstrap(as_list: bool) -> None:
    method = "m-out-of-n subject bootstrap, 200 replicates, m = 100 of n = 240 subjects"
    matrices = [make_matrix(240, seed=seed) for seed in range(4)]
    ratios = [width_ratios(x.comparisons() if as_list else x, 10_000, method) for x in matrices]
    assert (np.abs(np.mean(ratios, axis=0) - 1) < 0.25).all()  # without the scaling it would be 1.55


@pytest.mark.parametrize("as_list", [False, True])
def test_few_subjects_with_many_pictures_are_thinned_not_dropped(as_list: bool) -> None:
    matrix = make_matrix(20, images=10)
    method = "m-out-of-n subject bootstrap, 200 replicates, m = 20 of n = 20 subjects"
    ratios = width_ratios(matrix.comparisons() if as_list else matrix, 8_000, method)
    assert min(ratios) > 0.8 and max(ratios) < 2.6  # a fifth of the comparisons: wider, never surer


def test_perfect_separation_is_not_certainty() -> None:
    scores = np.eye(40, dtype=np.float32)
    data = ScoreMatrix(scores, np.arange(40), np.arange(40))
    intervals = subject_bootstrap(data, rates_of(data), FMRS, replicates=30)
    assert (intervals["auc"].low, intervals["auc"].high) == wilson_interval(40, 40)
    assert (intervals["eer"].low, intervals["eer"].high) == wilson_interval(0, 40)
    assert intervals[tar_name(0.1)].low == wilson_interval(40, 40)[0]
    assert all(interval.method.startswith("Wilson") for interval in intervals.values())


@pytest.mark.parametrize(("replicates", "limit"), [(30, 10**6), (30, 300), (2, 10**6)])
def test_intervals_hold_the_estimate_and_stay_in_range(replicates: int, limit: int) -> None:
    fmrs = (0.5, 0.1, 0.001)
    for seed in range(6):
        data = make_matrix(30, levels=1, seed=seed)
        estimates = rates_of(data, fmrs)
        intervals = subject_bootstrap(data, estimates, fmrs, replicates=replicates, max_comparisons=limit)
        for name, estimate in estimates.items():
            assert 0 <= intervals[name].low <= estimate <= intervals[name].high <= 1
            assert intervals[name].low < intervals[name].high


def test_replicates_without_a_comparison_are_left_out() -> None:
    data = Comparisons(np.array([0.9, 0.8, 0.1]), np.array([0, 1, 0]), np.array([0, 1, 1]))
    method = subject_bootstrap(data, rates_of(data, ()), (), replicates=100)["auc"].method
    assert method.startswith("Wilson")
    rows = make_matrix(3, images=4, seed=2)
    shown = subject_bootstrap(rows, rates_of(rows, ()), (), replicates=900)["auc"].method
    # All three draws are one subject, and so without a non-mated comparison, once in nine.
    assert 750 < int(shown.split()[2]) < 850


def test_bad_replicates_are_refused() -> None:
    data = make_matrix(5)
    with pytest.raises(InputError, match="replicate"):
        subject_bootstrap(data, rates_of(data), FMRS, replicates=0)
