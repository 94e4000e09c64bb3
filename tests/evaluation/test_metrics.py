"""Every metric against its definition written as a plain loop, with many ties and in both float types."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.metrics import (
    SortedScores,
    area_under_roc,
    cmc,
    equal_error_rate,
    equal_error_threshold,
    false_match_rate,
    false_non_match_rate,
    kfold_accuracy,
    rank_of_mate,
    roc_curve_points,
    tar_at_fmr,
    tar_name,
    threshold_at_fmr,
    verification_rates,
)
from hf_crossspec.evaluation.scores import ScoreMatrix

DTYPES = st.sampled_from([np.float32, np.float64])


@st.composite
def score_lists(draw: st.DrawFn) -> np.ndarray:
    """1 to 40 scores, either a few repeated levels or arbitrary numbers."""
    level = st.integers(-2, 2).map(lambda x: x / 5)
    anything = st.floats(-1, 1, width=32)
    values = draw(st.lists(draw(st.sampled_from([level, anything])), min_size=1, max_size=40))
    return np.array(values, dtype=draw(DTYPES))


def loop_fmr(non_mated: np.ndarray, threshold: float) -> float:
    return sum(1 for score in non_mated.tolist() if score >= threshold) / len(non_mated)


def loop_fnmr(mated: np.ndarray, threshold: float) -> float:
    return sum(1 for score in mated.tolist() if score < threshold) / len(mated)


def loop_eer(mated: np.ndarray, non_mated: np.ndarray) -> tuple[float, float]:
    best, found = None, (0.0, 0.0)
    m, n = len(mated), len(non_mated)
    for threshold in sorted({*mated.tolist(), *non_mated.tolist()}):
        accepted = sum(1 for score in non_mated.tolist() if score >= threshold)
        rejected = sum(1 for score in mated.tolist() if score < threshold)
        gap = abs(Fraction(accepted, n) - Fraction(rejected, m))
        if best is None or gap < best:
            best, found = gap, (threshold, (accepted / n + rejected / m) / 2)
    return found


@given(score_lists(), st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 0.1, 0.29, 0.3, 1e-3]))
def test_threshold_is_the_lowest_that_keeps_the_fmr(non_mated: np.ndarray, fmr: float) -> None:
    threshold = threshold_at_fmr(non_mated, fmr)
    assert loop_fmr(non_mated, threshold) <= fmr
    next_lower = float(np.nextafter(non_mated.dtype.type(threshold), non_mated.dtype.type(-np.inf)))
    assert loop_fmr(non_mated, next_lower) > fmr
    assert float(non_mated.dtype.type(threshold)) == threshold
    assert SortedScores(np.sort(non_mated)).threshold_at_fmr(fmr) == threshold


@pytest.mark.parametrize(
    ("fmr", "n", "errors"),
    [(0.29, 100, 29), (0.1, 30, 3), (0.3, 10, 3), (0.1, 9, 0), (0.57, 100, 57), (float(np.nextafter(0.9, 0)), 10, 8)],
)
def test_threshold_spends_every_allowed_error(fmr: float, n: int, errors: int) -> None:
    scores = np.random.default_rng(0).permutation(n).astype(np.float32)
    assert int((scores >= threshold_at_fmr(scores, fmr)).sum()) == errors


@given(score_lists(), score_lists(), st.floats(-1, 1))
def test_rates_count_like_loops(mated: np.ndarray, non_mated: np.ndarray, threshold: float) -> None:
    assert false_match_rate(non_mated, threshold) == loop_fmr(non_mated, threshold)
    assert false_non_match_rate(mated, threshold) == loop_fnmr(mated, threshold)


def test_a_threshold_float32_cannot_hold_is_not_rounded_down() -> None:
    scores = np.array([0.1], np.float32)  # 0.100000001490116...
    assert false_match_rate(scores, 0.1) == 1
    assert false_match_rate(scores, 0.1000000015) == 0
    assert SortedScores(scores).below(0.1000000015) == 1
    assert SortedScores(scores).below(0.1, inclusive=True) == 0
    assert SortedScores(scores).below(0.1000000015, inclusive=True) == 1


@given(score_lists(), score_lists(), st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_tar_is_one_minus_fnmr(mated: np.ndarray, non_mated: np.ndarray, fmr: float) -> None:
    expected = 1 - loop_fnmr(mated, threshold_at_fmr(non_mated, fmr))
    assert tar_at_fmr(mated, non_mated, fmr) == pytest.approx(expected, abs=1e-15)
    rates = verification_rates(SortedScores(np.sort(mated)), SortedScores(np.sort(non_mated)), [fmr])
    assert rates[tar_name(fmr)] == tar_at_fmr(mated, non_mated, fmr)


@given(score_lists(), score_lists())
def test_equal_error_rate_matches_a_full_scan(mated: np.ndarray, non_mated: np.ndarray) -> None:
    threshold, rate = loop_eer(mated, non_mated)
    assert equal_error_rate(mated, non_mated) == rate
    assert equal_error_threshold(SortedScores(np.sort(mated)), SortedScores(np.sort(non_mated))) == threshold


def test_equal_error_rate_at_the_ends() -> None:
    assert equal_error_rate([1, 2], [-1, 0]) == 0
    assert equal_error_rate([-1, 0], [1, 2]) == 1
    assert equal_error_rate([3, 3], [3]) == 0.5


@given(score_lists(), score_lists())
def test_auc_is_the_mann_whitney_count_and_sklearns(mated: np.ndarray, non_mated: np.ndarray) -> None:
    pairs = [(a, b) for a in mated.tolist() for b in non_mated.tolist()]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert area_under_roc(mated, non_mated) == pytest.approx(expected, abs=1e-12)
    labels = np.repeat([1, 0], [len(mated), len(non_mated)])
    assert area_under_roc(mated, non_mated) == pytest.approx(
        roc_auc_score(labels, np.concatenate([mated, non_mated])), abs=1e-12
    )


@given(score_lists(), score_lists(), st.data())
def test_integer_weights_are_copies(mated: np.ndarray, non_mated: np.ndarray, data: st.DataObject) -> None:
    mated, non_mated = np.sort(mated), np.sort(non_mated)
    sides, copies = [], []
    for values in (mated, non_mated):
        weights = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
        weights[0] += 1
        sides.append(SortedScores(values, np.concatenate([[0], np.cumsum(weights)])))
        copies.append(SortedScores(np.repeat(values, weights)))
    targets = (0.0, 0.1, 0.3)
    assert verification_rates(sides[0], sides[1], targets) == verification_rates(copies[0], copies[1], targets)
    ones = [SortedScores(values, np.arange(len(values) + 1)) for values in (mated, non_mated)]
    expected = {"eer": equal_error_rate(mated, non_mated), "auc": area_under_roc(mated, non_mated)}
    expected |= {tar_name(target): tar_at_fmr(mated, non_mated, target) for target in targets}
    assert verification_rates(ones[0], ones[1], targets) == expected


@given(score_lists(), score_lists(), st.integers(2, 12))
def test_roc_points_are_real_operating_points(mated: np.ndarray, non_mated: np.ndarray, points: int) -> None:
    curve = roc_curve_points(SortedScores(np.sort(mated)), SortedScores(np.sort(non_mated)), points)
    assert len(curve["fmr"]) == len(curve["tar"]) <= points + 2
    assert curve["fmr"] == sorted(curve["fmr"]) and curve["tar"] == sorted(curve["tar"])
    assert (curve["fmr"][0], curve["fmr"][-1], curve["tar"][-1]) == (0, 1, 1)
    reachable = {(0.0, loop_tar) for loop_tar in [tar_at_fmr(mated, non_mated, 0)]} | {(1.0, 1.0)}
    for score in non_mated.tolist():
        above = float(np.nextafter(non_mated.dtype.type(score), non_mated.dtype.type(np.inf)))
        reachable.add((loop_fmr(non_mated, above), sum(s >= above for s in mated.tolist()) / len(mated)))
    assert set(zip(curve["fmr"], curve["tar"], strict=True)) <= reachable


def test_tar_names() -> None:
    names = [tar_name(fmr) for fmr in (1e-1, 1e-2, 1e-3, 1e-4, 0.05, 0.025)]
    assert [name.removeprefix("tar_at_fmr_") for name in names] == ["1e-1", "1e-2", "1e-3", "1e-4", "5e-2", "2.5e-2"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), min_size=4, max_size=30), DTYPES)
def test_kfold_accuracy_matches_loops(rows: list[tuple[int, bool, int]], dtype: type) -> None:
    rows += [(1, True, 0), (2, False, 1)]
    result = kfold_accuracy(np.array([r[0] for r in rows], dtype), [r[1] for r in rows], [r[2] for r in rows])
    folds = sorted({row[2] for row in rows})
    for i, fold in enumerate(folds):
        train = [row for row in rows if row[2] != fold]
        best_correct, best_threshold = -1, 0.0
        for threshold in [*sorted({float(row[0]) for row in train}), np.inf]:
            correct = sum((row[0] >= threshold) == row[1] for row in train)
            if correct > best_correct:
                best_correct, best_threshold = correct, threshold
        # "accept nothing" is one step above the other folds' scores, not infinity: held-out scores beyond it pass.
        if best_threshold == np.inf:
            best_threshold = float(np.nextafter(dtype(max(row[0] for row in train)), dtype(np.inf)))
        held_out = [row for row in rows if row[2] == fold]
        assert result.thresholds[i] == best_threshold
        assert result.correct[i] == sum((row[0] >= best_threshold) == row[1] for row in held_out)
        assert result.totals[i] == len(held_out)
        assert result.accuracies[i] == result.correct[i] / len(held_out)


@st.composite
def matrices(draw: st.DrawFn) -> ScoreMatrix:
    probes, gallery = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    cell = st.integers(0, 3)
    scores = draw(st.lists(cell, min_size=probes * gallery, max_size=probes * gallery))
    codes = [draw(st.lists(st.integers(0, 4), min_size=k, max_size=k)) for k in (probes, gallery)]
    return ScoreMatrix(np.array(scores, draw(DTYPES)).reshape(probes, gallery), *(np.array(c) for c in codes))


@given(matrices())
def test_rank_counts_the_mate_after_equals(matrix: ScoreMatrix) -> None:
    expected = []
    for row, subject in zip(matrix.scores.tolist(), matrix.probe_subject.tolist(), strict=True):
        # Sorting by (-score, mated) puts non-mates first among equals.
        order = sorted((-score, other == subject) for score, other in zip(row, matrix.gallery_subject, strict=True))
        flags = [mated for _, mated in order]
        if any(flags):
            expected.append(flags.index(True) + 1)
    assert rank_of_mate(matrix).tolist() == expected


def test_ranks_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    matrix = ScoreMatrix(rng.integers(0, 9, (53, 17)).astype(np.float32), rng.integers(0, 20, 53), np.arange(17))
    whole, sides = rank_of_mate(matrix), matrix.split()
    monkeypatch.setattr("hf_crossspec.evaluation.scores._BLOCK_ELEMENTS", 40)
    assert rank_of_mate(matrix).tolist() == whole.tolist()
    assert all((a == b).all() for a, b in zip(matrix.split(), sides, strict=True))


def test_a_constant_score_is_not_rank_one() -> None:
    assert rank_of_mate(ScoreMatrix(np.zeros((4, 4), np.float32), np.arange(4), np.arange(4))).tolist() == [4] * 4


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 12))
def test_cmc_is_the_share_within_each_rank(ranks: list[int], max_rank: int) -> None:
    expected = [sum(rank <= k for rank in ranks) / len(ranks) for k in range(1, max_rank + 1)]
    assert cmc(ranks, max_rank).tolist() == expected


@pytest.mark.parametrize("bad", [[], [[0.1, 0.2]], [0.1, np.nan], [0.1, np.inf], ["a"]])
def test_bad_scores_are_refused(bad: list) -> None:
    for call in (
        lambda: threshold_at_fmr(bad, 0.1),
        lambda: false_match_rate(bad, 0.1),
        lambda: false_non_match_rate(bad, 0.1),
        lambda: equal_error_rate([0.1], bad),
        lambda: area_under_roc(bad, [0.1]),
        lambda: tar_at_fmr(bad, [0.1], 0.1),
        lambda: kfold_accuracy(bad, [True], [0]),
    ):
        with pytest.raises(InputError):
            call()


def test_the_message_counts_what_is_not_finite() -> None:
    with pytest.raises(InputError, match=r"hold 2 NaN or infinite values of 3"):
        threshold_at_fmr([np.nan, 1, -np.inf], 0.1)


@pytest.mark.parametrize("fmr", [-0.1, 1.0, 7, np.nan])
def test_impossible_targets_are_refused(fmr: float) -> None:
    with pytest.raises(InputError, match="target FMR"):
        threshold_at_fmr([0.1, 0.2], fmr)


def test_bad_folds_and_ranks_are_refused() -> None:
    with pytest.raises(InputError, match="two folds"):
        kfold_accuracy([0.1, 0.2], [True, False], [0, 0])
    with pytest.raises(InputError):
        kfold_accuracy([0.1, 0.2], [True], [0, 1])
    for ranks in ([], [0, 1], [1.5]):
        with pytest.raises(InputError, match="rank"):
            cmc(ranks, 3)
