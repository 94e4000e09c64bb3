"""The search: subject-disjoint folds, one budget for all, and the criterion as it is stated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_crossspec import InputError
from hf_crossspec.compare.methods import METHODS
from hf_crossspec.compare.search import TOLERANCE, choose, settings, subject_folds


@pytest.mark.parametrize("folds", [2, 3])
def test_folds_share_no_subject_and_cover_all(folds: int) -> None:
    subjects = [f"s{number // 3}" for number in range(30)]
    held_out_rows: list[int] = []
    for train, held_out in subject_folds(subjects, folds):
        assert not {subjects[row] for row in train} & {subjects[row] for row in held_out}
        assert sorted([*train, *held_out]) == list(range(30))
        held_out_rows += list(held_out)
    assert sorted(held_out_rows) == list(range(30))


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        list(subject_folds(["a", "b", "c"], 2))


def test_every_method_gets_the_same_number_of_settings() -> None:
    grids = {method: settings(method, [0.75, 0.9]) for method in METHODS}
    assert {len(set(grid)) for grid in grids.values()} == {6}
    assert {tuple(sorted({setting.weight for setting in grid})) for grid in grids.values()} == {(0.75, 0.9)}


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "rate": st.sampled_from([1e-4, 1e-3]),
            "weight": st.sampled_from([0.75, 0.9]),
            "eer": st.sampled_from([0.0, 0.01, 0.02]),
            "rank_1": st.sampled_from([0.9, 1.0]),
            "retention": st.sampled_from([0.98, 0.989, 0.99, 0.991]),
            "diverged": st.booleans(),
        }
    ),
    min_size=1,
    max_size=6,
)


@given(ROWS)
def test_the_choice_is_what_the_criterion_says(rows: list[dict[str, Any]]) -> None:
    usable = [row for row in rows if not row["diverged"]]
    if not usable:
        with pytest.raises(InputError, match="diverged"):
            choose(rows, 0.99)
        return
    best = choose(rows, 0.99)
    kept = [row for row in usable if 0.99 - row["retention"] <= TOLERANCE + 1e-9]
    assert best["keeps"] is bool(kept)
    for row in kept or usable:
        ours = (best["eer"], -best["rank_1"], -best["retention"], -best["weight"], best["rate"])
        other = (row["eer"], -row["rank_1"], -row["retention"], -row["weight"], row["rate"])
        if kept:
            assert best["retention"] >= 0.99 - TOLERANCE - 1e-9
            assert ours <= other
        else:
            assert (-best["retention"], *ours) <= (-row["retention"], *other)
