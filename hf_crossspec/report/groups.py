"""Results by session, camera and attributes of the probes: who or what a system serves worse than others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, Value

from hf_crossspec.evaluation.intervals import proportion
from hf_crossspec.evaluation.metrics import rank_of_mate
from hf_crossspec.evaluation.scores import ScoreMatrix
from hf_crossspec.report.operating_point import rates_at_threshold

NOT_GROUPS = ("image", "subject_id", "modality", "key", "landmarks")
FIRST = ("session", "camera")
MAX_VALUES = 20  # a column with more different texts names things rather than groups them
QUARTERED_ABOVE = 8  # numbers with more different values are put into four groups of about equal size
MIN_SUBJECTS = 10  # a group of fewer subjects gets its counts and no rates


def group_columns(faces: Dataset) -> dict[str, np.ndarray]:
    """The columns that sort pictures into 2 to 20 groups: session and camera first, then attributes.

    Numbers with more than 8 different values, an age for instance, are put into four groups of about equal size. A
    missing value is a group of its own, `(none)`.

    Returns:
        Column -> (N,) group name of each picture.
    """
    named = [name for name, kind in faces.features.items() if _sorts(kind) and name not in NOT_GROUPS]
    named.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    columns = {name: _group_names(faces[name][:]) for name in named}
    return {name: groups for name, groups in columns.items() if groups is not None and len(set(groups)) > 1}


def _sorts(kind: Any) -> bool:
    return isinstance(kind, Value) and kind.dtype.startswith(("string", "large_string", "bool", "int", "uint", "float"))


def _group_names(values: Sequence[Any]) -> np.ndarray | None:
    """(N,) texts, or `None` where the values do not group."""
    column = pd.Series(values).convert_dtypes()
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > QUARTERED_ABOVE:
        quarter = pd.qcut(column.astype(float), 4, labels=False, duplicates="drop")
        ends = column.groupby(quarter).agg(["min", "max"])
        names = quarter.map(lambda q: _quarter_name(int(q), *ends.loc[q]), na_action="ignore")
    elif column.nunique() > MAX_VALUES:
        return None
    else:
        names = column.map(str, na_action="ignore")
    names = names.astype(object)
    return names.where(names.notna() & (names != ""), "(none)").to_numpy(dtype=str)


def _quarter_name(number: int, lowest: float, highest: float) -> str:
    return f"quarter {number + 1}: {lowest:g} to {highest:g}"


def group_table(
    matrices: Mapping[str, ScoreMatrix],
    thresholds: Mapping[str, float],
    groups: np.ndarray,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rank-1, FNMR and FMR of each group of probes against the whole gallery, at every system's one threshold.

    The threshold is the same for all groups, as it would be in use; a threshold per group would hide the differences
    that matter (compare ISO/IEC 19795-10).

    Args:
        matrices: System -> its (P, G) scores of the same comparisons.
        thresholds: System -> its threshold.
        groups: (P,) group of each probe.
        replicates, seed: Of the bootstrap over subjects.

    Returns:
        A dict per group, in the order of the names: `group`, `probes`, `subjects`, `note` and `systems`, the last with
        `rank_1`, `fnmr` and `fmr` for each system. A group with fewer than 10 subjects has no systems but a note.
    """
    table = []
    for name in sorted(set(groups.tolist())):
        rows = np.flatnonzero(groups == name)
        subjects = len(np.unique(next(iter(matrices.values())).probe_subject[rows]))
        entry: dict[str, Any] = {"group": name, "probes": len(rows), "subjects": subjects, "note": "", "systems": {}}
        if subjects < MIN_SUBJECTS:
            entry["note"] = f"{subjects} subjects are too few to say anything"
        else:
            entry["systems"] = {
                label: _rates(_rows_of(matrix, rows), thresholds[label], replicates, seed)
                for label, matrix in matrices.items()
            }
            entry["note"] = _few_errors_note(entry["systems"])
        table.append(entry)
    return table


def _rows_of(matrix: ScoreMatrix, rows: np.ndarray) -> ScoreMatrix:
    return ScoreMatrix(matrix.scores[rows], matrix.probe_subject[rows], matrix.gallery_subject)


def _rates(matrix: ScoreMatrix, threshold: float, replicates: int, seed: int) -> dict[str, Any]:
    found_at = rank_of_mate(matrix)
    rank_1 = proportion(int(np.count_nonzero(found_at == 1)), len(found_at)) if len(found_at) else None
    return {"rank_1": rank_1, **rates_at_threshold(matrix, threshold, replicates=replicates, seed=seed)}


def _few_errors_note(systems: Mapping[str, dict[str, Any]]) -> str:
    names = {"fnmr": "false non-matches", "fmr": "false matches"}
    few = [text for name, text in names.items() if any(rates[name]["few_errors"] for rates in systems.values())]
    return f"fewer than 30 {' and '.join(few)}" if few else ""
