"""Group tables and rates at a threshold against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from hf_crossspec.evaluation.intervals import wilson_interval
from hf_crossspec.evaluation.scores import ScoreMatrix
from hf_crossspec.report.groups import group_columns, group_table
from hf_crossspec.report.operating_point import rates_at_threshold
from tests.evaluation.test_intervals import copied_out, make_matrix


def test_rates_at_a_threshold_are_counts() -> None:
    matrix, threshold = make_matrix(14, images=2, levels=2), 1.0
    mated, non_mated = matrix.split()
    rates = rates_at_threshold(matrix, threshold, replicates=20)
    assert rates["fnmr"]["errors"] == sum(score < threshold for score in mated.tolist())
    assert rates["fmr"]["errors"] == sum(score >= threshold for score in non_mated.tolist())
    assert (rates["fnmr"]["n"], rates["fmr"]["n"]) == (len(mated), len(non_mated))
    for rate in rates.values():
        assert rate["value"] == rate["errors"] / rate["n"]
        assert rate["low"] <= rate["value"] <= rate["high"]


def test_their_intervals_are_copying_subjects_out() -> None:
    matrix, threshold = make_matrix(8, images=2), 0.8
    data, subjects, rng = matrix.comparisons(), np.unique(matrix.probe_subject), np.random.default_rng(4)
    fnmr, fmr = [], []
    for _ in range(60):
        mated, non_mated = copied_out(data, subjects[rng.integers(8, size=8)].tolist())
        fnmr.append(np.mean([score < threshold for score in mated]))
        fmr.append(np.mean([score >= threshold for score in non_mated]))
    rates = rates_at_threshold(matrix, threshold, replicates=60, seed=4)
    for name, values in (("fnmr", fnmr), ("fmr", fmr)):
        low, high = np.quantile(values, [0.025, 0.975])
        assert (rates[name]["low"], rates[name]["high"]) == pytest.approx((low, high))


def test_no_error_is_no_certainty_and_no_comparison_no_rate() -> None:
    perfect = ScoreMatrix(np.eye(12, dtype=np.float32), np.arange(12), np.arange(12))
    rates = rates_at_threshold(perfect, 0.5, replicates=30)
    assert (rates["fnmr"]["low"], rates["fnmr"]["high"]) == wilson_interval(0, 12)
    assert (rates["fmr"]["low"], rates["fmr"]["high"]) == wilson_interval(0, 12 * 11)
    twice = ScoreMatrix(np.repeat(np.eye(12, dtype=np.float32), 2, axis=0), np.arange(24) // 2, np.arange(12))
    assert rates_at_threshold(twice, 0.5, replicates=30)["fmr"]["high"] == rates["fmr"]["high"]
    strangers = ScoreMatrix(np.eye(12, dtype=np.float32), np.arange(12), np.arange(12) + 100)
    rates = rates_at_threshold(strangers, 0.5, replicates=30)
    assert (rates["fnmr"]["n"], rates["fnmr"]["value"], rates["fmr"]["errors"]) == (0, None, 12)


def test_group_table_is_counting_by_hand() -> None:
    before, after = make_matrix(24, images=2, seed=1), make_matrix(24, images=2, seed=1)
    after = ScoreMatrix(after.scores + 0.1, after.probe_subject, after.gallery_subject)
    one = np.unique(before.gallery_subject, return_index=True)[1]
    matrices = {
        name: ScoreMatrix(side.scores[:, one], side.probe_subject, side.gallery_subject[one])
        for name, side in (("unadapted", before), ("adapted", after))
    }
    thresholds = {"unadapted": 1.0, "adapted": 1.3}
    subject = before.probe_subject
    groups = np.where(subject < 9, "few", np.where(subject < 39, "left", "right"))
    table = group_table(matrices, thresholds, groups, replicates=30)
    assert [row["group"] for row in table] == ["few", "left", "right"]
    assert table[0]["systems"] == {} and table[0]["note"] == "3 subjects are too few to say anything"
    for row in table:
        rows = [i for i in range(len(groups)) if groups[i] == row["group"]]
        assert (row["probes"], row["subjects"]) == (len(rows), len({subject[i] for i in rows}))
        for label, rates in row["systems"].items():
            matrix, threshold = matrices[label], thresholds[label]
            first, misses, false_matches = 0, 0, 0
            for i in rows:
                mate = matrix.scores[i][matrix.gallery_subject == subject[i]][0]
                others = matrix.scores[i][matrix.gallery_subject != subject[i]]
                first += bool(mate > others.max())
                misses += bool(mate < threshold)
                false_matches += int((others >= threshold).sum())
            assert rates["rank_1"]["value"] == first / len(rows)
            assert (rates["fnmr"]["errors"], rates["fnmr"]["n"]) == (misses, len(rows))
            assert (rates["fmr"]["errors"], rates["fmr"]["n"]) == (false_matches, len(rows) * 23)
    assert "fewer than 30 false non-matches" in table[1]["note"]


def test_columns_that_group() -> None:
    faces = Dataset.from_dict(
        {
            "subject_id": ["a", "b"] * 30,
            "modality": ["vis"] * 60,
            "key": [str(i) for i in range(60)],
            "free_text": [f"text {i}" for i in range(60)],
            "beard": [True, False] * 29 + [None, None],
            "same": ["always"] * 60,
            "empty": [None] * 60,
            "age": list(range(20, 80)),
            "site": [1, 2, 3] * 20,
            "camera": ["x", "", None] * 20,
            "session": ["1", "2"] * 30,
            "landmarks": [[1.0, 2.0]] * 60,
        }
    )
    columns = group_columns(faces)
    assert list(columns) == ["session", "camera", "beard", "age", "site"]
    assert set(columns["beard"]) == {"True", "False", "(none)"}
    assert set(columns["camera"]) == {"x", "(none)"}
    assert set(columns["site"]) == {"1", "2", "3"}
    assert sorted(set(columns["age"])) == [f"quarter {i}: {a} to {a + 14}" for i, a in enumerate((20, 35, 50, 65), 1)]
    assert all(len(values) == 60 for values in columns.values())
