"""How sure a measured rate is: Wilson intervals for proportions, a bootstrap over subjects for everything else.

Comparisons that share a face are not independent, so resampling comparisons would promise too much. Here whole
subjects are resampled (Bolle, Ratha & Pankanti 2004, "Error analysis of pattern recognition systems": subsets
bootstrap); each metric is then the very definition in `metrics`, on weighted scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.metrics import SortedScores, verification_rates
from hf_crossspec.evaluation.scores import BoolArray, Comparisons, FloatArray, IntArray, ScoreMatrix

MAX_COMPARISONS = 1_000_000  # more than this and each replicate works on a part: see subject_bootstrap
_MIN_SUBJECTS = 50
_PARTS = 10


@dataclass(frozen=True)
class Interval:
    """A confidence interval [low, high] within [0, 1] and how it was made."""

    low: float
    high: float
    method: str


def few_errors(*errors: int) -> bool:
    """Whether any of these error counts is under 30, the count a rate needs to be known to about +-30 % at 90 %
    confidence ("rule of 30", Doddington et al. 2000; ISO/IEC 19795-1)."""
    return min(errors) < 30


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) score interval, without continuity correction, for `successes` out of `n`: (low, high) in [0, 1].

    `successes` may be fractional, for a rate that is not itself a count.

    Raises:
        InputError: n < 1, successes outside [0, n], or confidence outside (0, 1).
    """
    if n < 1 or not 0 <= successes <= n or not 0 < confidence < 1:
        raise InputError(f"no Wilson interval for {successes} of {n} at confidence {confidence}.")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # At the ends one bound is the share itself, which rounding must not push past it.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def proportion(successes: int, n: int) -> dict[str, Any]:
    """A rate as reported: value, 95 % Wilson interval, counts, and whether fewer than 30 errors stand behind it."""
    low, high = wilson_interval(successes, n)
    errors = n - successes
    return {
        "value": successes / n,
        "low": low,
        "high": high,
        "n": n,
        "errors": errors,
        "few_errors": few_errors(errors),
        "method": "Wilson",
    }


def draw_multiplicities(rng: np.random.Generator, subjects: int) -> IntArray:
    """Draw `subjects` subjects with replacement: how often each was drawn, (subjects,) integers summing to subjects."""
    return np.bincount(rng.integers(subjects, size=subjects), minlength=subjects)


class SubjectResampler:
    """The scores sorted once, to be reweighted for any draw of subjects.

    A subject drawn w times stands for w people with the same pictures: its mated comparisons count w times, a
    non-mated comparison of subjects i and j counts w_i * w_j times.

    Args:
        comparisons: n comparisons.
        subjects: (S,) ascending codes that a draw picks from; holds every code in `comparisons`.
    """

    def __init__(self, comparisons: Comparisons, subjects: IntArray) -> None:
        mated = comparisons.mated
        probe = np.searchsorted(subjects, comparisons.probe_subject)
        gallery = np.searchsorted(subjects, comparisons.gallery_subject)
        self._mated, (self._mated_subject,) = _sorted_with(comparisons.scores, mated, probe)
        self._non_mated, (self._left, self._right) = _sorted_with(comparisons.scores, ~mated, probe, gallery)

    def weighted(self, multiplicity: IntArray) -> tuple[SortedScores, SortedScores]:
        """Mated and non-mated scores under `multiplicity` (S,), as if the drawn subjects were copied out."""
        weight = multiplicity.take
        mated = _weigh(self._mated, weight(self._mated_subject))
        return mated, _weigh(self._non_mated, weight(self._left) * weight(self._right))


def _sorted_with(scores: FloatArray, keep: BoolArray, *codes: IntArray) -> tuple[FloatArray, list[IntArray]]:
    order = np.flatnonzero(keep)
    order = order[np.argsort(scores[order])]
    return scores[order], [code[order] for code in codes]


def _weigh(values: FloatArray, weight: IntArray) -> SortedScores:
    cumulative = np.zeros(len(values) + 1, np.int64)
    np.cumsum(weight, out=cumulative[1:])
    return SortedScores(values, cumulative)


def subject_bootstrap(
    comparisons: Comparisons | ScoreMatrix,
    estimates: Mapping[str, float],
    fmr_targets: Sequence[float] = (),
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    max_comparisons: int = MAX_COMPARISONS,
) -> dict[str, Interval]:
    """Percentile bootstrap over subjects for EER, AUC and the TAR at each target FMR.

    Up to `max_comparisons`, each replicate draws all subjects with replacement. Beyond, an m-out-of-n bootstrap: ten
    random parts of m < n subjects each, small enough, are bootstrapped in turn; their deviations from the part's own
    estimate, shrunk by sqrt(m / n), are put around the full estimate. No part has fewer than 50 subjects (or all, if
    there are fewer); one still too large is thinned to `max_comparisons` random comparisons, which tends to widen the
    interval. The interval is clipped to [0, 1] and stretched where needed to hold the estimate. Replicates that draw
    no mated or no non-mated comparison say nothing and are left out. Where the interval has no width (at a TAR of 1,
    say) Wilson's interval on the mated count stands in: a finite sample never gives certainty.

    Args:
        comparisons: what `estimates` were computed on.
        estimates: `verification_rates` of all comparisons with the same `fmr_targets`.
        fmr_targets: the targets behind the `tar_at_fmr_...` entries.
        replicates: draws of subjects, 1 or more.
        seed: of the generator; the same seed gives the same intervals.
        confidence: coverage aimed at, in (0, 1).
        max_comparisons: the most comparisons a replicate may touch.

    Returns:
        An `Interval` for each entry of `estimates`; its `method` says which of the above made it.

    Raises:
        InputError: `replicates` below 1, or no mated comparison.
    """
    if replicates < 1:
        raise InputError(f"a bootstrap needs at least one replicate, not {replicates}.")
    rng = np.random.default_rng(seed)
    subjects = np.union1d(comparisons.probe_subject, comparisons.gallery_subject)
    m, parts = plan_parts(comparisons.size, len(subjects), max_comparisons)
    deviations = [
        deviation
        for part in range(parts)
        for deviation in _deviations(
            *take_part(comparisons, subjects, m, max_comparisons, rng),
            fmr_targets,
            replicates * (part + 1) // parts - replicates * part // parts,
            rng,
        )
    ]
    method = f"subject bootstrap, {len(deviations)} replicates"
    if parts > 1:
        method = (
            f"m-out-of-n {method}, m = {m} of n = {len(subjects)} subjects, "
            f"in {parts} parts of at most {max_comparisons} comparisons"
        )
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    intervals = {}
    for name, estimate in estimates.items():
        spread = np.quantile([d[name] for d in deviations], tails) if deviations else np.zeros(2)
        low, high = np.clip(estimate + sqrt(m / len(subjects)) * spread, 0, 1).tolist()
        how = method
        if high - low < 1e-12:
            count = comparisons.mated_count
            low, high = wilson_interval(estimate * count, count, confidence)
            how = "Wilson on the mated count (the bootstrap has no width)"
        intervals[name] = Interval(min(low, estimate), max(high, estimate), how)
    return intervals


def plan_parts(size: int, subjects: int, max_comparisons: int) -> tuple[int, int]:
    """Subjects per part and number of parts: comparisons grow with the square of the subjects."""
    if size <= max_comparisons:
        return subjects, 1
    return min(subjects, max(_MIN_SUBJECTS, int(subjects * sqrt(max_comparisons / size)))), _PARTS


def take_part(
    comparisons: Comparisons | ScoreMatrix, subjects: IntArray, m: int, limit: int, rng: np.random.Generator
) -> tuple[Comparisons, IntArray]:
    """At most `limit` comparisons among `m` random subjects, and those subjects."""
    if comparisons.size > limit:
        subjects = np.sort(rng.choice(subjects, m, replace=False))
    probes = np.flatnonzero(np.isin(comparisons.probe_subject, subjects))
    gallery = np.flatnonzero(np.isin(comparisons.gallery_subject, subjects))
    if isinstance(comparisons, Comparisons):
        both = np.intersect1d(probes, gallery, assume_unique=True)
        return comparisons.take(both if len(both) <= limit else rng.choice(both, limit, replace=False)), subjects
    if len(probes) * len(gallery) <= limit:
        return comparisons.comparisons(probes, gallery), subjects
    picked = rng.choice(len(probes) * len(gallery), limit, replace=False, shuffle=False)
    row, column = probes[picked // len(gallery)], gallery[picked % len(gallery)]
    scores = comparisons.scores[row, column]
    return Comparisons(scores, comparisons.probe_subject[row], comparisons.gallery_subject[column]), subjects


def _deviations(
    part: Comparisons, subjects: IntArray, fmr_targets: Sequence[float], replicates: int, rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    """Each usable replicate's rates minus the part's own; nothing when the part lacks mated or non-mated scores."""
    if part.mated_count in (0, part.size):
        return
    resampler = SubjectResampler(part, subjects)
    own = verification_rates(*resampler.weighted(np.ones(len(subjects), np.int64)), fmr_targets)
    for _ in range(replicates):
        mated, non_mated = resampler.weighted(draw_multiplicities(rng, len(subjects)))
        if mated.total and non_mated.total:
            rates = verification_rates(mated, non_mated, fmr_targets)
            yield {name: rates[name] - own[name] for name in own}
