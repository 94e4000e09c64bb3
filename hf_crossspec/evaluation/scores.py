"""From embeddings to comparison scores, with the subjects each score belongs to.

Two containers cover every protocol: `Comparisons` is a list of probe/gallery pairs (LFW view 2 and the like),
`ScoreMatrix` is every probe against every gallery template. A higher score always means more alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]

_BLOCK_ELEMENTS = 1 << 23  # elements handled at a time, so that temporaries stay at tens of megabytes


def as_scores(name: str, values: npt.ArrayLike, ndim: int = 1) -> FloatArray:
    """Check scores and return them as float32 or float64 (kept as given; any other type becomes float64).

    Raises:
        InputError: wrong number of dimensions, not numeric, or NaN / infinite values.
    """
    array = np.asarray(values)
    if array.ndim != ndim or array.dtype.kind not in "fiub":
        raise InputError(f"{name} must be a {ndim}-D array of numbers, not {array.ndim}-D of type {array.dtype}.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise InputError(f"{name} hold {bad} NaN or infinite values of {array.size}: count such faces as not acquired.")
    return array


def as_codes(name: str, values: npt.ArrayLike, length: int) -> IntArray:
    """Check a vector of `length` integer codes.

    Raises:
        InputError: not integers, or another length.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} must be integer codes, not {array.dtype}: encode names with encode_subjects().")
    if array.shape != (length,):
        raise InputError(f"{name} has shape {array.shape}, but {length} entries are needed.")
    return array


def encode_subjects(*sequences: Sequence[str]) -> tuple[IntArray, ...]:
    """Turn subject names into integer codes shared by all `sequences`; codes follow the sorted names.

    Raises:
        InputError: a subject that is not a string (the number 7 and the string "7" must not pass as two people).

    Example:
        >>> encode_subjects(["bo", "al"], ["bo"])
        (array([1, 0]), array([1]))
    """
    for name in chain(*sequences):
        if not isinstance(name, str):
            raise InputError(f"subject_id must be a string, not {type(name).__name__} ({name!r}).")
    codes = {name: code for code, name in enumerate(sorted(set(chain(*sequences))))}
    return tuple(np.array([codes[name] for name in names], dtype=np.int64) for names in sequences)


@dataclass(frozen=True, eq=False)
class Comparisons:
    """A list of n comparisons.

    Args:
        scores: (n,) similarity, finite.
        probe_subject: (n,) integer code of the probe's subject.
        gallery_subject: (n,) integer code of the other side's subject, from the same code book.
        fold: (n,) integer fold of each comparison, for k-fold accuracy.
        same: (n,) the list's own mated flag; it must agree with the subjects.

    Raises:
        InputError: unequal lengths, non-finite scores, codes that are not integers, or a contradicting `same`.
    """

    scores: FloatArray
    probe_subject: IntArray
    gallery_subject: IntArray
    fold: IntArray | None = None
    same: BoolArray | None = None

    def __post_init__(self) -> None:
        scores = as_scores("scores", self.scores)
        object.__setattr__(self, "scores", scores)
        for name in ("probe_subject", "gallery_subject", "fold"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_codes(name, getattr(self, name), len(scores)))
        if self.same is not None:
            same = np.asarray(self.same)
            if same.shape != scores.shape or not np.isin(same, (0, 1)).all():
                raise InputError(f"same must be {len(scores)} true/false flags, one per score.")
            wrong = int(np.count_nonzero(same.astype(bool) != self.mated))
            if wrong:
                raise InputError(
                    f"same contradicts the subjects in {wrong} of {len(scores)} pairs: check the pair list."
                )
            object.__setattr__(self, "same", same.astype(bool))

    @property
    def size(self) -> int:
        """Number of comparisons."""
        return len(self.scores)

    @property
    def mated(self) -> BoolArray:
        """(n,) whether both sides show the same subject."""
        return np.asarray(self.probe_subject == self.gallery_subject)

    @property
    def mated_count(self) -> int:
        """Number of mated comparisons."""
        return int(np.count_nonzero(self.mated))

    def split(self) -> tuple[FloatArray, FloatArray]:
        """New arrays of the mated (m,) and the non-mated (n - m,) scores."""
        mated = self.mated
        return self.scores[mated], self.scores[~mated]

    def take(self, index: IntArray) -> Comparisons:
        """The comparisons at `index`, without their folds."""
        return Comparisons(self.scores[index], self.probe_subject[index], self.gallery_subject[index])


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Every probe compared with every gallery template.

    Args:
        scores: (P, G) similarity, finite; float32 as `cosine_score_matrix` returns it (float64 is kept).
        probe_subject: (P,) integer codes.
        gallery_subject: (G,) integer codes from the same code book.

    Raises:
        InputError: shapes that do not fit, non-finite scores, or codes that are not integers.
    """

    scores: FloatArray
    probe_subject: IntArray
    gallery_subject: IntArray

    def __post_init__(self) -> None:
        scores = as_scores("scores", self.scores, ndim=2)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "probe_subject", as_codes("probe_subject", self.probe_subject, scores.shape[0]))
        object.__setattr__(self, "gallery_subject", as_codes("gallery_subject", self.gallery_subject, scores.shape[1]))

    @property
    def size(self) -> int:
        """Number of comparisons, P x G."""
        return self.scores.size

    @property
    def has_mate(self) -> BoolArray:
        """(P,) whether the probe's subject is in the gallery."""
        return np.isin(self.probe_subject, self.gallery_subject)

    @property
    def mated_count(self) -> int:
        """Number of mated comparisons, counted from the subjects alone."""
        subjects, counts = np.unique(self.gallery_subject, return_counts=True)
        templates_of = dict(zip(subjects.tolist(), counts.tolist(), strict=True))
        return sum(templates_of.get(subject, 0) for subject in self.probe_subject.tolist())

    def blocks(self) -> Iterator[tuple[FloatArray, BoolArray]]:
        """Walk the rows in order: scores (B, G) and whether each is mated (B, G), in blocks of bounded size."""
        step = max(1, _BLOCK_ELEMENTS // max(1, len(self.gallery_subject)))
        for start in range(0, len(self.probe_subject), step):
            rows = slice(start, start + step)
            yield self.scores[rows], self.probe_subject[rows, None] == self.gallery_subject[None, :]

    def split(self) -> tuple[FloatArray, FloatArray]:
        """New arrays of the mated (m,) and the non-mated (P * G - m,) scores; no index arrays are built."""
        mated = np.empty(self.mated_count, self.scores.dtype)
        non_mated = np.empty(self.size - len(mated), self.scores.dtype)
        seen_mated = seen_non_mated = 0
        for scores, same in self.blocks():
            here = int(np.count_nonzero(same))
            mated[seen_mated : seen_mated + here] = scores[same]
            non_mated[seen_non_mated : seen_non_mated + same.size - here] = scores[~same]
            seen_mated += here
            seen_non_mated += same.size - here
        return mated, non_mated

    def comparisons(self, rows: IntArray | None = None, columns: IntArray | None = None) -> Comparisons:
        """Expand `rows` x `columns` (all by default) to a list, row by row. Meant for small selections."""
        rows = np.arange(len(self.probe_subject)) if rows is None else rows
        columns = np.arange(len(self.gallery_subject)) if columns is None else columns
        return Comparisons(
            scores=self.scores[np.ix_(rows, columns)].ravel(),
            probe_subject=np.repeat(self.probe_subject[rows], len(columns)),
            gallery_subject=np.tile(self.gallery_subject[columns], len(rows)),
        )


def l2_normalise(embeddings: npt.ArrayLike) -> FloatArray:
    """Scale each row of (N, D) embeddings to unit length, keeping float32 or float64.

    Raises:
        InputError: not 2-D, non-finite values, or a zero row (no direction, so no identity to compare).
    """
    array = as_scores("embeddings", embeddings, ndim=2)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    zero = int(np.count_nonzero(norms == 0))
    if zero:
        raise InputError(f"{zero} of {len(array)} embeddings are zero vectors: count such faces as not acquired.")
    return np.asarray(array / norms)


def make_templates(embeddings: npt.ArrayLike, subjects: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    """One template per subject: normalise (N, D) embeddings, average each subject's, normalise again.

    Returns:
        Templates (T, D) of unit length and their subject codes (T,), ascending.

    Raises:
        InputError: as `l2_normalise`, lengths that differ, or a subject whose embeddings cancel out.
    """
    unit = l2_normalise(embeddings)
    codes = as_codes("subjects", subjects, len(unit))
    if not len(codes):
        raise InputError("no embeddings to make templates of.")
    order = np.argsort(codes, kind="stable")
    names, starts = np.unique(codes[order], return_index=True)
    # Only the direction matters after the second normalisation, so the sum stands for the mean.
    return l2_normalise(np.add.reduceat(unit[order], starts, axis=0)), names


def cosine_score_matrix(probe: npt.ArrayLike, gallery: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Cosine similarity of probes (P, D) with gallery templates (G, D): (P, G) float32 in [-1, 1] up to rounding.

    Raises:
        InputError: as `l2_normalise`, or a different D.
    """
    left, right = (l2_normalise(side).astype(np.float32, copy=False) for side in (probe, gallery))
    if left.shape[1] != right.shape[1]:
        raise InputError(f"probe embeddings have {left.shape[1]} dimensions but gallery embeddings {right.shape[1]}.")
    scores = np.empty((len(left), len(right)), np.float32)
    step = max(1, _BLOCK_ELEMENTS // max(1, len(right)))
    for start in range(0, len(left), step):
        np.matmul(left[start : start + step], right.T, out=scores[start : start + step])
    return scores


def cosine_pair_scores(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Cosine similarity of row i of `a` (n, D) with row i of `b` (n, D): (n,) float32 in [-1, 1] up to rounding.

    Raises:
        InputError: as `l2_normalise`, or shapes that differ.
    """
    left, right = l2_normalise(a), l2_normalise(b)
    if left.shape != right.shape:
        raise InputError(f"the two sides of a pair list must have one shape, not {left.shape} and {right.shape}.")
    return np.einsum("nd,nd->n", left, right).astype(np.float32, copy=False)
