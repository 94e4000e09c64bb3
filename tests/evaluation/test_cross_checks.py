"""Every metric against implementations by others, on the same scores: scikit-learn, and pyeer where it is installed.

Where definitions differ, the other's curve is read with our rule:

- pyeer takes the EER at whichever of the two thresholds next to the crossing has the smaller FMR + FNMR (FVC2000), we
  take the smaller |FMR - FNMR|. Without ties they are at most half an error apart.
- pyeer's `get_fmr_op` (its FMR100 and the like) takes the FMR nearest to the target, which may exceed it; ours never
  does.
- pyeer's AUC stops at the highest score, so it lacks the last trapezoid when that is a non-mated one.
- pyeer's CMC leaves ties to the order of the list; with the mate listed last it is ours.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    auc,
    coverage_error,
    log_loss,
    recall_score,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)
from sklearn.model_selection import PredefinedSplit

from hf_crossspec.evaluation import Comparisons, ScoreMatrix, evaluate_identification, evaluate_verification
from hf_crossspec.evaluation.likelihood_ratio import cllr
from hf_crossspec.evaluation.metrics import (
    area_under_roc,
    cmc,
    equal_error_rate,
    false_match_rate,
    false_non_match_rate,
    kfold_accuracy,
    rank_of_mate,
    tar_at_fmr,
)

TARGETS = (0.0, 0.01, 0.05, 0.1, 0.5)


@st.composite
def two_sides(draw: st.DrawFn, ties: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mated and non-mated scores of overlapping normals, rounded to a few levels when there are to be ties."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    gain = draw(st.sampled_from([0, 1, 3, 8]))
    mated = rng.normal(gain, 1, draw(st.integers(1, 60)))
    non_mated = rng.normal(0, 1, draw(st.integers(1, 120)))
    if draw(st.booleans()) if ties is None else ties:
        return np.round(mated * 2) / 2, np.round(non_mated * 2) / 2
    return mated, non_mated


@st.composite
def matrices(draw: st.DrawFn) -> ScoreMatrix:
    """Every probe has one mate; scores with ties or without."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    gallery = draw(st.integers(3, 12))
    probe = rng.integers(0, gallery, draw(st.integers(1, 20)))
    scores = rng.standard_normal((len(probe), gallery)) + 1.5 * (probe[:, None] == np.arange(gallery))
    return ScoreMatrix(np.round(scores) if draw(st.booleans()) else scores, probe, np.arange(gallery))


def labelled(mated: np.ndarray, non_mated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([1, 0], [len(mated), len(non_mated)]), np.concatenate([mated, non_mated])


@given(two_sides())
def test_verification_and_scikit_learn(sides: tuple[np.ndarray, np.ndarray]) -> None:
    mated, non_mated = sides
    same, scores = labelled(mated, non_mated)
    fmr, tar, thresholds = roc_curve(same, scores, drop_intermediate=False)
    assert area_under_roc(mated, non_mated) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    assert area_under_roc(mated, non_mated) == pytest.approx(auc(fmr, tar), abs=1e-12)
    for target in TARGETS:
        assert tar_at_fmr(mated, non_mated, target) == pytest.approx(tar[fmr <= target].max(), abs=1e-12)
    gap, mean = np.abs(fmr - (1 - tar))[1:], (fmr + 1 - tar)[1:] / 2  # the first point is no score
    nearest = np.flatnonzero(gap <= gap.min() + 1e-12)[-1]  # of equally good ones the lowest threshold
    assert equal_error_rate(mated, non_mated) == pytest.approx(mean[nearest], abs=1e-12)
    for threshold in thresholds[1 :: max(1, len(thresholds) // 4)]:
        accepted = scores >= threshold
        assert false_non_match_rate(mated, threshold) == pytest.approx(1 - recall_score(same, accepted), abs=1e-12)
        rejected_share = recall_score(same, accepted, pos_label=0)
        assert false_match_rate(non_mated, threshold) == pytest.approx(1 - rejected_share, abs=1e-12)


@given(two_sides())
def test_cllr_and_scikit_learn(sides: tuple[np.ndarray, np.ndarray]) -> None:
    same, llr = labelled(*sides)
    weight = np.where(same == 1, 1 / len(sides[0]), 1 / len(sides[1]))
    bits = log_loss(same, 1 / (1 + np.exp(-llr)), sample_weight=weight, labels=[0, 1]) / np.log(2)
    assert cllr(*sides) == pytest.approx(bits, abs=1e-12)


@given(st.integers(0, 100_000), st.booleans(), st.integers(2, 5))
def test_kfold_accuracy_and_scikit_learn(seed: int, ties: bool, folds: int) -> None:
    rng = np.random.default_rng(seed)
    same = np.arange(40) % 2
    scores = rng.standard_normal(40) + same
    scores = np.round(scores) if ties else scores
    fold = rng.permutation(np.arange(40) // 2 % folds)
    expected = []
    for train, held_out in PredefinedSplit(fold).split():
        candidates = np.unique(scores[train])[::-1]
        accuracies = [accuracy_score(same[train], scores[train] >= t) for t in (np.inf, *candidates)]
        best = (np.inf, *candidates)[np.flatnonzero(np.isclose(accuracies, max(accuracies), atol=1e-12))[-1]]
        expected.append(accuracy_score(same[held_out], scores[held_out] >= best))
    assert kfold_accuracy(scores, same, fold).accuracies == pytest.approx(expected, abs=1e-12)


@given(matrices())
def test_identification_and_scikit_learn(matrix: ScoreMatrix) -> None:
    ranks = rank_of_mate(matrix)
    truth = matrix.probe_subject[:, None] == matrix.gallery_subject[None, :]
    theirs = [coverage_error(truth[[row]], matrix.scores[[row]]) for row in range(len(truth))]
    assert ranks.tolist() == theirs
    gallery = len(matrix.gallery_subject)
    curve = cmc(ranks, gallery)
    if all(len(set(row)) == gallery for row in matrix.scores.tolist()):  # under ties scikit-learn goes by the label
        report = evaluate_identification(matrix, ranks=range(1, gallery))["metrics"]
        for k in range(1, gallery):
            share = top_k_accuracy_score(matrix.probe_subject, matrix.scores, k=k, labels=np.arange(gallery))
            assert curve[k - 1] == pytest.approx(share, abs=1e-12)
            assert report[f"rank_{k}"]["value"] == pytest.approx(share, abs=1e-12)


@given(two_sides(ties=False))
@settings(max_examples=40)
def test_the_report_holds_these_numbers(sides: tuple[np.ndarray, np.ndarray]) -> None:
    same, scores = labelled(*sides)
    report = evaluate_verification(
        Comparisons(scores, 1 - same, np.zeros_like(same), np.arange(len(same)) % 2), fmr_targets=(0.1,), replicates=1
    )["metrics"]
    assert report["auc"]["value"] == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    assert report["eer"]["value"] == equal_error_rate(*sides)
    assert report["tar_at_fmr_1e-1"]["value"] == tar_at_fmr(*sides, 0.1)
    folds = kfold_accuracy(scores, same, np.arange(len(same)) % 2)
    assert report["accuracy"]["value"] == sum(folds.correct) / len(same)


@given(two_sides())
def test_verification_and_pyeer(sides: tuple[np.ndarray, np.ndarray]) -> None:
    eer_stats = pytest.importorskip("pyeer.eer_stats")  # not eer_info, which needs an old setuptools
    mated, non_mated = sides
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of an AUC below 0.5 and of curves that do not meet
        thresholds, fmr, fnmr = eer_stats.calculate_roc(mated, non_mated)
        their_auc = eer_stats.calculate_roc_auc(fmr, fnmr)
        *_, their_eer = eer_stats.get_eer_values(fmr, fnmr)
    for threshold, their_fmr, their_fnmr in zip(thresholds, fmr, fnmr, strict=True):
        assert false_match_rate(non_mated, threshold) == pytest.approx(their_fmr, abs=1e-12)
        assert false_non_match_rate(mated, threshold) == pytest.approx(their_fnmr, abs=1e-12)
    last_trapezoid = fmr[-1] * (1 - fnmr[-1]) / 2
    assert area_under_roc(mated, non_mated) == pytest.approx(their_auc + last_trapezoid, abs=1e-12)
    for target in TARGETS:
        kept = fnmr[fmr <= target]
        assert 1 - tar_at_fmr(mated, non_mated, target) == pytest.approx(kept.min() if len(kept) else 1, abs=1e-12)
    gap = np.abs(fmr - fnmr)
    nearest = np.flatnonzero(gap <= gap.min() + 1e-12)[0]
    ours = equal_error_rate(mated, non_mated)
    assert ours == pytest.approx((fmr[nearest] + fnmr[nearest]) / 2, abs=1e-12)
    without_ties = len({*mated.tolist(), *non_mated.tolist()}) == len(mated) + len(non_mated)
    if without_ties and (fmr <= fnmr).any():
        assert abs(ours - their_eer) <= max(1 / len(mated), 1 / len(non_mated)) / 2 + 1e-12


@given(matrices())
def test_cmc_and_pyeer(matrix: ScoreMatrix) -> None:
    cmc_stats = pytest.importorskip("pyeer.cmc_stats")
    matches = {}
    for number, (row, subject) in enumerate(zip(matrix.scores.tolist(), matrix.probe_subject.tolist(), strict=True)):
        listed = sorted(enumerate(row), key=lambda match: match[0] == subject)  # the mate last
        matches[number] = ([subject], sorted(listed, key=lambda match: match[1], reverse=True))
    gallery = len(matrix.gallery_subject)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve = cmc_stats.get_cmc_curve(matches, gallery)
    assert cmc(rank_of_mate(matrix), gallery) == pytest.approx(curve, abs=1e-12)
