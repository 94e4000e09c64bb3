"""The identification report, on a gallery small enough to rank by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation import ScoreMatrix, evaluate_identification, wilson_interval

BY_HAND = ScoreMatrix(
    np.array(
        [
            [0.9, 0.1, 0.2],  # subject 0 first
            [0.9, 0.5, 0.2],  # subject 1 second
            [0.3, 0.3, 0.3],  # subject 2 tied with both others: third
            [0.9, 0.9, 0.9],  # subject 7 is not in the gallery
        ],
        np.float32,
    ),
    np.array([0, 1, 2, 7]),
    np.array([0, 1, 2]),
)


def test_rates_counts_and_curve_by_hand() -> None:
    result = evaluate_identification(BY_HAND, ranks=(1, 2, 3))
    values = {name: entry["value"] for name, entry in result["metrics"].items()}
    assert values == {"rank_1": 1 / 3, "rank_2": 2 / 3, "rank_3": 1.0}
    assert result["curves"]["cmc"] == [1 / 3, 2 / 3, 1.0]
    first = result["metrics"]["rank_1"]
    assert (first["n"], first["errors"], first["few_errors"], first["method"]) == (3, 2, True, "Wilson")
    assert (first["low"], first["high"]) == wilson_interval(1, 3)
    assert [entry["supported"] for entry in result["metrics"].values()] == [True, True, False]
    assert result["counts"] == {
        "mated": 3, "non_mated": 9, "subjects": 4, "probes": 4, "gallery": 3, "probes_without_mate": 1
    }  # fmt: skip


def test_defaults_hold_and_the_curve_is_bounded() -> None:
    rng = np.random.default_rng(0)
    matrix = ScoreMatrix(rng.standard_normal((400, 120)).astype(np.float32), np.arange(400) % 130, np.arange(120))
    result = evaluate_identification(matrix)
    assert list(result["metrics"]) == ["rank_1", "rank_5", "rank_10"]
    curve = result["curves"]["cmc"]
    assert len(curve) == 50 and curve == sorted(curve)
    assert [curve[k - 1] for k in (1, 5, 10)] == [entry["value"] for entry in result["metrics"].values()]
    assert result["metrics"]["rank_5"]["value"] == pytest.approx(5 / 120, abs=0.04)  # chance
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_best_of_several_mated_templates_counts() -> None:
    matrix = ScoreMatrix(np.array([[0.1, 0.9, 0.5]]), np.array([0]), np.array([0, 0, 1]))
    assert evaluate_identification(matrix)["metrics"]["rank_1"]["value"] == 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="no probe has its subject"):
        evaluate_identification(ScoreMatrix(np.zeros((2, 2)), np.array([0, 1]), np.array([2, 3])))
    with pytest.raises(InputError, match="ranks"):
        evaluate_identification(BY_HAND, ranks=(0, 1))
