"""Thresholds, likelihood ratios and the file that keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation import Comparisons, ScoreMatrix
from hf_crossspec.evaluation.calibration import Calibration, ThresholdEntry, calibrate, calibrate_comparisons
from hf_crossspec.evaluation.likelihood_ratio import (
    cllr,
    expected_calibration_error,
    fit_mapping,
    mapping_from_dict,
    mapping_to_dict,
    minimum_cllr,
)
from hf_crossspec.evaluation.metrics import false_match_rate, false_non_match_rate
from tests.conftest import simulated_pairs

WEIGHTS, OTHER_WEIGHTS = "a" * 64, "b" * 64


def make_matrix(subjects: int, probes_each: int = 2, gain: float = 2.0, seed: int = 0) -> ScoreMatrix:
    rng = np.random.default_rng(seed)
    probe, gallery = np.repeat(np.arange(subjects), probes_each), np.arange(subjects)
    scores = rng.standard_normal((len(probe), subjects)) + gain * (probe[:, None] == gallery[None, :])
    return ScoreMatrix((scores / 5).astype(np.float32), probe, gallery)


def make_calibration(
    modalities: tuple[str, str] = ("vis", "nir"), weights: str = WEIGHTS, **changes: object
) -> Calibration:
    options = {"fmrs": (1e-2, 0.1), "replicates": 20, **changes}
    return Calibration(
        weights,
        (calibrate_comparisons(make_matrix(30), make_matrix(20, seed=1), modalities, **options),),  # type: ignore[arg-type]
    )


@given(st.integers(0, 1000), st.sampled_from([0.5, 0.1, 0.02]), st.booleans())
@settings(max_examples=40)
def test_thresholds_and_counts_equal_plain_loops(seed: int, fmr: float, coarse: bool) -> None:
    development, test = make_matrix(20, seed=seed), make_matrix(15, seed=seed + 1)
    if coarse:
        development, test = (replace(side, scores=np.round(side.scores, 1)) for side in (development, test))
    (entry,) = calibrate_comparisons(development, test, ("vis", "nir"), fmrs=(fmr,), replicates=2).thresholds
    non_mated = development.split()[1]
    assert false_match_rate(non_mated, entry.threshold) <= fmr
    lower = float(np.nextafter(np.float32(entry.threshold), np.float32(-np.inf)))
    assert false_match_rate(non_mated, lower) > fmr
    for side, rates in ((development, entry.development), (test, entry.test)):
        assert rates is not None
        mated, non_mated = side.split()
        assert rates.fmr.value == false_match_rate(non_mated, entry.threshold)
        assert rates.fnmr.value == false_non_match_rate(mated, entry.threshold)
        assert (rates.fmr.errors, rates.fmr.n) == (
            sum(x >= entry.threshold for x in non_mated.tolist()),
            len(non_mated),
        )
        assert (rates.fnmr.errors, rates.fnmr.n) == (sum(x < entry.threshold for x in mated.tolist()), len(mated))
        for rate in (rates.fmr, rates.fnmr):
            assert 0 <= rate.low <= rate.value <= rate.high <= 1
            assert rate.low < rate.high
    assert entry.low <= entry.threshold <= entry.high


def test_the_interval_of_a_threshold_covers_the_truth() -> None:
    truth = 1.2815515655446004 / 5  # the normal distribution's 90 % quantile
    entries = [
        calibrate_comparisons(make_matrix(40, seed=seed), None, ("a", "b"), fmrs=(0.1,), replicates=100).thresholds[0]
        for seed in range(40)
    ]
    assert sum(entry.low <= truth <= entry.high for entry in entries) >= 34
    assert entries[0].test is None


def test_an_fmr_that_comparisons_cannot_show_is_refused() -> None:
    matrix = make_matrix(20, probes_each=1)  # 380 non-mated comparisons
    with pytest.raises(InputError, match=r"0.001 needs 3,000 .* and 30,000 to be trusted .* has 380"):
        calibrate_comparisons(matrix, None, ("a", "b"), fmrs=(0.1, 1e-3))
    marked, plain = calibrate_comparisons(matrix, None, ("a", "b"), fmrs=(3 / 380, 30 / 380), replicates=2).thresholds[
        ::-1
    ]
    assert (marked.few_expected_false_matches, marked.non_mated_for_30) == (True, 3800)
    assert (plain.few_expected_false_matches, plain.non_mated_for_30) == (False, 380)
    for fmrs in ((), (0.0,), (1.0,), (float("nan"),)):
        with pytest.raises(InputError, match="between 0 and 1"):
            calibrate_comparisons(matrix, None, ("a", "b"), fmrs=fmrs)
    with pytest.raises(InputError, match="unknown mapping"):
        calibrate_comparisons(matrix, None, ("a", "b"), fmrs=(0.1,), mapping="spline")
    lonely = Comparisons(np.array([0.1, 0.2]), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(InputError, match="test split has 2 mated and 0 non-mated"):
        calibrate_comparisons(matrix, lonely, ("a", "b"), fmrs=(0.1,))


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_the_file_gives_back_what_was_stored(kind: str, tmp_path: Path) -> None:
    calibration = make_calibration(mapping=kind)
    calibration.save(tmp_path / "calibration.json")
    again = Calibration.load(tmp_path / "calibration.json", WEIGHTS)
    assert again == calibration
    entry = again.threshold("nir", "vis", 0.01)
    assert isinstance(entry, ThresholdEntry)
    assert entry == again.threshold("vis", "nir", 1e-2)
    scores = np.linspace(-1, 1, 50).reshape(5, 10)
    np.testing.assert_array_equal(entry.llr(scores), calibration.pairs[0].mapping.llr(scores))
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]


def test_further_pairs_are_added_and_the_same_pair_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    make_calibration().save(path)
    make_calibration(("vis", "thermal")).save(path)
    make_calibration(("nir", "vis"), fmrs=(0.05,)).save(path)
    stored = Calibration.load(path)
    assert [pair.modalities for pair in stored.pairs] == [("nir", "vis"), ("thermal", "vis")]
    with pytest.raises(InputError, match=r"for an FMR of 0\.01; there are: 0\.05"):
        stored.threshold("vis", "nir", 0.01)
    with pytest.raises(InputError, match="sketch are not calibrated; there are: nir and vis; thermal and vis"):
        stored.threshold("vis", "sketch", 0.01)


def test_other_weights_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    make_calibration().save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="other weights"):
        Calibration.load(path, OTHER_WEIGHTS)
    with pytest.raises(InputError, match="other weights"):
        make_calibration(weights=OTHER_WEIGHTS).save(path)
    assert path.read_bytes() == before
    content = json.loads(before)
    for change in ({"schema_version": 2}, {"schema": "else"}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(InputError, match="this version reads"):
            Calibration.load(path)
    for broken in (
        [],
        {},
        content | {"pairs": [{}]},
        content | {"pairs": 3},
        content | {"pairs": [{**content["pairs"][0], "thresholds": [{}]}]},
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(InputError, match="not a calibration"):
            Calibration.load(path)
    with pytest.raises(InputError, match="does not exist"):
        Calibration.load(tmp_path / "none.json")


def test_calibrate_model_tells_nobody_apart_by_name(tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    simulated_pairs(range(6)).to_parquet(str(folder / "validation-00000-of-00001.parquet"))
    simulated_pairs(range(10, 14)).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    sides = {"gallery_modality": "vis", "probe_modality": "nir", "fmrs": (0.1,)}
    calibration = calibrate(tiny_base, folder, test_split="test", **sides)
    entry = calibration.threshold("vis", "nir", 0.1)
    assert (entry.development.fmr.n, entry.development.fnmr.n) == (12 * 5, 12)
    assert entry.test is not None
    assert (entry.test.fmr.n, entry.test.fnmr.n) == (8 * 3, 8)
    text = json.dumps(calibration.to_dict())
    assert str(tmp_path) not in text
    assert str(tiny_base) not in text
    assert "s000" not in text
    assert "s010" not in text
    with pytest.raises(InputError, match="6 subjects are in both"):
        calibrate(tiny_base, folder, test_split="validation", **sides)


def scores_of(draw_seed: int, levels: int | None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw_seed)
    mated, non_mated = rng.normal(1, 1, rng.integers(1, 60)), rng.normal(0, 1, rng.integers(1, 90))
    return (
        (mated, non_mated)
        if levels is None
        else (np.round(mated * levels) / levels, np.round(non_mated * levels) / levels)
    )


@given(st.integers(0, 10_000), st.sampled_from([None, 1, 3]))
def test_cllr_is_the_balanced_cross_entropy_in_bits(seed: int, levels: int | None) -> None:
    mated, non_mated = scores_of(seed, levels)
    labels = np.repeat([1, 0], [len(mated), len(non_mated)])
    p = 1 / (1 + np.exp(-np.concatenate([mated, non_mated])))
    weight = np.where(labels == 1, 1 / len(mated), 1 / len(non_mated))
    expected = log_loss(labels, p, sample_weight=weight, labels=[0, 1]) / np.log(2)
    assert cllr(mated, non_mated) == pytest.approx(expected, abs=1e-12)


def pool_adjacent_violators(scores: np.ndarray, same: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blocks of (mated weight, weight, scores), merged while they fall."""
    blocks: list[list] = []
    for score in np.unique(scores):
        here = scores == score
        blocks.append([float(weight[here] @ same[here]), float(weight[here].sum()), [score]])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1], blocks[-1][2] + last[2]]
    value = {score: block[0] / block[1] for block in blocks for score in block[2]}
    return np.array([value[score] for score in scores])


@given(st.integers(0, 10_000), st.sampled_from([None, 1, 3]))
def test_minimum_cllr_is_that_of_pooled_violators(seed: int, levels: int | None) -> None:
    mated, non_mated = scores_of(seed, levels)
    scores, same = np.concatenate([mated, non_mated]), np.repeat([1.0, 0.0], [len(mated), len(non_mated)])
    p = pool_adjacent_violators(scores, same, np.where(same == 1, 1 / len(mated), 1 / len(non_mated)))
    expected = -(np.log2(p[same == 1]).mean() + np.log2(1 - p[same == 0]).mean()) / 2
    assert minimum_cllr(mated, non_mated) == pytest.approx(expected, abs=1e-9)
    for kind in ("logistic", "isotonic"):
        fitted = fit_mapping(kind, mated, non_mated)
        if kind == "isotonic" or fitted.slope > 0:  # type: ignore[union-attr]
            assert cllr(fitted.llr(mated), fitted.llr(non_mated)) >= expected - 1e-9


def test_mappings_recover_known_likelihood_ratios() -> None:
    rng = np.random.default_rng(0)  # two normals of variance 1 at 0 and 2: LLR = 2 x - 2, whatever the class sizes
    mated, non_mated = rng.normal(2, 1, 4000), rng.normal(0, 1, 40_000)
    logistic = fit_mapping("logistic", mated, non_mated)
    assert logistic.llr([0, 1, 2]) == pytest.approx([-2, 0, 2], abs=0.15)
    isotonic = fit_mapping("isotonic", mated, non_mated)
    assert isotonic.llr([0, 1, 2]) == pytest.approx([-2, 0, 2], abs=0.4)
    ends = isotonic.llr([-100, 100])
    assert np.isfinite(ends).all()
    assert (np.diff(isotonic.llr(np.linspace(-5, 8, 200))) >= 0).all()
    for mapping in (logistic, isotonic):
        assert mapping_from_dict(json.loads(json.dumps(mapping_to_dict(mapping)))) == mapping
        llrs = mapping.llr(mated), mapping.llr(non_mated)
        assert expected_calibration_error(*llrs) < 0.01
        assert cllr(*llrs) - minimum_cllr(mated, non_mated) < 0.01
    assert expected_calibration_error(3 * llrs[0] + 2, 3 * llrs[1] + 2) > 0.1
    assert cllr(np.zeros(3), np.zeros(5)) == pytest.approx(1)


def test_separated_classes_get_finite_likelihood_ratios() -> None:
    for kind in ("logistic", "isotonic"):
        fitted = fit_mapping(kind, [0.8, 0.9, 0.9], [0.1, 0.2])
        llrs = fitted.llr([0.1, 0.9])
        assert np.isfinite(llrs).all()
        assert llrs[0] < 0 < llrs[1]
    with pytest.raises(InputError, match="0 and 1"):
        fit_mapping("logistic", [], [0.1])
