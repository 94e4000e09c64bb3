"""FMR and FNMR at one given threshold: of groups, and of thresholds that were set elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from hf_crossspec.evaluation.intervals import draw_multiplicities, few_errors, wilson_interval
from hf_crossspec.evaluation.scores import BoolArray, IntArray, ScoreMatrix


def rates_at_threshold(
    matrix: ScoreMatrix, threshold: float, *, replicates: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """FNMR and FMR at a fixed threshold, with 95 % intervals from a bootstrap over subjects.

    A subject drawn w times counts as in `intervals`: its mated comparisons w times, a non-mated comparison of i and j
    w_i * w_j times. Where no replicate differs (no error at all, say), Wilson's interval stands in, for the FNMR on the
    number of the probes' subjects, for the FMR on the pairs of different subjects: repeated pictures add no certainty.

    Args:
        matrix: (P, G) scores.
        threshold: Accepted is score >= threshold.
        replicates: Draws of subjects.
        seed: Of the generator.

    Returns:
        `fnmr` and `fmr`, each with `value`, `low`, `high`, `n` comparisons, `errors`, `few_errors` when those are under
        30, and `method`. One without comparisons has `n` 0 and the others `None`.
    """
    subjects = np.union1d(matrix.probe_subject, matrix.gallery_subject)
    probe, gallery = (np.searchsorted(subjects, side) for side in (matrix.probe_subject, matrix.gallery_subject))
    size = len(subjects)
    wrong_mated, mated, false_matches = _count_errors(matrix, threshold, probe, gallery, size)
    probes, templates = np.bincount(probe, minlength=size), np.bincount(gallery, minlength=size)
    rng = np.random.default_rng(seed)
    drawn = np.stack([draw_multiplicities(rng, size) for _ in range(replicates)])  # (replicates, subjects)
    # All pairs of drawn subjects, less those of a subject with itself.
    non_mated = (drawn @ probes) * (drawn @ templates) - drawn**2 @ (probes * templates)
    accepted = ((false_matches.T @ drawn.T).T * drawn).sum(axis=1)
    people = int(np.count_nonzero(probes))
    pairs = people * int(np.count_nonzero(templates)) - int(np.count_nonzero(probes * templates))
    all_non_mated = matrix.size - int(mated.sum())
    return {
        "fnmr": _rate(int(wrong_mated.sum()), int(mated.sum()), drawn @ wrong_mated, drawn @ mated, people),
        "fmr": _rate(int(false_matches.sum()), all_non_mated, accepted, non_mated, pairs),
    }


def _count_errors(
    matrix: ScoreMatrix, threshold: float, probe: IntArray, gallery: IntArray, size: int
) -> tuple[IntArray, IntArray, csr_array]:
    """Rejected and all mated comparisons of each subject (S,), and false matches between subjects (S, S)."""
    left, right, wrong_mated, mated = [], [], np.zeros(size, np.int64), np.zeros(size, np.int64)
    start = 0
    for scores, same in matrix.blocks():
        rows = probe[start : start + len(scores)]
        accepted: BoolArray = scores.astype(np.float64) >= threshold
        mated += np.bincount(rows, weights=same.sum(axis=1), minlength=size).astype(np.int64)
        wrong_mated += np.bincount(rows, weights=(same & ~accepted).sum(axis=1), minlength=size).astype(np.int64)
        row, column = np.nonzero(accepted & ~same)
        left.append(rows[row])
        right.append(gallery[column])
        start += len(scores)
    pairs = (np.concatenate(left), np.concatenate(right)) if left else (np.empty(0, int), np.empty(0, int))
    return wrong_mated, mated, csr_array((np.ones(len(pairs[0]), np.int64), pairs), shape=(size, size))


def _rate(errors: int, n: int, drawn_errors: IntArray, drawn_n: IntArray, independent: int) -> dict[str, Any]:
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0, "errors": None, "few_errors": True, "method": None}
    usable = drawn_n > 0
    value, rates = errors / n, drawn_errors[usable] / drawn_n[usable]
    method = f"subject bootstrap, {len(rates)} replicates"
    low, high = np.quantile(rates, [0.025, 0.975]).tolist() if len(rates) else (value, value)
    if high - low < 1e-12:
        low, high = wilson_interval(value * independent, independent)
        method = f"Wilson on {independent} subjects or pairs of subjects (the bootstrap has no width)"
    return {
        "value": value, "low": min(low, value), "high": max(high, value), "n": n, "errors": errors,
        "few_errors": few_errors(errors), "method": method,
    }  # fmt: skip
