"""The command line as a user meets it: what it prints and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from sklearn.metrics import roc_auc_score
from typer.main import get_command

from hf_crossspec import FaceEmbedder, load_faces
from hf_crossspec.cli import app
from hf_crossspec.data.images import decode_image
from tests.cli.conftest import Runner, assert_refused
from tests.conftest import simulated_pairs

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_help_is_grouped_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from hf_crossspec.cli import app;"
        "print(CliRunner().invoke(app, ['--help']).output);"
        "heavy = {'torch', 'transformers', 'datasets', 'peft', 'timm', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for text in ("Adapt", "Measure", "Use", "Share", *COMMANDS):
        assert text in done.stdout


def test_every_command_has_help_for_every_option(crossspec: Runner) -> None:
    for command in COMMANDS:
        code, output, _ = crossspec(command, "--help")
        assert code == 0
        assert f"crossspec {command}" in " ".join(output.split())
    assert "distill-weight" in crossspec("train", "--help")[1]
    assert "--eyes" in crossspec("prepare", "pictures", "--help")[1]


def test_evaluate_reports_what_sklearn_computes(
    crossspec: Runner, tiny_base: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    code, output, _ = crossspec(
        "evaluate", "--model", tiny_base, "--data", tiny_pairs, "--split", "test",
        "--gallery-modality", "vis", "--probe-modality", "nir", "--json", tmp_path / "out.json",
    )  # fmt: skip
    assert code == 0
    assert "rank_1" in output
    report = json.loads((tmp_path / "out.json").read_text())
    faces = load_faces(tiny_pairs, "test")
    values = FaceEmbedder.from_pretrained(tiny_base).embed_dataset(faces).values
    subject, modality = np.array(faces["subject_id"]), np.array(faces["modality"])
    names = np.unique(subject)
    templates = np.stack([values[(subject == name) & (modality == "vis")].mean(0) for name in names])
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    scores = values[modality == "nir"] @ templates.T
    mated = subject[modality == "nir"][:, None] == names[None, :]
    assert report["metrics"]["auc"]["value"] == pytest.approx(roc_auc_score(mated.ravel(), scores.ravel()), abs=1e-9)
    assert report["metrics"]["rank_1"]["value"] == np.mean(names[scores.argmax(1)] == subject[modality == "nir"])
    assert report["metrics"]["rank_1"]["n"] == 16
    assert report["counts"]["mated"] == 16
    assert report["counts"]["non_mated"] == 16 * 7
    assert {"torch", "python", "hf-crossspec"} <= report["versions"].keys()
    for metric in report["metrics"].values():
        assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1


def test_evaluate_one_modality_enrols_the_first_picture(
    crossspec: Runner, tiny_base: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    sides = ("--gallery-modality", "vis", "--probe-modality", "vis")
    assert (
        crossspec(
            "evaluate",
            "--model",
            tiny_base,
            "--data",
            tiny_pairs,
            "--split",
            "test",
            *sides,
            "--json",
            tmp_path / "o.json",
        )[0]
        == 0
    )
    counts = json.loads((tmp_path / "o.json").read_text())["counts"]
    assert (counts["gallery"], counts["probes"], counts["mated"]) == (8, 8, 8)


def test_evaluate_pairs_with_folds(crossspec: Runner, tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    keys = [f"s{subject}_{image}_vis" for subject in range(100, 108) for image in range(2)]
    rows = ["fold,key1,key2,same"]
    for number in range(0, 16, 2):
        rows.append(f"{number % 4 // 2},{keys[number]},{keys[number + 1]},1")
        rows.append(f"{number % 4 // 2},{keys[number]},{keys[(number + 3) % 16]},0")
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    arguments = ("evaluate", "--model", tiny_base, "--data", tiny_pairs, "--split", "test")
    code, _, _ = crossspec(*arguments, "--pairs", tmp_path / "pairs.csv", "--json", tmp_path / "out.json")
    assert code == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["metrics"]["accuracy"]["n"] == 16
    assert (report["counts"]["mated"], report["counts"]["non_mated"]) == (8, 8)
    (tmp_path / "pairs.csv").write_text("\n".join(rows).replace(",1", ",0", 1) + "\n")
    assert_refused(crossspec(*arguments, "--pairs", tmp_path / "pairs.csv"), "same contradicts the subjects in 1 of")
    (tmp_path / "pairs.csv").write_text("\n".join(rows).replace(keys[2], "nobody") + "\n")
    assert_refused(crossspec(*arguments, "--pairs", tmp_path / "pairs.csv"), "nobody")
    (tmp_path / "pairs.csv").write_text("a,b\n1,2\n")
    assert_refused(crossspec(*arguments, "--pairs", tmp_path / "pairs.csv"), "key1")


def test_embed_writes_embeddings_and_no_pictures(
    crossspec: Runner, tiny_base: Path, tiny_pairs: Path, adapter: Path, tmp_path: Path
) -> None:
    out = tmp_path / "embeddings"
    code, output, _ = crossspec(
        "embed", tiny_pairs, out, "--model", tiny_base, "--adapter", adapter, "--split", "test", "--batch-size", "5",
        "--aligned",
    )  # fmt: skip
    assert code == 0
    assert "32 rows: 32 embedded, 0 failures" in output
    rows = load_dataset(str(out), split="test")
    assert not {"image", "bytes"} & set(rows.column_names)
    embedder = FaceEmbedder.from_pretrained(tiny_base, adapter)
    picture = decode_image(load_faces(tiny_pairs, "test")[7]["image"])
    np.testing.assert_allclose(rows[7]["embedding"], embedder.embed_images([picture])[0], atol=1e-5)
    plain = FaceEmbedder.from_pretrained(tiny_base).embed_images([picture])[0]
    assert not np.allclose(rows[7]["embedding"], plain, atol=1e-3)


def test_verify_compares_two_pictures(crossspec: Runner, tiny_base: Path, adapter: Path, tmp_path: Path) -> None:
    for number, row in enumerate(simulated_pairs(range(2), images=1)):
        row["image"].save(tmp_path / f"{number}.png")
    arguments = ("--model", tiny_base, "--adapter", adapter, "--aligned")
    code, output, _ = crossspec(
        "verify",
        tmp_path / "0.png",
        tmp_path / "0.png",
        *arguments,
        "--threshold",
        "0.9",
        "--json",
        tmp_path / "o.json",
    )
    assert code == 0
    assert output.startswith("similarity 1.0000: match")
    report = json.loads((tmp_path / "o.json").read_text())
    assert report["match"] is True
    assert report["score"] == pytest.approx(1)
    _, output, _ = crossspec("verify", tmp_path / "0.png", tmp_path / "2.png", *arguments, "--threshold", "0.9999")
    assert "no match" in output
    _, output, _ = crossspec("verify", tmp_path / "0.png", tmp_path / "2.png", *arguments)
    assert "uncertain (no calibrated threshold" in output


def test_synthetic_faces_are_written(crossspec: Runner, tmp_path: Path) -> None:
    sizes = ("--train-subjects", 2, "--test-subjects", 3, "--images-per-subject", 1, "--modalities", "vis,thermal-sim")
    code, output, _ = crossspec("prepare", "spectralfaces", tmp_path / "out", *sizes)
    assert code == 0
    assert "train: 4 synthetic faces, test: 6 synthetic faces" in output
    assert set(load_faces(tmp_path / "out", "test")["modality"]) == {"vis", "thermal-sim"}
    assert_refused(crossspec("prepare", "spectralfaces", tmp_path / "no", "--modalities", "vis,x-ray"), "x-ray")
    assert not (tmp_path / "no").exists()


def test_prepare_then_evaluate(crossspec: Runner, tiny_base: Path, tmp_path: Path) -> None:
    simulated_pairs(range(3)).save_to_disk(str(tmp_path / "raw"))
    code, output, _ = crossspec("prepare", "pictures", tmp_path / "raw", tmp_path / "out", "--eyes", "30,40,80,40")
    assert code == 0
    assert "12 faces aligned, 0 skipped" in output
    sides = ("--gallery-modality", "vis", "--probe-modality", "nir")
    assert crossspec("evaluate", "--model", tiny_base, "--data", tmp_path / "out", *sides)[0] == 0
