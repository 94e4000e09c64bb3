"""Scores, templates and the verification report as a whole."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import numpy as np
import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation import (
    Comparisons,
    ScoreMatrix,
    cosine_pair_scores,
    cosine_score_matrix,
    encode_subjects,
    evaluate_verification,
    l2_normalise,
    make_templates,
)
from hf_crossspec.evaluation.metrics import (
    area_under_roc,
    equal_error_rate,
    false_match_rate,
    kfold_accuracy,
    tar_at_fmr,
    threshold_at_fmr,
)


def make_matrix(probes: int, gallery: int, subjects: int, seed: int = 0) -> ScoreMatrix:
    rng = np.random.default_rng(seed)
    p, g = rng.integers(0, subjects, probes), rng.integers(0, subjects, gallery)
    scores = rng.standard_normal((probes, gallery)) + 2 * (p[:, None] == g[None, :])
    return ScoreMatrix(scores.astype(np.float32), p, g)


def test_subject_codes_share_one_book() -> None:
    probe, gallery, empty = encode_subjects(["s2", "s10", "s2"], ["s10", "x"], [])
    assert (probe.tolist(), gallery.tolist(), empty.tolist()) == ([1, 0, 1], [0, 2], [])
    with pytest.raises(InputError, match="must be a string, not int"):
        encode_subjects(["7"], [7])  # type: ignore[list-item]


def test_templates_are_normalised_averaged_normalised() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((30, 8)) * rng.uniform(0.1, 50, (30, 1))
    codes = rng.integers(0, 6, 30) * 2
    templates, subjects = make_templates(embeddings, codes)
    assert subjects.tolist() == sorted(set(codes.tolist()))
    for template, subject in zip(templates, subjects, strict=True):
        rows = [row / np.sqrt(np.sum(row**2)) for row, code in zip(embeddings, codes, strict=True) if code == subject]
        mean = sum(rows) / len(rows)
        np.testing.assert_allclose(template, mean / np.sqrt(np.sum(mean**2)), atol=1e-12)


def test_cosine_matches_loops_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    probe, gallery = rng.standard_normal((23, 6)), rng.standard_normal((5, 6))
    monkeypatch.setattr("hf_crossspec.evaluation.scores._BLOCK_ELEMENTS", 20)
    matrix = cosine_score_matrix(probe, gallery)
    assert matrix.dtype == np.float32
    for i, a in enumerate(probe):
        for j, b in enumerate(gallery):
            assert matrix[i, j] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
    np.testing.assert_allclose(cosine_pair_scores(probe[:5], gallery), np.diag(matrix[:5]), atol=1e-6)


def test_float32_embeddings_stay_float32() -> None:
    embeddings = np.ones((3, 4), np.float32)
    assert l2_normalise(embeddings).dtype == make_templates(embeddings, np.array([0, 0, 1]))[0].dtype == np.float32


def test_bad_embeddings_are_refused() -> None:
    good = np.eye(3)
    with pytest.raises(InputError, match="1 of 3 embeddings are zero"):
        l2_normalise(np.diag([1.0, 0, 1]))
    with pytest.raises(InputError, match="NaN"):
        cosine_score_matrix(np.full((1, 3), np.nan), good)
    with pytest.raises(InputError, match="dimensions"):
        cosine_score_matrix(good, np.eye(4))
    with pytest.raises(InputError, match="one shape"):
        cosine_pair_scores(good, good[:2])
    with pytest.raises(InputError, match="zero"):
        make_templates(np.array([[1.0, 0], [-1, 0]]), np.array([0, 0]))
    with pytest.raises(InputError, match="encode_subjects"):
        make_templates(good, ["a", "b", "c"])
    with pytest.raises(InputError):
        make_templates(np.empty((0, 3)), np.empty(0, int))


def test_bad_comparisons_are_refused() -> None:
    scores, codes = np.array([0.1, 0.2]), np.array([0, 1])
    with pytest.raises(InputError, match="1 NaN"):
        Comparisons(np.array([0.1, np.nan]), codes, codes)
    with pytest.raises(InputError, match="probe_subject has shape"):
        Comparisons(scores, codes[:1], codes)
    with pytest.raises(InputError, match="integer codes"):
        Comparisons(scores, np.array(["a", "b"]), codes)
    with pytest.raises(InputError, match="fold"):
        Comparisons(scores, codes, codes, fold=np.array([0]))
    with pytest.raises(InputError, match="contradicts the subjects in 1 of 2"):
        Comparisons(scores, codes, codes, same=np.array([True, False]))
    with pytest.raises(InputError, match="flags"):
        Comparisons(scores, codes, codes, same=np.array([1, 2]))
    with pytest.raises(InputError, match="gallery_subject"):
        ScoreMatrix(np.zeros((2, 3)), codes, codes)
    with pytest.raises(InputError, match="2-D"):
        ScoreMatrix(scores, codes, codes)


def test_matrix_and_its_expansion_hold_the_same_scores() -> None:
    matrix = make_matrix(13, 7, 5)
    expanded = matrix.comparisons()
    for ours, theirs in zip(matrix.split(), expanded.split(), strict=True):
        assert ours.tolist() == theirs.tolist()
    mated = [
        matrix.scores[i, j] for i in range(13) for j in range(7) if matrix.probe_subject[i] == matrix.gallery_subject[j]
    ]
    assert matrix.split()[0].tolist() == mated
    assert matrix.mated_count == expanded.mated_count == len(mated)
    some = matrix.comparisons(np.array([4, 2]), np.array([0, 6]))
    assert some.scores.tolist() == [matrix.scores[r, c] for r in (4, 2) for c in (0, 6)]
    assert some.probe_subject.tolist() == matrix.probe_subject[[4, 4, 2, 2]].tolist()
    assert some.gallery_subject.tolist() == matrix.gallery_subject[[0, 6, 0, 6]].tolist()


def test_report_agrees_with_the_metrics() -> None:
    matrix = make_matrix(60, 40, 30)
    result = evaluate_verification(matrix, replicates=50)
    mated, non_mated = matrix.split()
    metrics = result["metrics"]
    assert list(metrics) == ["eer", "auc", *(f"tar_at_fmr_1e-{k}" for k in (1, 2, 3, 4))]
    assert metrics["eer"]["value"] == equal_error_rate(mated, non_mated)
    assert metrics["auc"]["value"] == area_under_roc(mated, non_mated)
    for k in (1, 2, 3, 4):
        entry = metrics[f"tar_at_fmr_1e-{k}"]
        assert entry["value"] == tar_at_fmr(mated, non_mated, 10**-k)
        assert entry["threshold"] == threshold_at_fmr(non_mated, 10**-k)
        assert entry["fmr"] == false_match_rate(non_mated, entry["threshold"]) <= 10**-k
        assert entry["errors"] == int((mated < entry["threshold"]).sum())
        assert entry["false_matches"] == int((non_mated >= entry["threshold"]).sum())
        assert entry["few_errors"] == (min(entry["errors"], entry["false_matches"]) < 30)
        assert entry["supported"] == (len(non_mated) >= 10**k)
        assert entry["n"] == len(mated)
    assert metrics["tar_at_fmr_1e-4"]["threshold"] == float(np.nextafter(non_mated.max(), np.float32(np.inf)))
    with_mate = sum(s in set(matrix.gallery_subject.tolist()) for s in matrix.probe_subject.tolist())
    assert result["counts"] == {
        "mated": len(mated),
        "non_mated": len(non_mated),
        "subjects": len(set(matrix.probe_subject.tolist()) | set(matrix.gallery_subject.tolist())),
        "probes": 60,
        "gallery": 40,
        "probes_without_mate": 60 - with_mate,
    }
    assert with_mate < 60


def test_a_target_is_supported_from_one_error_on() -> None:
    scores = np.arange(20) / 20
    data = Comparisons(scores, np.zeros(20, int), np.repeat([1, 0], 10))
    metrics = evaluate_verification(data, fmr_targets=(0.2, 0.1, 0.09), replicates=2)["metrics"]
    assert [metrics[f"tar_at_fmr_{name}"]["supported"] for name in ("2e-1", "1e-1", "9e-2")] == [True, True, False]


def test_a_list_and_its_matrix_report_the_same() -> None:
    matrix = make_matrix(30, 20, 12)
    a = evaluate_verification(matrix, replicates=20)
    b = evaluate_verification(matrix.comparisons(), replicates=20)
    assert a["metrics"] == b["metrics"] and a["curves"] == b["curves"]
    assert b["counts"] == {name: a["counts"][name] for name in ("mated", "non_mated", "subjects")}


def test_accuracy_comes_with_folds() -> None:
    rng = np.random.default_rng(0)
    probe = rng.integers(0, 90, 600)
    gallery = np.where(np.arange(600) % 2, probe, (probe + 1) % 90)
    scores = rng.standard_normal(600) + 3 * (probe == gallery)
    folds = np.arange(600) // 60
    result = evaluate_verification(Comparisons(scores, probe, gallery, fold=folds), replicates=20)
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["n"] == 600 and accuracy["value"] == 1 - accuracy["errors"] / 600
    assert 0.88 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 0.97
    assert accuracy["fold_mean"] == pytest.approx(accuracy["value"])  # equal folds
    expected = statistics.stdev(kfold_accuracy(scores, probe == gallery, folds).accuracies)
    assert accuracy["fold_std"] == pytest.approx(expected)
    assert "accuracy" not in evaluate_verification(Comparisons(scores, probe, gallery), replicates=2)["metrics"]


def test_reports_are_json_with_finite_numbers() -> None:
    for matrix in (make_matrix(40, 30, 10), ScoreMatrix(np.eye(3), np.arange(3), np.arange(3))):
        result = evaluate_verification(matrix, replicates=10, fmr_targets=[0, 0.05])
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        for entry in result["metrics"].values():
            assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1 and entry["low"] < entry["high"]
        assert result["metrics"]["tar_at_fmr_5e-2"]["n"] == result["counts"]["mated"]


def test_one_sided_input_is_refused() -> None:
    for probe, gallery in (([0, 0], [0]), ([0, 1], [2])):
        with pytest.raises(InputError, match="mated and non-mated"):
            evaluate_verification(ScoreMatrix(np.zeros((2, 1)), np.array(probe), np.array(gallery)))
    with pytest.raises(InputError, match="target FMR"):
        evaluate_verification(make_matrix(9, 9, 3), fmr_targets=[1.5])


def test_a_large_matrix_runs() -> None:
    matrix = make_matrix(3000, 3000, 1500)
    result = evaluate_verification(matrix, replicates=20)
    assert result["counts"]["mated"] + result["counts"]["non_mated"] == 9_000_000
    assert result["metrics"]["auc"]["method"].startswith("m-out-of-n")
    assert len(result["curves"]["roc"]["fmr"]) <= 202


def test_importing_the_package_stays_light() -> None:
    code = (
        "import sys, hf_crossspec.evaluation, hf_crossspec.evaluation.plots;"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
