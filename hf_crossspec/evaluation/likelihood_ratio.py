"""Scores as evidence: similarity -> natural-log likelihood ratio, and how well calibrated that is.

LLR = ln p(score | same person) / p(score | different people): above 0 the score speaks for one person, below for two.
The prior is left to whoever decides; posterior log odds are the LLR plus the prior log odds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.scores import FloatArray, as_scores

MAPPINGS = ("logistic", "isotonic")
_BINS = 15


@dataclass(frozen=True)
class LogisticMapping:
    """LLR = slope * score + intercept; goes on in a straight line beyond the scores it was fitted on."""

    slope: float
    intercept: float

    def llr(self, scores: npt.ArrayLike) -> FloatArray:
        """Natural-log likelihood ratios, shaped as `scores`."""
        return self.slope * np.asarray(scores, np.float64) + self.intercept


@dataclass(frozen=True)
class IsotonicMapping:
    """LLR between knots by linear interpolation, constant beyond them; never falling.

    Args:
        scores, llrs: the knots (K,), ascending.
    """

    scores: tuple[float, ...]
    llrs: tuple[float, ...]

    def llr(self, scores: npt.ArrayLike) -> FloatArray:
        """Natural-log likelihood ratios, shaped as `scores`."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.llrs)


ScoreMapping = LogisticMapping | IsotonicMapping


def fit_mapping(kind: str, mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> ScoreMapping:
    """Fit a score -> LLR mapping to mated (m,) and non-mated (n,) scores.

    Both classes weigh one half, so the fitted log odds are already free of the sample's prior, and what is minimised is
    Cllr (Brümmer & du Preez 2006). `logistic` is Platt's, with scikit-learn's default penalty, which keeps the slope
    finite where the classes do not overlap. `isotonic` is the pool-adjacent-violators fit with one more non-mated score
    at the top and one more mated score at the bottom, so that no finite sample claims certainty.

    Raises:
        InputError: an unknown kind, a class without scores, or non-finite scores.
    """
    scores, same, weight = _labelled(mated, non_mated)
    if kind == "logistic":
        return _fit_logistic(scores, same, weight)
    if kind == "isotonic":
        return _fit_isotonic(scores, same, weight)
    raise InputError(f"unknown mapping {kind!r}: choose one of {', '.join(MAPPINGS)}")


def mapping_to_dict(mapping: ScoreMapping) -> dict[str, Any]:
    """The mapping as plain numbers."""
    kind = "logistic" if isinstance(mapping, LogisticMapping) else "isotonic"
    return {"kind": kind, "logarithm": "natural", **asdict(mapping)}


def mapping_from_dict(content: dict[str, Any]) -> ScoreMapping:
    """The inverse of `mapping_to_dict`; KeyError or ValueError when `content` is something else."""
    if content["kind"] == "logistic":
        return LogisticMapping(float(content["slope"]), float(content["intercept"]))
    if content["kind"] != "isotonic" or len(content["scores"]) != len(content["llrs"]):
        raise ValueError(f"no mapping: {content['kind']}")
    return IsotonicMapping(tuple(map(float, content["scores"])), tuple(map(float, content["llrs"])))


def cllr(mated_llr: npt.ArrayLike, non_mated_llr: npt.ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits (Brümmer & du Preez 2006): 0 is perfect, 1 is what saying nothing costs.

    Args:
        mated_llr, non_mated_llr: natural-log likelihood ratios (m,) and (n,), finite.
    """
    llr, same, weight = _labelled(mated_llr, non_mated_llr)
    return float(weight @ np.logaddexp(0, np.where(same, -llr, llr)) / np.log(2))


def minimum_cllr(mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> float:
    """The Cllr in bits that the best never-falling mapping would have on these very scores (m,) and (n,), by
    pool-adjacent-violators: what is left of Cllr when calibration is perfect."""
    from sklearn.isotonic import IsotonicRegression

    scores, same, weight = _labelled(mated, non_mated)
    p = IsotonicRegression().fit_transform(scores, same, sample_weight=weight)  # P(same) at even prior odds
    return float(-(weight @ np.log2(np.where(same, p, 1 - p))))


def expected_calibration_error(mated_llr: npt.ArrayLike, non_mated_llr: npt.ArrayLike) -> float:
    """ECE in [0, 1] at even prior odds: 15 equal bins of P(same person), the gap between mean P and the share that is
    mated in each, averaged by the weight in it; both classes weigh one half."""
    llr, same, weight = _labelled(mated_llr, non_mated_llr)
    p = np.exp(-np.logaddexp(0, -llr))
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weight * (p - same), _BINS)
    return float(np.abs(gaps).sum())


def _labelled(mated: npt.ArrayLike, non_mated: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """All scores in float64, 1 for mated and 0 for others, and weights that give each class one half."""
    sides = [as_scores(name, side).astype(np.float64) for name, side in (("mated", mated), ("non-mated", non_mated))]
    sizes = [len(side) for side in sides]
    if not all(sizes):
        raise InputError(f"likelihood ratios need mated and non-mated scores, but there are {sizes[0]} and {sizes[1]}.")
    return np.concatenate(sides), np.repeat([1.0, 0.0], sizes), np.repeat([0.5 / size for size in sizes], sizes)


def _fit_logistic(scores: FloatArray, same: FloatArray, weight: FloatArray) -> LogisticMapping:
    from sklearn.linear_model import LogisticRegression

    centre, scale = scores.mean(), scores.std() or 1.0
    fitted = LogisticRegression().fit(((scores - centre) / scale)[:, None], same, sample_weight=weight * len(scores))
    slope = float(fitted.coef_[0, 0] / scale)
    return LogisticMapping(slope, float(fitted.intercept_[0] - slope * centre))


def _fit_isotonic(scores: FloatArray, same: FloatArray, weight: FloatArray) -> IsotonicMapping:
    from sklearn.isotonic import IsotonicRegression

    lightest = weight[[0, -1]]  # of a mated and of a non-mated score
    fitted = IsotonicRegression().fit(
        np.append(scores, [scores.min(), scores.max()]), np.append(same, [1.0, 0.0]), np.append(weight, lightest)
    )
    p = fitted.y_thresholds_
    return IsotonicMapping(tuple(fitted.X_thresholds_.tolist()), tuple((np.log(p) - np.log1p(-p)).tolist()))
