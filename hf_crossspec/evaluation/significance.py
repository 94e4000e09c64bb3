"""Is one system better than another, or was it chance? Paired tests on the same comparisons.

Both systems scored the same pictures, so every resample takes the same subjects for both and looks at the difference:
what makes a subject easy or hard for both cancels out, which two separate intervals cannot show. The resampling is that
of `intervals` (subsets bootstrap, Bolle, Ratha & Pankanti 2004). Rank-1 decisions are also compared by McNemar's exact
test (McNemar 1947), which takes probes for independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.intervals import (
    MAX_COMPARISONS,
    SubjectResampler,
    draw_multiplicities,
    plan_parts,
    take_part,
)
from hf_crossspec.evaluation.metrics import SortedScores, rank_of_mate, verification_rates
from hf_crossspec.evaluation.scores import BoolArray, Comparisons, FloatArray, IntArray, ScoreMatrix

ALPHA = 0.05  # the level at which a difference is called significant


@dataclass(frozen=True)
class Difference:
    """After minus before of one metric.

    Args:
        value: The difference on all data, in [-1, 1].
        low, high: Its 95 % interval.
        p_value: Two-sided, of the hypothesis that there is no difference; at least 2 / (replicates + 1).
        replicates: Usable draws of subjects behind it.
        method: How it was made.
    """

    value: float
    low: float
    high: float
    p_value: float
    replicates: int
    method: str

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05 and the interval leaves out 0."""
        return self.p_value < ALPHA and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test on paired decisions.

    Args:
        gained: Right after, wrong before.
        lost: Right before, wrong after.
        p_value: Two-sided binomial, of the hypothesis that gains and losses are equally likely.
    """

    gained: int
    lost: int
    p_value: float


def paired_differences(
    before: Comparisons | ScoreMatrix,
    after: Comparisons | ScoreMatrix,
    fmr_targets: Sequence[float] = (),
    *,
    replicates: int = 1000,
    seed: int = 0,
    max_comparisons: int = MAX_COMPARISONS,
) -> dict[str, Difference]:
    """Paired subject bootstrap of the difference in EER, AUC and the TAR at each target FMR.

    Each replicate draws subjects with replacement, weighs both systems' comparisons alike and takes the difference of
    their rates, each system at its own threshold. Beyond `max_comparisons` it is the m-out-of-n bootstrap of
    `subject_bootstrap`, with the same part of the comparisons for both.

    Args:
        before, after: The same comparisons in the same order, scored by two systems.
        fmr_targets: Target FMRs in [0, 1).
        replicates: Draws of subjects, 1 or more.
        seed: Of the generator.
        max_comparisons: The most comparisons a replicate may touch.

    Returns:
        A `Difference` for `eer`, `auc` and each `tar_at_fmr_...`; with no usable replicate its p is 1.

    Raises:
        InputError: the two sides are not the same comparisons, `replicates` below 1, or no mated or no non-mated ones.
    """
    _refuse_unpaired(before, after, replicates)
    estimates = [_rates(side, fmr_targets) for side in (before, after)]
    subjects = np.union1d(before.probe_subject, before.gallery_subject)
    m, parts = plan_parts(before.size, len(subjects), max_comparisons)
    rng = np.random.default_rng(seed)
    deviations: list[dict[str, float]] = []
    for part in range(parts):
        # A generator of its own, made twice, picks the same part of either side.
        sides = [
            take_part(side, subjects, m, max_comparisons, np.random.default_rng([seed, part]))
            for side in (before, after)
        ]
        count = replicates * (part + 1) // parts - replicates * part // parts
        deviations += _deviations([side for side, _ in sides], sides[0][1], fmr_targets, count, rng)
    method = "paired subject bootstrap"
    if parts > 1:
        method = f"paired m-out-of-n subject bootstrap, m = {m} of n = {len(subjects)} subjects, in {parts} parts"
    shrink = sqrt(m / len(subjects))
    return {
        name: difference_from(
            estimates[1][name] - estimates[0][name], shrink * np.array([d[name] for d in deviations]), method
        )
        for name in estimates[0]
    }


def paired_rank_difference(
    before: ScoreMatrix, after: ScoreMatrix, rank: int = 1, *, replicates: int = 1000, seed: int = 0
) -> tuple[Difference, McNemar]:
    """Difference in the identification rate at `rank`: paired bootstrap over the probes' subjects, and McNemar's test.

    The gallery stays as it is: drawing a subject twice would put the same template there twice, a mate no rank decides.

    Raises:
        InputError: the two sides are not the same comparisons, or no probe has its subject in the gallery.
    """
    _refuse_unpaired(before, after, replicates)
    found = [rank_of_mate(side) <= rank for side in (before, after)]  # (probes with a mate,) each
    if not len(found[0]):
        raise InputError("no probe has its subject in the gallery: check the subject names on both sides.")
    change = found[1].astype(int) - found[0]
    _, subject = np.unique(before.probe_subject[before.has_mate], return_inverse=True)
    per_subject, probes = np.bincount(subject, weights=change), np.bincount(subject)
    rng = np.random.default_rng(seed)
    weights = np.stack([draw_multiplicities(rng, len(probes)) for _ in range(replicates)])  # (replicates, subjects)
    value = float(change.mean())
    deviations = weights @ per_subject / (weights @ probes) - value
    return difference_from(value, deviations, "paired subject bootstrap, gallery kept"), mcnemar_exact(*found)


def mcnemar_exact(before: BoolArray, after: BoolArray) -> McNemar:
    """McNemar's exact test of two systems' decisions (n,) on the same probes: true where right.

    Example:
        >>> mcnemar_exact(np.array([True, False, False]), np.array([True, True, True]))
        McNemar(gained=2, lost=0, p_value=0.5)
    """
    from scipy.stats import binomtest

    before, after = np.asarray(before, bool), np.asarray(after, bool)
    if before.shape != after.shape:
        raise InputError(f"paired decisions must have one shape, not {before.shape} and {after.shape}.")
    gained, lost = int(np.count_nonzero(after & ~before)), int(np.count_nonzero(before & ~after))
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return McNemar(gained, lost, p_value)


def difference_from(value: float, deviations: FloatArray, method: str) -> Difference:
    """Percentile interval and two-sided p of a difference from its replicates' deviations (B,).

    p is twice the smaller share of replicates on either side of no difference, the sample itself counted among them
    (Davison & Hinkley 1997, section 4.2), so it is never 0. The interval is stretched to hold the value.
    """
    if not len(deviations):
        return Difference(value, -1.0, 1.0, 1.0, 0, f"{method}: no usable replicate")
    drawn = np.clip(value + deviations, -1, 1)
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2]).tolist()
    # Rounding must not put a replicate without a difference on one side.
    sides = [int(np.count_nonzero(drawn <= 1e-12)), int(np.count_nonzero(drawn >= -1e-12))]
    p_value = min(1.0, 2 * (min(sides) + 1) / (len(drawn) + 1))
    return Difference(value, min(low, value), max(high, value), p_value, len(drawn), method)


def _refuse_unpaired(before: Comparisons | ScoreMatrix, after: Comparisons | ScoreMatrix, replicates: int) -> None:
    if replicates < 1:
        raise InputError(f"a bootstrap needs at least one replicate, not {replicates}.")
    same = type(before) is type(after) and all(
        np.array_equal(getattr(before, side), getattr(after, side)) for side in ("probe_subject", "gallery_subject")
    )
    if not same:
        raise InputError("a paired test needs the same comparisons, in the same order, from both systems.")


def _rates(comparisons: Comparisons | ScoreMatrix, fmr_targets: Sequence[float]) -> dict[str, float]:
    mated, non_mated = comparisons.split()
    return verification_rates(
        SortedScores.of("mated scores", mated), SortedScores.of("non-mated scores", non_mated), fmr_targets
    )


def _deviations(
    sides: list[Comparisons],
    subjects: IntArray,
    fmr_targets: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
) -> Iterator[dict[str, float]]:
    """Each usable replicate's difference minus the part's own."""
    if sides[0].mated_count in (0, sides[0].size):
        return
    resamplers = [SubjectResampler(side, subjects) for side in sides]

    def difference(multiplicity: IntArray) -> dict[str, float] | None:
        weighted = [resampler.weighted(multiplicity) for resampler in resamplers]
        if not all(scores.total for scores in weighted[0]):
            return None
        left, right = (verification_rates(*scores, fmr_targets) for scores in weighted)
        return {name: right[name] - left[name] for name in left}

    own = difference(np.ones(len(subjects), np.int64))
    assert own is not None
    for _ in range(replicates):
        drawn = difference(draw_multiplicities(rng, len(subjects)))
        if drawn is not None:
            yield {name: drawn[name] - own[name] for name in own}
