"""The search that every method gets alike: the same number of settings, on the same folds of the training subjects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.model_selection import GroupKFold

from hf_crossspec.compare.methods import METHODS
from hf_crossspec.errors import InputError
from hf_crossspec.files import replacing_file

TOLERANCE = 0.001  # of retention accuracy: what a setting may lose and still count as keeping the old modality
CRITERION = (
    "the lowest EER on the held-out training subjects (mean over folds) among the settings whose retention accuracy on "
    "the selection folds falls by at most 0.1 points; if there is none, the smallest fall; ties: higher Rank-1, "
    "higher retention accuracy, higher distillation weight, lower rate"
)


@dataclass(frozen=True)
class Setting:
    """What is searched: learning rate and weight of self-distillation."""

    rate: float
    weight: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}, weight {self.weight:g}"


def settings(method: str, weights: list[float]) -> list[Setting]:
    """The grid of a method: its rates x the weights."""
    return [Setting(rate, weight) for rate, weight in product(METHODS[method].rates, weights)]


def subject_folds(subjects: list[str], folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(training rows, held-out rows) of each fold, no subject in both; the same at every call.

    Raises:
        InputError: so few subjects that a fold could not be trained or tested on.
    """
    names = np.array(subjects)
    if len(set(subjects)) < 2 * folds:
        raise InputError(f"{len(set(subjects))} training subjects are too few for a search in {folds} folds")
    for train, held_out in GroupKFold(folds, shuffle=True, random_state=0).split(names, groups=names):
        assert not set(names[train]) & set(names[held_out])
        yield train, held_out


def write_folds(faces: Dataset, folder: Path, folds: int) -> list[tuple[Path, Path]]:
    """(training part, held-out part) of each fold as Parquet files in `folder`."""
    paths = []
    for number, rows in enumerate(subject_folds(list(faces["subject_id"]), folds)):
        pair = folder / f"train{number}.parquet", folder / f"held-out{number}.parquet"
        for path, part in zip(pair, rows, strict=True):
            with replacing_file(path) as temporary:
                faces.select(part).to_parquet(str(temporary))
        paths.append(pair)
    return paths


def choose(rows: list[dict[str, Any]], reference: float) -> dict[str, Any]:
    """The best of a method's settings by `CRITERION`.

    Args:
        rows: `rate`, `weight`, `eer`, `rank_1` and `retention` (fractions in [0, 1]) of each setting; a setting whose
            training diverged has `diverged` instead of results and is never chosen.
        reference: Retention accuracy of the unadapted network on the same folds.

    Returns:
        The chosen row, and `keeps`: whether it is within the tolerance.

    Raises:
        InputError: every setting diverged.
    """
    usable = [row for row in rows if not row.get("diverged")]
    if not usable:
        raise InputError("training diverged with every setting of the search")
    kept = [row for row in usable if reference - row["retention"] <= TOLERANCE + 1e-9]

    def target_first(row: dict[str, Any]) -> tuple[float, ...]:
        return row["eer"], -row["rank_1"], -row["retention"], -row["weight"], row["rate"]

    def retention_first(row: dict[str, Any]) -> tuple[float, ...]:
        return -row["retention"], *target_first(row)

    best = min(kept, key=target_first) if kept else min(usable, key=retention_first)
    return best | {"keeps": bool(kept)}
