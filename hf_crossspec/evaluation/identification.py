"""One-to-many evaluation: how often the right subject is among the k best templates of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.intervals import proportion
from hf_crossspec.evaluation.metrics import cmc, rank_of_mate
from hf_crossspec.evaluation.scores import ScoreMatrix
from hf_crossspec.evaluation.verification import count_comparisons

RANKS = (1, 5, 10)


def evaluate_identification(
    matrix: ScoreMatrix, *, ranks: Sequence[int] = RANKS, curve_length: int = 50
) -> dict[str, Any]:
    """Closed-set identification rates, following ISO/IEC 19795-1.

    Only probes whose subject is in the gallery take part. Under equal scores the mate comes last.

    Args:
        matrix: (P, G) scores; one template per subject ranks subjects, several rank templates.
        ranks: the k of each `rank_k`, integers from 1.
        curve_length: the most ranks the CMC lists.

    Returns:
        A dict of plain Python numbers, ready for JSON; rates are fractions in [0, 1]:

        - `metrics`: each `rank_k` with `value`, its 95 % Wilson `low` and `high`, `n` probes, `errors`, `few_errors`
          when those are below 30, and `supported`, false when the gallery has no more than k templates, so that
          rank k cannot fail.
        - `counts`: as for verification.
        - `curves`: `cmc`, the rates at ranks 1, 2, ... up to `curve_length` or the gallery's size.

    Raises:
        InputError: no probe has its subject in the gallery, or a rank below 1.
    """
    if any(rank < 1 for rank in ranks):
        raise InputError(f"ranks are integers from 1, not {list(ranks)}.")
    found_at = rank_of_mate(matrix)
    if not len(found_at):
        raise InputError("no probe has its subject in the gallery: check the subject names on both sides.")
    templates = matrix.scores.shape[1]
    metrics = {}
    for rank in ranks:
        metrics[f"rank_{rank}"] = proportion(int(np.count_nonzero(found_at <= rank)), len(found_at))
        metrics[f"rank_{rank}"]["supported"] = rank < templates
    return {
        "metrics": metrics,
        "counts": count_comparisons(matrix),
        "curves": {"cmc": cmc(found_at, min(curve_length, templates)).tolist()},
    }
