"""`crossspec calibrate`, and `crossspec verify` with what it stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hf_crossspec import FaceEmbedder, load_faces
from hf_crossspec.evaluation.runner import compare_modalities
from tests.cli.conftest import Runner, assert_refused
from tests.conftest import simulated_pairs

SIDES = ("--gallery-modality", "vis", "--probe-modality", "nir")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 subjects to set thresholds on, 8 others to test on, 12 more that the adapter was trained on."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    folder.mkdir()
    for split, subjects in (("train", range(12)), ("validation", range(200, 210)), ("test", range(100, 108))):
        simulated_pairs(subjects).to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


@pytest.fixture
def own_adapter(adapter: Path, tmp_path: Path) -> Path:
    """A copy of the adapter, to store in."""
    return Path(shutil.copytree(adapter, tmp_path / "adapter"))


def test_thresholds_are_stored_beside_the_adapter_and_used(
    crossspec: Runner, tiny_base: Path, own_adapter: Path, faces: Path, tmp_path: Path
) -> None:
    model = ("--model", tiny_base, "--adapter", own_adapter)
    code, output, errors = crossspec(
        "calibrate", *model, "--data", faces, "--test-split", "test", *SIDES, "--fmr", "0.2,0.02",
        "--json", tmp_path / "out.json",
    )  # fmt: skip
    assert code == 0, errors
    assert "Cllr" in output
    assert "1,500" in output  # non-mated comparisons for 30 expected false matches
    report = json.loads((tmp_path / "out.json").read_text())
    stored = json.loads((own_adapter / "calibration.json").read_text())
    assert stored["pairs"] == report["pairs"]
    assert str(tmp_path) not in json.dumps(stored)
    wide, narrow = stored["pairs"][0]["thresholds"]

    # The counts by hand.
    for split, name in (("validation", "development"), ("test", "test")):
        rows = load_faces(faces, split)
        values = FaceEmbedder.from_pretrained(tiny_base, own_adapter).embed_dataset(rows).values
        matrix = compare_modalities(values, rows["subject_id"][:], rows["modality"][:], "vis", "nir")
        mated = matrix.probe_subject[:, None] == matrix.gallery_subject[None, :]
        for entry in (wide, narrow):
            accepted = matrix.scores >= np.float32(entry["threshold"])
            assert entry[name]["fmr"]["errors"] == np.count_nonzero(accepted & ~mated)
            assert entry[name]["fnmr"]["errors"] == np.count_nonzero(~accepted & mated)
            assert (entry[name]["fmr"]["n"], entry[name]["fnmr"]["n"]) == (
                np.count_nonzero(~mated),
                np.count_nonzero(mated),
            )
    assert wide["development"]["fmr"]["errors"] == 36  # 0.2 of 180

    for number, row in enumerate(simulated_pairs(range(2), images=1)):
        row["image"].save(tmp_path / f"{number}.png")
    pictures = (tmp_path / "0.png", tmp_path / "1.png")
    code, output, errors = crossspec(
        "verify",
        *pictures,
        *model,
        "--aligned",
        "--fmr",
        "0.2",
        "--modalities",
        "nir,vis",
        "--json",
        tmp_path / "verify.json",
    )
    assert code == 0, errors
    result = json.loads((tmp_path / "verify.json").read_text())
    assert result["threshold"] == wide["threshold"]
    assert result["match"] == (result["score"] >= wide["threshold"])
    assert f"threshold {wide['threshold']:.4f}, calibrated for an FMR of 0.2 on nir and vis" in output
    assert "development split: 36 false matches in 180 non-mated comparisons" in output
    assert f"log-likelihood ratio {result['log_likelihood_ratio']:+.2f}" in output

    asked = ("verify", *pictures, *model, "--aligned", "--fmr", "0.2", "--modalities")
    assert_refused(crossspec(*asked, "vis,thermal"), "vis and thermal are not calibrated; there are: nir and vis")
    assert_refused(crossspec(*asked, "vis"), "--modalities needs two names")
    assert_refused(crossspec(*asked, "vis,nir", "--threshold", 0.3), "either --threshold or --fmr")
    assert_refused(crossspec("verify", *pictures, *model, "--fmr", 0.1), "--fmr needs --modalities")
    without_adapter = ("--model", tiny_base)
    assert_refused(
        crossspec("verify", *pictures, *without_adapter, "--aligned", "--fmr", 0.2, "--modalities", "vis,nir"),
        "no calibration.json",
    )
    shutil.copy(own_adapter / "calibration.json", tmp_path / "calibration.json")
    copied = (
        "calibrate",
        *without_adapter,
        "--data",
        faces,
        *SIDES,
        "--fmr",
        0.2,
        "--output",
        tmp_path / "calibration.json",
    )
    before = (tmp_path / "calibration.json").read_bytes()
    assert_refused(crossspec(*copied), "other weights")
    assert (tmp_path / "calibration.json").read_bytes() == before


def test_a_further_pair_joins_and_modalities_may_be_one(
    crossspec: Runner, tiny_base: Path, faces: Path, tmp_path: Path
) -> None:
    shared = ("calibrate", "--model", tiny_base, "--data", faces, "--fmr", 0.1, "--output", tmp_path / "c.json")
    assert crossspec(*shared, *SIDES)[0] == 0
    code, output, _ = crossspec(
        *shared, "--gallery-modality", "vis", "--probe-modality", "vis", "--mapping", "isotonic"
    )
    assert code == 0
    assert "calibrated for nir and vis; vis and vis" in output
    assert "not tested" in output
    pairs = json.loads((tmp_path / "c.json").read_text())["pairs"]
    assert [pair["modalities"] for pair in pairs] == [["nir", "vis"], ["vis", "vis"]]
    assert [pair["log_likelihood_ratio"]["kind"] for pair in pairs] == ["logistic", "isotonic"]


def test_bad_input_is_refused_and_writes_nothing(
    crossspec: Runner, tiny_base: Path, own_adapter: Path, faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "c.json"
    shared = ("calibrate", "--model", tiny_base, "--data", faces, *SIDES, "--output", out)
    assert_refused(crossspec(*shared), "an FMR of 0.01 needs 300 non-mated comparisons")
    assert_refused(crossspec(*shared, "--fmr", "often"), "--fmr needs numbers")
    assert_refused(crossspec(*shared, "--fmr", "0.1", "--test-split", "validation"), "10 subjects are in both")
    assert_refused(crossspec(*shared, "--fmr", "0.1", "--dev-split", "dev"), "no split 'dev'")
    assert_refused(crossspec(*shared, "--fmr", "0.1", "--mapping", "spline"), "unknown mapping")
    trained = ("--adapter", own_adapter, "--fmr", "0.1", "--dev-split", "train")
    assert_refused(crossspec(*shared, *trained), "12 of the evaluated subjects were trained on")
    assert not out.exists()
    out.write_text("{}")
    assert_refused(crossspec(*shared, "--fmr", "0.1"), "not a calibration")
    remote = ("calibrate", "--model", "org/none", "--data", faces, *SIDES, "--fmr", "0.1")
    assert_refused(crossspec(*remote), "say where with --output")
