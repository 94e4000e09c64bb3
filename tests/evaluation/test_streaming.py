"""A matrix that is never held gives the very results of the one that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation import ScoreMatrix, evaluate_identification, evaluate_verification, streaming
from hf_crossspec.evaluation.streaming import LazyScores, evaluate_streaming, lazy_cosine_scores

TARGETS = (0.3, 0.01, 1e-3, 0.0)
WILSON = {"low", "high", "method"}


def lazy(matrix: ScoreMatrix) -> LazyScores:
    return LazyScores(
        matrix.probe_subject,
        matrix.gallery_subject,
        lambda rows: matrix.scores[rows].copy(),
        lambda i, j: matrix.scores[i, j],
    )


def assert_equal_to_the_held_matrix(matrix: ScoreMatrix, result: dict, targets: tuple[float, ...] = TARGETS) -> None:
    held = evaluate_verification(matrix, fmr_targets=targets, replicates=1)
    held["metrics"].pop("auc")
    for name, metric in held["metrics"].items():
        ours = result["metrics"][name]
        assert {k: v for k, v in metric.items() if k not in WILSON} == {
            k: v for k, v in ours.items() if k not in WILSON
        }, name
        assert ours["low"] <= ours["value"] <= ours["high"]
    ranks = evaluate_identification(matrix)["metrics"]
    assert {name: result["metrics"][name] for name in ranks} == ranks
    assert result["counts"] == {name: held["counts"][name] for name in ("mated", "non_mated", "subjects")}


@st.composite
def matrices(draw: st.DrawFn) -> ScoreMatrix:
    """Small matrices, from distinct scores to a handful of levels, from separated to reversed."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    probes, gallery, subjects = draw(st.integers(2, 60)), draw(st.integers(2, 40)), draw(st.integers(1, 12))
    p, g = rng.integers(0, subjects, probes), rng.integers(0, subjects, gallery)
    p[0], g[:2] = 0, (0, subjects)  # one mated and one non-mated comparison at least
    shift, levels = draw(st.sampled_from([-1, 0, 1, 3, 20])), draw(st.sampled_from([None, 1, 4]))
    scores = rng.standard_normal((probes, gallery)) + shift * (p[:, None] == g[None, :])
    scores = scores if levels is None else np.round(scores * levels) / levels
    return ScoreMatrix(scores.astype(draw(st.sampled_from([np.float32, np.float64]))), p, g)


@given(matrices(), st.integers(1, 9))
@settings(max_examples=150)
def test_small_matrices_whatever_the_sample_and_the_brackets(matrix: ScoreMatrix, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "_BLOCK_ELEMENTS", 7 * size)
        patch.setattr(streaming, "_SAMPLE_ELEMENTS", 20 * size)
        patch.setattr(streaming, "_KEPT_AT_A_TIME", 13 * size)
        assert_equal_to_the_held_matrix(matrix, evaluate_streaming(lazy(matrix), fmr_targets=TARGETS))


@pytest.mark.parametrize("levels", [None, 3, 50])
@pytest.mark.parametrize("shift", [0.5, 3, 20])
def test_narrow_brackets_on_a_larger_matrix(levels: int | None, shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    p, g = rng.integers(0, 300, 900), rng.integers(0, 320, 700)
    scores = rng.standard_normal((900, 700)) + shift * (p[:, None] == g[None, :]) + 0.3 * rng.standard_normal((900, 1))
    scores = scores if levels is None else np.round(scores * levels) / levels
    matrix = ScoreMatrix(scores.astype(np.float32), p, g)
    monkeypatch.setattr(streaming, "_SAMPLE_ELEMENTS", 30_000)
    held = []
    join = streaming._join
    monkeypatch.setattr(streaming, "_join", lambda *a: held.append(summary := join(*a)) or summary)
    assert_equal_to_the_held_matrix(matrix, evaluate_streaming(lazy(matrix), fmr_targets=TARGETS))
    assert len(held[0].values) < 0.6 * matrix.size


def test_a_missed_bracket_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    p, g = rng.integers(0, 200, 400), np.arange(200)
    scores = rng.standard_normal((400, 200)) + 2.0 * (p[:, None] == g[None, :])
    scores[::2] += 4  # a sample of odd rows knows nothing of these
    matrix = ScoreMatrix(scores, p, g)
    passes = []
    count = streaming._count
    monkeypatch.setattr(streaming, "_count", lambda *a: passes.append(1) or count(*a))
    odd = np.concatenate([np.delete(scores[row], np.flatnonzero(g == p[row])) for row in range(1, 400, 2)])
    monkeypatch.setattr(streaming, "_sample", lambda *a: streaming.SortedScores(np.sort(odd)))
    targets = (0.3, 0.01)
    assert_equal_to_the_held_matrix(matrix, evaluate_streaming(lazy(matrix), fmr_targets=targets), targets)
    assert len(passes) > 1


def test_cosines_equal_those_of_the_same_products() -> None:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((80, 16))
    p, g = rng.integers(0, 90, 300), np.arange(80)
    probe = centres[p % 80] + 1.5 * rng.standard_normal((300, 16))
    source = lazy_cosine_scores(probe, centres, p, g)
    matrix = ScoreMatrix(source.rows(slice(0, 300)), p, g)
    assert_equal_to_the_held_matrix(matrix, evaluate_streaming(source, fmr_targets=TARGETS))


def test_bad_input_is_refused() -> None:
    codes = np.array([0, 1])
    with pytest.raises(InputError, match="3 dimensions"):
        lazy_cosine_scores(np.eye(3)[:2], np.eye(2), codes, codes)
    with pytest.raises(InputError, match="0 and 4"):
        evaluate_streaming(lazy_cosine_scores(np.eye(2), np.eye(2), codes, codes + 2))
    with pytest.raises(InputError, match="integers from 1"):
        evaluate_streaming(lazy_cosine_scores(np.eye(2), np.eye(2), codes, codes), ranks=(0,))
    with pytest.raises(InputError, match="target FMR"):
        evaluate_streaming(lazy_cosine_scores(np.eye(2), np.eye(2), codes, codes), fmr_targets=(1.0,))
    damaged = LazyScores(
        codes, codes, lambda rows: np.full((len(codes[rows]), 2), np.nan), lambda i, j: np.zeros(len(i))
    )
    with pytest.raises(InputError, match="NaN"):
        evaluate_streaming(damaged)
