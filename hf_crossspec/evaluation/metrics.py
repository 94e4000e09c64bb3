"""Verification and identification metrics, after ISO/IEC 19795-1.

A comparison is accepted when score >= threshold. FMR is the share of non-mated comparisons accepted, FNMR the share of
mated comparisons rejected; "TAR" is 1 - FNMR. Thresholds are never interpolated: every reported rate is one that a
threshold really gives on these scores.

The definitions live once, in `SortedScores` and the functions taking it. They work on weighted scores too, which is
how the bootstrap in `intervals` resamples without a second set of definitions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.scores import FloatArray, IntArray, ScoreMatrix, as_codes, as_scores


@dataclass(frozen=True, eq=False)
class SortedScores:
    """Scores in ascending order, each counting once or with an integer weight.

    Args:
        values: (n,) ascending.
        cumulative: (n + 1,) integer sums of the weights before each position; None when every score counts once.
    """

    values: FloatArray
    cumulative: IntArray | None = None

    @classmethod
    def of(cls, name: str, scores: npt.ArrayLike) -> SortedScores:
        """Sort a copy of `scores`; InputError when they are none, not 1-D or not finite."""
        return cls(np.sort(_some_scores(name, scores)))

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return len(self.values) if self.cumulative is None else int(self.cumulative[-1])

    def below(self, threshold: npt.ArrayLike, *, inclusive: bool = False) -> IntArray:
        """Weight of the scores < threshold (<= when inclusive); shaped as `threshold`."""
        limit, dtype = np.asarray(threshold), self.values.dtype
        if inclusive:
            position = np.searchsorted(self.values, -_round_up(-limit, dtype), side="right")
        else:
            position = np.searchsorted(self.values, _round_up(limit, dtype), side="left")
        return position if self.cumulative is None else self.cumulative[position]

    def at_or_above(self, threshold: npt.ArrayLike) -> IntArray:
        """Weight of the scores >= threshold; shaped as `threshold`."""
        return self.total - self.below(threshold)

    def threshold_at_fmr(self, fmr: float) -> float:
        """As the function `threshold_at_fmr`, these being the non-mated scores."""
        keep_out = self.total - _allowed_errors(fmr, self.total)
        last = keep_out if self.cumulative is None else int(np.searchsorted(self.cumulative, keep_out))
        return _just_above(self.values[last - 1])


def _some_scores(name: str, scores: npt.ArrayLike) -> FloatArray:
    array = as_scores(name, scores)
    if not len(array):
        raise InputError(f"there are no {name}: a rate needs at least one.")
    return array


def _sort_sides(mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> tuple[SortedScores, SortedScores]:
    return SortedScores.of("mated scores", mated), SortedScores.of("non-mated scores", non_mated)


def _round_up(threshold: FloatArray, dtype: np.dtype[np.floating]) -> FloatArray:
    """The smallest `dtype` number >= threshold: decides score >= threshold exactly, without widening the scores."""
    if threshold.dtype == dtype:
        return threshold
    with np.errstate(over="ignore"):
        rounded = threshold.astype(dtype)
    return np.where(rounded < threshold, np.nextafter(rounded, dtype.type(np.inf)), rounded).astype(dtype)


def _just_above(score: np.floating) -> float:
    return float(np.nextafter(score, score.dtype.type(np.inf)))


def _allowed_errors(fmr: float, total: int) -> int:
    """The largest k with k / total <= fmr, in the very division that reports the FMR."""
    if not 0 <= fmr < 1:
        raise InputError(f"a target FMR must lie in [0, 1), not {fmr}.")
    allowed = int(fmr * total)
    if (allowed + 1) / total <= fmr:  # 0.29 * 100 is 28.999...
        return allowed + 1
    return allowed - 1 if allowed / total > fmr else allowed


def threshold_at_fmr(non_mated: npt.ArrayLike, fmr: float) -> float:
    """The lowest threshold whose FMR on `non_mated` (n,) does not exceed `fmr`; no interpolation.

    That is the number just above the (k + 1)-th largest score, k being the errors that `fmr` allows; "just above" is
    the next number of the scores' own type, so float32 scores give a threshold that float32 can hold.

    Raises:
        InputError: no scores, non-finite scores, or `fmr` outside [0, 1).
    """
    scores = _some_scores("non-mated scores", non_mated)
    position = len(scores) - _allowed_errors(fmr, len(scores)) - 1
    return _just_above(np.partition(scores, position)[position])


def false_match_rate(non_mated: npt.ArrayLike, threshold: float) -> float:
    """Share of `non_mated` (n,) scores that are >= threshold, in [0, 1]."""
    scores = _some_scores("non-mated scores", non_mated)
    return int(np.count_nonzero(scores >= _round_up(np.asarray(threshold), scores.dtype))) / len(scores)


def false_non_match_rate(mated: npt.ArrayLike, threshold: float) -> float:
    """Share of `mated` (m,) scores that are < threshold, in [0, 1]."""
    scores = _some_scores("mated scores", mated)
    return int(np.count_nonzero(scores < _round_up(np.asarray(threshold), scores.dtype))) / len(scores)


def tar_at_fmr(mated: npt.ArrayLike, non_mated: npt.ArrayLike, fmr: float) -> float:
    """True accept rate, 1 - FNMR, at `threshold_at_fmr(non_mated, fmr)`: the share of mated scores accepted there."""
    scores = _some_scores("mated scores", mated)
    threshold = _round_up(np.asarray(threshold_at_fmr(non_mated, fmr)), scores.dtype)
    return int(np.count_nonzero(scores >= threshold)) / len(scores)


def equal_error_threshold(mated: SortedScores, non_mated: SortedScores) -> float:
    """The observed score at which |FMR - FNMR| is smallest; of two equally good ones, the lower."""
    candidates = equal_error_candidates(mated, non_mated)
    return float(min(candidates, key=lambda threshold: (abs(_error_gap(threshold, mated, non_mated)), threshold)))


def equal_error_candidates(mated: SortedScores, non_mated: SortedScores) -> list[Any]:
    """The scores next to where FMR - FNMR changes sign, at most two of each side; the equal error is at one of them."""

    def around_zero(values: FloatArray) -> list[Any]:  # FMR - FNMR falls as the threshold rises
        indices = range(len(values))
        crossing = bisect_left(indices, True, key=lambda i: _error_gap(values[i], mated, non_mated) <= 0)
        return list(values[max(0, crossing - 1) : crossing + 1])

    return around_zero(mated.values) + around_zero(non_mated.values)


def _error_gap(threshold: Any, mated: SortedScores, non_mated: SortedScores) -> int:
    """(FMR - FNMR) x both totals: an integer, so ties are exact."""
    return int(non_mated.at_or_above(threshold)) * mated.total - int(mated.below(threshold)) * non_mated.total


def equal_error_rate(mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> float:
    """(FMR + FNMR) / 2 at the observed score where the two are closest, in [0, 1].

    Thresholds tried are the scores of `mated` (m,) and `non_mated` (n,); of two equally close ones the lower is taken.

    Raises:
        InputError: no scores on a side, or non-finite ones.
    """
    return verification_rates(*_sort_sides(mated, non_mated), ())["eer"]


def area_under_roc(mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> float:
    """Probability that a random mated score exceeds a random non-mated one, ties counting half (Mann-Whitney U).

    Raises:
        InputError: no scores on a side, or non-finite ones.
    """
    return _area_under_roc(*_sort_sides(mated, non_mated))


def _area_under_roc(mated: SortedScores, non_mated: SortedScores) -> float:
    wins_doubled = non_mated.below(mated.values) + non_mated.below(mated.values, inclusive=True)
    if mated.cumulative is not None:
        wins_doubled = wins_doubled * np.diff(mated.cumulative)
    return int(wins_doubled.sum()) / (2 * mated.total * non_mated.total)


def tar_name(fmr: float) -> str:
    """The metric name of the TAR at this FMR: `tar_at_fmr_1e-3`."""
    mantissa, exponent = f"{fmr:e}".split("e")
    return f"tar_at_fmr_{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def verification_rates(mated: SortedScores, non_mated: SortedScores, fmr_targets: Sequence[float]) -> dict[str, float]:
    """`eer`, `auc` and `tar_at_fmr_...` for each target, all in [0, 1]."""
    threshold = equal_error_threshold(mated, non_mated)
    fmr = int(non_mated.at_or_above(threshold)) / non_mated.total
    rates = {"eer": (fmr + int(mated.below(threshold)) / mated.total) / 2, "auc": _area_under_roc(mated, non_mated)}
    for target in fmr_targets:
        rates[tar_name(target)] = int(mated.at_or_above(non_mated.threshold_at_fmr(target))) / mated.total
    return rates


def roc_curve_points(mated: SortedScores, non_mated: SortedScores, points: int = 200) -> dict[str, list[float]]:
    """At most `points` + 2 real operating points, spread evenly over log FMR from 0 to 1.

    Returns:
        `fmr` and `tar`, ascending, of equal length; the first point is the FMR 0, the last (1, 1).
    """
    n = non_mated.total
    errors = np.unique(np.geomspace(1, n, points).round().astype(np.int64))
    thresholds = {non_mated.threshold_at_fmr(0)} | {non_mated.threshold_at_fmr(k / n) for k in errors.tolist() if k < n}
    fmr = [int(non_mated.at_or_above(t)) / n for t in sorted(thresholds, reverse=True)]
    tar = [int(mated.at_or_above(t)) / mated.total for t in sorted(thresholds, reverse=True)]
    return {"fmr": [*fmr, 1.0], "tar": [*tar, 1.0]}


@dataclass(frozen=True)
class FoldAccuracy:
    """Held-out accuracy per fold, in ascending order of the fold's number."""

    correct: tuple[int, ...]
    totals: tuple[int, ...]
    thresholds: tuple[float, ...]

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Correct decisions / comparisons of each fold, in [0, 1]."""
        return tuple(correct / total for correct, total in zip(self.correct, self.totals, strict=True))


def kfold_accuracy(scores: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike) -> FoldAccuracy:
    """Accuracy of each fold at the threshold that is best on all other folds (the LFW view 2 procedure).

    Thresholds tried are the other folds' scores and one just above them all (accept nothing). Where several are
    equally accurate the lowest is taken.

    Args:
        scores: (n,) similarity.
        same: (n,) true for mated pairs.
        fold: (n,) integers, at least two different.

    Raises:
        InputError: lengths that differ, fewer than two folds, or non-finite scores.
    """
    scores = _some_scores("scores", scores)
    folds = as_codes("fold", fold, len(scores))
    mated = np.asarray(same).astype(bool)
    names = np.unique(folds)
    if mated.shape != scores.shape or len(names) < 2:
        raise InputError(f"k-fold accuracy needs one flag per score and two folds or more, not {len(names)}.")
    correct, totals, thresholds = [], [], []
    for name in names:
        train, held_out = folds != name, folds == name
        candidates = np.unique(scores[train])
        candidates = np.append(candidates, np.nextafter(candidates[-1], scores.dtype.type(np.inf)))
        accepted_mated = SortedScores(np.sort(scores[train & mated])).at_or_above(candidates)
        rejected_non_mated = SortedScores(np.sort(scores[train & ~mated])).below(candidates)
        best = candidates[np.argmax(accepted_mated + rejected_non_mated)]
        correct.append(int(np.count_nonzero((scores[held_out] >= best) == mated[held_out])))
        totals.append(int(np.count_nonzero(held_out)))
        thresholds.append(float(best))
    return FoldAccuracy(tuple(correct), tuple(totals), tuple(thresholds))


def rank_of_mate(matrix: ScoreMatrix) -> IntArray:
    """Rank of the best mated template for each probe that has one (`matrix.has_mate`), in probe order.

    1 + the number of non-mated templates scoring as high or higher: under ties the mate comes last, so a constant
    score cannot look perfect. Templates are ranked; give one per subject (`make_templates`) to rank subjects.

    Returns:
        (probes with a mate,) int64, from 1 to G.
    """
    ranks = [np.empty(0, np.int64)]
    for scores, same in matrix.blocks():
        with_mate = same.any(axis=1)
        best = np.where(same, scores, -np.inf).max(axis=1, initial=-np.inf)
        ahead = np.count_nonzero((scores >= best[:, None]) & ~same, axis=1)
        ranks.append(1 + ahead[with_mate])
    return np.concatenate(ranks)


def cmc(ranks: npt.ArrayLike, max_rank: int) -> npt.NDArray[np.float64]:
    """Cumulative match characteristic: entry k - 1 is the share of probes with rank <= k; (max_rank,) in [0, 1].

    Raises:
        InputError: no ranks, or one that is not an integer >= 1.
    """
    array = np.asarray(ranks)
    if not array.size or array.dtype.kind not in "iu" or array.min() < 1:
        raise InputError("a CMC needs at least one rank, and ranks are integers from 1.")
    hits = np.bincount(np.minimum(array, max_rank + 1), minlength=max_rank + 2)
    return np.cumsum(hits[1 : max_rank + 1]) / len(array)
