"""From embeddings of images to one template per subject, and from scores to a list of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from hf_crossspec.errors import InputError

BLOCK = 4096  # rows that are held in double precision at a time


def unit_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, D) brought to length one in double precision, and the numbers of those that have no direction."""
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / norms, np.flatnonzero(~((norms > 1e-6) & np.isfinite(norms)))


def subject_sums(subject_ids: Sequence[str], embeddings: np.ndarray) -> Iterator[tuple[list[str], np.ndarray]]:
    """Sums (b, D) of each subject's embeddings and the b names, in blocks, by first appearance."""
    codes, names = pd.factorize(np.array(subject_ids, dtype=object))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))  # subject i has order[bounds[i] : bounds[i + 1]]
    for first in range(0, len(names), BLOCK):
        here = bounds[first : first + BLOCK + 1]
        rows = order[here[0] : here[-1]]
        sums = np.add.reduceat(embeddings[rows].astype(np.float64), here[:-1] - here[0], axis=0)
        block = names[first : first + BLOCK].tolist()
        yield block, sums


def make_templates(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """Templates (b, D) float32 of length one from each subject's sum, which has the direction of the mean.

    Raises:
        InputError: the embeddings of a subject cancel out.
    """
    templates, bad = unit_rows(sums)
    if bad.size:
        raise InputError(f"the images of {names[bad[0]]!r} cancel out: they cannot show one person")
    return templates.astype(np.float32)


def rank(
    nearest: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]], queries: np.ndarray, top_k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Make a stable order out of a search that leaves the order of equal scores open.

    One result more than wanted is asked for. Where it ties with the last wanted one, it is open which of them belong to
    the result, and more are asked for until the tie has ended.

    Args:
        nearest: Gives names and descending scores (Q, w) of queries (Q, D) and a w, or fewer columns when there are
            fewer subjects.
        queries: (Q, D) of length one.
    """
    names, scores = nearest(queries, top_k + 1)
    best_names, best_scores = names[:, :top_k].copy(), scores[:, :top_k].copy()
    for row in np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1)):
        found, values, asked = names[row], scores[row], top_k + 1
        while len(values) == asked and values[top_k - 1] == values[-1]:
            asked *= 2
            found, values = (part[0] for part in nearest(queries[row : row + 1], asked))
        order = sorted(range(len(values)), key=lambda place: (-values[place], found[place]))[:top_k]
        best_names[row], best_scores[row] = found[order], values[order]
    return best_names, best_scores
