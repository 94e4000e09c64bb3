"""Exact EER, TAR and ranks of a score matrix that is never held: its rows come in blocks and are dropped.

A few operating points need exact counts around them, not all scores in order. A sample of rows says where the points
lie; one pass then counts the non-mated scores outside narrow brackets around them and keeps those inside (selection by
sampling, Floyd & Rivest 1975). The definitions in `metrics` run on that summary. Where a bracket missed its point, the
pass is repeated with wider ones, so the result never depends on the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.identification import RANKS
from hf_crossspec.evaluation.intervals import proportion, wilson_interval
from hf_crossspec.evaluation.metrics import (
    SortedScores,
    equal_error_candidates,
    equal_error_threshold,
    tar_name,
    verification_rates,
)
from hf_crossspec.evaluation.scores import FloatArray, IntArray, as_codes, l2_normalise
from hf_crossspec.evaluation.verification import errors_at

_BLOCK_ELEMENTS = 1 << 22  # scores of a block: 16 MB in float32
_SAMPLE_ELEMENTS = 1 << 22
_KEPT_AT_A_TIME = 1 << 24  # kept scores are merged to distinct values and counts beyond this many


@dataclass(frozen=True, eq=False)
class LazyScores:
    """A probe x gallery matrix that is computed a few rows at a time.

    Args:
        probe_subject: (P,) integer codes.
        gallery_subject: (G,) integer codes from the same code book.
        rows: gives the scores (B, G) of a slice or an index array of B probes, in an array that may be overwritten;
            the same values whenever it is asked for the same slice.
        pairs: gives the scores (n,) of probes (n,) with templates (n,); only to place the brackets, so rounding may
            differ from that of `rows`.
    """

    probe_subject: IntArray
    gallery_subject: IntArray
    rows: Callable[[slice | IntArray], FloatArray]
    pairs: Callable[[IntArray, IntArray], FloatArray]

    @property
    def block_starts(self) -> range:
        """First probe of each block; a block has `block_starts.step` probes, the last one what is left."""
        return range(0, len(self.probe_subject), max(1, _BLOCK_ELEMENTS // max(1, len(self.gallery_subject))))


def lazy_cosine_scores(
    probe: npt.ArrayLike, gallery: npt.ArrayLike, probe_subject: npt.ArrayLike, gallery_subject: npt.ArrayLike
) -> LazyScores:
    """Cosine similarity of embeddings (P, D) and (G, D), in float32, row by row.

    Raises:
        InputError: as `l2_normalise`, a different D, or codes that do not fit.
    """
    left, right = (np.ascontiguousarray(l2_normalise(side), np.float32) for side in (probe, gallery))
    if left.shape[1] != right.shape[1]:
        raise InputError(f"probe embeddings have {left.shape[1]} dimensions but gallery embeddings {right.shape[1]}.")
    return LazyScores(
        as_codes("probe_subject", probe_subject, len(left)),
        as_codes("gallery_subject", gallery_subject, len(right)),
        lambda some: left[some] @ right.T,
        lambda i, j: np.einsum("nd,nd->n", left[i], right[j]),
    )


def evaluate_streaming(
    scores: LazyScores, *, fmr_targets: Sequence[float] = (1e-3, 1e-4, 1e-5), ranks: Sequence[int] = RANKS
) -> dict[str, Any]:
    """EER, TARs and closed-set identification rates of a matrix too large to hold, equal to those of
    `evaluate_verification` and `evaluate_identification` on the same scores.

    Beside the embeddings, memory holds one block, the mated scores, and the non-mated scores in the brackets: a few
    per cent of all where the EER is a few per cent.

    Args:
        scores: the matrix.
        fmr_targets: target FMRs in [0, 1).
        ranks: the k of each `rank_k`, integers from 1.

    Returns:
        `metrics` and `counts` of the same form. There is no AUC, as it needs every score's place, and no bootstrap:
        the intervals are Wilson's, on mated comparisons and on probes, and take these as independent.

    Raises:
        InputError: no mated or no non-mated comparisons, a target outside [0, 1), or a rank below 1.
    """
    if any(rank < 1 for rank in ranks):
        raise InputError(f"ranks are integers from 1, not {list(ranks)}.")
    mated, non_mated, rank_of_mate = _summarise(scores, fmr_targets)
    metrics = {}
    for rank in ranks:
        metrics[f"rank_{rank}"] = proportion(int(np.count_nonzero(rank_of_mate <= rank)), len(rank_of_mate))
        metrics[f"rank_{rank}"]["supported"] = rank < len(scores.gallery_subject)
    rates = verification_rates(mated, non_mated, fmr_targets)
    thresholds = {"eer": equal_error_threshold(mated, non_mated)}
    thresholds |= {tar_name(target): non_mated.threshold_at_fmr(target) for target in fmr_targets}
    for name, threshold in thresholds.items():
        low, high = wilson_interval(rates[name] * mated.total, mated.total)
        method = "Wilson on the mated count"
        metrics[name] = {"value": rates[name], "low": low, "high": high, "n": mated.total, "method": method}
        metrics[name] |= errors_at(threshold, mated, non_mated)
    for target in fmr_targets:
        metrics[tar_name(target)]["supported"] = 1 / non_mated.total <= target
    subjects = len(np.union1d(scores.probe_subject, scores.gallery_subject))
    counts = {"mated": mated.total, "non_mated": non_mated.total, "subjects": subjects}
    return {"metrics": metrics, "counts": counts}


def _summarise(scores: LazyScores, fmr_targets: Sequence[float]) -> tuple[SortedScores, SortedScores, IntArray]:
    """Mated scores, the summary of the non-mated ones, and the rank of each probe's mate where it has one."""
    mates = _mates(scores)
    sizes = [len(columns) for columns in mates]
    total = len(mates) * len(scores.gallery_subject) - sum(sizes)
    if not sum(sizes) or not total:
        raise InputError(
            f"verification needs mated and non-mated comparisons, but there are {sum(sizes)} and {total}: "
            "check that probes and gallery share subjects, and that there are at least two."
        )
    mated_probes = np.repeat(np.arange(len(mates)), sizes)
    expected_mated = SortedScores(np.sort(scores.pairs(mated_probes, np.concatenate(mates))))
    sample = _sample(scores, mates)
    slack = 1
    while True:
        brackets = _place(expected_mated, sample, fmr_targets, slack)
        mated, non_mated, ranks = _count(scores, mates, total, brackets)
        if _settled(mated, non_mated, fmr_targets, brackets):
            return mated, non_mated, ranks
        expected_mated, slack = mated, 4 * slack


def _mates(scores: LazyScores) -> list[IntArray]:
    """The columns that show the same subject, for each probe."""
    order = np.argsort(scores.gallery_subject, kind="stable")
    first, last = (np.searchsorted(scores.gallery_subject[order], scores.probe_subject, side) for side in _SIDES)
    return [order[start:stop] for start, stop in zip(first.tolist(), last.tolist(), strict=True)]


_SIDES: tuple[Any, ...] = ("left", "right")


def _sample(scores: LazyScores, mates: list[IntArray]) -> SortedScores:
    """The non-mated scores of a few rows spread over all, in order."""
    count = min(len(mates), -(-_SAMPLE_ELEMENTS // len(scores.gallery_subject)))
    rows = np.unique(np.linspace(0, len(mates) - 1, count).astype(int))
    sample = scores.rows(rows)
    for row, of_sample in zip(rows.tolist(), sample, strict=True):
        of_sample[mates[row]] = np.nan
    return SortedScores(np.sort(sample[~np.isnan(sample)]))


Bracket = tuple[Any, Any]  # scores from the first on and below the second


def _place(mated: SortedScores, sample: SortedScores, fmr_targets: Sequence[float], slack: int) -> list[Bracket]:
    """Brackets around the EER and each target, wide enough for the sample's error; ascending, apart."""
    values = sample.values
    kind = values.dtype.type

    def around(errors: float) -> Bracket:
        spread = slack * (errors / 10 + 4 * sqrt(errors) + 10)
        low, high = round(len(values) - errors - spread), round(len(values) - errors + spread)
        return (values[low] if low >= 0 else kind(-np.inf)), (values[high] if high < len(values) else kind(np.inf))

    brackets = [around(target * len(values)) for target in fmr_targets]
    if len(values):
        threshold = equal_error_threshold(mated, sample)
        low, high = around(int(sample.at_or_above(threshold)))
        # The two mated scores around the crossing decide too, and may lie far apart.
        place = int(mated.below(threshold))
        low = min(low, kind(mated.values[max(0, place - 2 * slack)]))
        beyond = place + 2 * slack
        high = max(high, kind(mated.values[beyond] if beyond < len(mated.values) else np.inf))
        brackets.append((low, high))
    else:
        brackets.append((kind(-np.inf), kind(np.inf)))
    apart: list[Bracket] = []
    for low, high in sorted(brackets):
        if apart and low <= apart[-1][1]:
            low, high = apart[-1][0], max(high, apart.pop()[1])
        apart.append((low, high))
    return apart


class _Kept:
    """The scores within one bracket as distinct values with counts, and how many lie at or above its end."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.values = np.empty(0, dtype)
        self.counts = np.empty(0, np.int64)
        self.above = 0
        self._waiting: list[FloatArray] = []
        self._size = 0

    def add(self, scores: FloatArray) -> None:
        self._waiting.append(scores)
        self._size += len(scores)
        if self._size > _KEPT_AT_A_TIME:
            self.merge()

    def merge(self) -> None:
        if not self._size:
            return
        new = np.sort(np.concatenate(self._waiting))
        values = np.concatenate([self.values, new])
        counts = np.concatenate([self.counts, np.ones(len(new), np.int64)])
        order = np.argsort(values, kind="stable")  # two ascending runs are merged in one go
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        self.values, self.counts = values[starts], np.add.reduceat(counts, starts)
        self._waiting, self._size = [], 0


def _count(
    scores: LazyScores, mates: list[IntArray], total: int, brackets: list[Bracket]
) -> tuple[SortedScores, SortedScores, IntArray]:
    """One pass over all rows."""
    mated, ranks = [], []
    kept = [_Kept(low.dtype) for low, _ in brackets]
    for columns, row in zip(mates, _rows(scores), strict=True):
        if len(columns):
            mated.append(row[columns])
            row[columns] = np.nan  # from here on neither at or above nor below anything
            ranks.append(1 + np.count_nonzero(row >= mated[-1].max()))
        for (low, high), inside in zip(brackets, kept, strict=True):
            enough = row >= low
            if high < np.inf:
                too_high = row >= high
                inside.above += int(np.count_nonzero(too_high))
                enough ^= too_high
            inside.add(row[enough])
    return SortedScores(np.sort(np.concatenate(mated))), _join(kept, brackets, total), np.array(ranks, np.int64)


def _rows(scores: LazyScores) -> Iterator[FloatArray]:
    for start in scores.block_starts:
        block = scores.rows(slice(start, min(start + scores.block_starts.step, len(scores.probe_subject))))
        if not np.isfinite(block.sum(dtype=np.float64)):
            raise InputError("scores hold NaN or infinite values: count such faces as not acquired.")
        yield from block


def _join(kept: list[_Kept], brackets: list[Bracket], total: int) -> SortedScores:
    """The scores in the brackets with, for those in between, one score just below the next bracket and their count."""
    values, counts, placed = [], [], 0
    for inside, (low, _) in zip(kept, brackets, strict=True):
        inside.merge()
        between = total - placed - int(inside.counts.sum()) - inside.above
        values += [np.nextafter(np.array([low]), -np.inf, dtype=low.dtype), inside.values]
        counts += [np.array([between]), inside.counts]
        placed = total - inside.above
    values, counts = [*values, np.array([brackets[-1][1]])], [*counts, np.array([total - placed])]
    weight = np.concatenate(counts)
    cumulative = np.concatenate([[0], np.cumsum(weight[weight > 0])])
    return SortedScores(np.concatenate(values)[weight > 0], cumulative)


def _settled(
    mated: SortedScores, non_mated: SortedScores, fmr_targets: Sequence[float], brackets: list[Bracket]
) -> bool:
    """Whether every score that decides a rate lies within a bracket, where counts are exact."""
    lowest = non_mated.values.dtype.type(-np.inf)
    deciding = equal_error_candidates(mated, non_mated)
    for target in fmr_targets:  # a threshold is just above the score that it keeps out
        deciding.append(np.nextafter(lowest.dtype.type(non_mated.threshold_at_fmr(target)), lowest))
    return all(any(low <= score < high for low, high in brackets) for score in deciding)
