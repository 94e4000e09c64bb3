"""One-to-one evaluation: TAR at target FMRs, EER, AUC, k-fold accuracy, each with counts and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.intervals import few_errors, proportion, subject_bootstrap
from hf_crossspec.evaluation.metrics import (
    SortedScores,
    equal_error_threshold,
    kfold_accuracy,
    roc_curve_points,
    tar_name,
    verification_rates,
)
from hf_crossspec.evaluation.scores import Comparisons, ScoreMatrix

FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)


def evaluate_verification(
    comparisons: Comparisons | ScoreMatrix,
    *,
    fmr_targets: Sequence[float] = FMR_TARGETS,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate one-to-one comparisons, following ISO/IEC 19795-1.

    Args:
        comparisons: a pair list or a probe x gallery matrix.
        fmr_targets: target FMRs in [0, 1).
        replicates: bootstrap replicates over subjects.
        seed: of the bootstrap.

    Returns:
        A dict of plain Python numbers, ready for JSON; rates are fractions in [0, 1]:

        - `metrics`: `tar_at_fmr_...` for each target, `eer`, `auc`, and `accuracy` when the list has folds. Each has
          `value`, 95 % `low` and `high`, the `method` of that interval and `n`, the mated comparisons (for accuracy:
          all comparisons). TARs and the EER also have the `threshold`, the `fmr` reached there, the mated `errors` and
          the `false_matches` behind them, and `few_errors` when either is below 30. A TAR has `supported` false when
          not even one error fits the target, so that its threshold is just above the highest non-mated score.
        - `counts`: comparisons and subjects; for a matrix also probes, gallery templates and probes without a mate.
        - `curves`: `roc` with `fmr` and `tar`, about 200 points.

    Raises:
        InputError: no mated or no non-mated comparisons, or a target outside [0, 1).
    """
    mated, non_mated = _sorted_sides(comparisons)
    rates = verification_rates(mated, non_mated, fmr_targets)
    intervals = subject_bootstrap(comparisons, rates, fmr_targets, replicates=replicates, seed=seed)
    metrics = {
        name: {
            "value": rate,
            "low": intervals[name].low,
            "high": intervals[name].high,
            "n": mated.total,
            "method": intervals[name].method,
        }
        for name, rate in rates.items()
    }
    metrics["eer"] |= errors_at(equal_error_threshold(mated, non_mated), mated, non_mated)
    for target in fmr_targets:
        metrics[tar_name(target)] |= errors_at(non_mated.threshold_at_fmr(target), mated, non_mated)
        metrics[tar_name(target)]["supported"] = 1 / non_mated.total <= target
    if isinstance(comparisons, Comparisons) and comparisons.fold is not None:
        metrics["accuracy"] = _accuracy(comparisons)
    return {
        "metrics": metrics,
        "counts": count_comparisons(comparisons),
        "curves": {"roc": roc_curve_points(mated, non_mated)},
    }


def count_comparisons(comparisons: Comparisons | ScoreMatrix) -> dict[str, int]:
    """How many comparisons, subjects, and for a matrix probes, gallery templates and probes without a mate."""
    mated = comparisons.mated_count
    subjects = np.union1d(comparisons.probe_subject, comparisons.gallery_subject)
    counts = {"mated": mated, "non_mated": comparisons.size - mated, "subjects": len(subjects)}
    if isinstance(comparisons, ScoreMatrix):
        counts["probes"], counts["gallery"] = comparisons.scores.shape
        counts["probes_without_mate"] = int(np.count_nonzero(~comparisons.has_mate))
    return counts


def _sorted_sides(comparisons: Comparisons | ScoreMatrix) -> tuple[SortedScores, SortedScores]:
    mated, non_mated = comparisons.split()
    if not len(mated) or not len(non_mated):
        raise InputError(
            f"verification needs mated and non-mated comparisons, but there are {len(mated)} and {len(non_mated)}: "
            "check that probes and gallery share subjects, and that there are at least two."
        )
    mated.sort()  # in place: these are our copies, and a matrix of 10,000 x 10,000 has 400 MB of them
    non_mated.sort()
    return SortedScores(mated), SortedScores(non_mated)


def errors_at(threshold: float, mated: SortedScores, non_mated: SortedScores) -> dict[str, Any]:
    """What a rate at this threshold stands on: the FMR, mated errors and false matches there."""
    errors, false_matches = int(mated.below(threshold)), int(non_mated.at_or_above(threshold))
    return {
        "threshold": threshold,
        "fmr": false_matches / non_mated.total,
        "errors": errors,
        "false_matches": false_matches,
        "few_errors": few_errors(errors, false_matches),
    }


def _accuracy(comparisons: Comparisons) -> dict[str, Any]:
    """Pooled held-out accuracy with Wilson's interval, and the mean and sample standard deviation over folds."""
    assert comparisons.fold is not None
    folds = kfold_accuracy(comparisons.scores, comparisons.mated, comparisons.fold)
    return proportion(sum(folds.correct), sum(folds.totals)) | {
        "fold_mean": float(np.mean(folds.accuracies)),
        "fold_std": float(np.std(folds.accuracies, ddof=1)),
    }
