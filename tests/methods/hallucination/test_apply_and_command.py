"""Applying a hallucinator, and the commands from mining to evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from typer.testing import CliRunner

from hf_crossspec import evaluate_model, load_faces
from hf_crossspec.cli.hallucinate import hallucinate
from hf_crossspec.data.images import decode_image
from hf_crossspec.errors import InputError
from hf_crossspec.methods.hallucination.apply import hallucinate_faces, hallucinate_pixels, load_hallucinator


def run(*arguments: object) -> str:
    done = CliRunner().invoke(hallucinate, [str(text) for text in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_one_modality_is_hallucinated_and_the_rest_passes(hallucinator: Path, spectral: Path, tmp_path: Path) -> None:
    report = hallucinate_faces(hallucinator, spectral, tmp_path / "made", "nir-sim", ("train", "test"), alpha=0.5)
    assert (report["test"].hallucinated, report["test"].passed, report["test"].subjects_trained_on) == (12, 12, 0)
    assert report["train"].subjects_trained_on == 9
    before, after = load_faces(spectral, "test"), load_faces(tmp_path / "made", "test")
    assert set(after["modality"]) == {"vis", "vis-from-nir-sim"}
    model = load_hallucinator(hallucinator)
    for old, new in zip(before, after, strict=True):
        assert [old[name] for name in ("key", "subject_id", "session")] == [
            new[name] for name in ("key", "subject_id", "session")
        ]
        if old["modality"] == "vis":
            assert new["image"]["bytes"] == old["image"]["bytes"]
            continue
        pixels = torch.from_numpy(np.array(decode_image(old["image"]))).permute(2, 0, 1).float()
        expected = hallucinate_pixels(model, [pixels], alpha=0.5)[0]
        made = np.array(decode_image(new["image"])).astype(int)
        assert made.shape == (112, 112, 3)
        assert np.abs(made - expected).max() <= 1  # batches of another size round otherwise


def test_mixed_sizes_and_sixteen_bit(hallucinator: Path, tmp_path: Path) -> None:
    rows = []
    for number, size in enumerate([(40, 30), (30, 40), (40, 30)]):
        grey = np.random.default_rng(number).integers(0, 65536, size, dtype=np.uint16)
        rows.append({"image": Image.fromarray(grey), "subject_id": f"s{number}", "modality": "nir"})
    data = Dataset.from_list(rows)
    hallucinate_faces(hallucinator, data, tmp_path / "made", "nir")
    sizes = [decode_image(row["image"]).size for row in load_faces(tmp_path / "made")]
    assert sizes == [(30, 40), (40, 30), (30, 40)]


def test_bad_pictures_are_refused_or_counted(hallucinator: Path, spectral: Path, tmp_path: Path) -> None:
    faces = load_faces(spectral, "test").select(range(4))
    rows = [dict(row) for row in faces]
    rows[1]["image"] = {"bytes": b"no picture", "path": None}
    broken = Dataset.from_list(rows, features=faces.features)
    with pytest.raises(InputError, match="not readable as a picture"):
        hallucinate_faces(hallucinator, broken, tmp_path / "made", "nir-sim")
    assert not (tmp_path / "made").exists()
    part = hallucinate_faces(hallucinator, broken, tmp_path / "made", "nir-sim", skip_bad=True)["train"]
    assert (part.hallucinated, part.passed, len(part.skipped)) == (1, 2, 1)


def test_other_models_and_numbers_are_refused(
    hallucinator: Path, spectral: Path, tiny_base: Path, tmp_path: Path
) -> None:
    for model, alpha, modality, message in (
        (tiny_base, None, "nir-sim", "is a model of type edgeface"),
        (tmp_path, None, "nir-sim", "no config.json"),
        (tmp_path / "none", None, "nir-sim", "not loadable as a model"),
        (hallucinator, 1.5, "nir-sim", "alpha must lie"),
        (hallucinator, None, "thermal", "no picture has the modality 'thermal'"),
    ):
        with pytest.raises(InputError, match=message):
            hallucinate_faces(model, spectral, tmp_path / "made", modality, ("test",), alpha)
    assert not (tmp_path / "made").exists()


def test_commands_from_mining_to_evaluation(spectral: Path, tiny_base: Path, tmp_path: Path) -> None:
    patches, model, made = tmp_path / "patches", tmp_path / "model", tmp_path / "made"
    told = run(
        "mine", spectral, patches, "--modality", "nir-sim", "--split", "train", "--stride", 12,
        "--json", tmp_path / "mined.json",
    )  # fmt: skip
    assert "windows tested per second" in told
    assert json.loads((tmp_path / "mined.json").read_text())["settings"]["window"] == 30
    told = run(
        "train", "--data", patches, "--modality", "nir-sim", "--output-dir", model, "--epochs", 1, "--batch-size", 64,
    )  # fmt: skip
    assert "of 10 subjects, chosen by 2 others" in " ".join(told.split())
    told = run(
        "apply", spectral, made, "--model", model, "--modality", "nir-sim", "--splits", "test",
        "--json", tmp_path / "applied.json",
    )  # fmt: skip
    assert "12 pictures hallucinated, 12 passed through" in told
    assert json.loads((tmp_path / "applied.json").read_text())["test"]["hallucinated"] == 12
    report, _ = evaluate_model(tiny_base, made, split="test", gallery_modality="vis", probe_modality="vis-from-nir-sim")
    assert report["metrics"]["rank_1"]["n"] == 12


def test_one_picture_file(hallucinator: Path, tmp_path: Path) -> None:
    Image.new("L", (50, 40), 90).save(tmp_path / "nir.png")
    run("apply", tmp_path / "nir.png", tmp_path / "vis.png", "--model", hallucinator)
    with Image.open(tmp_path / "vis.png") as picture:
        assert (picture.size, picture.mode) == ((50, 40), "RGB")
    for output, message in ((tmp_path / "vis.txt", "does not end as a picture does"),):
        with pytest.raises(InputError, match=message):
            run("apply", tmp_path / "nir.png", output, "--model", hallucinator)
    with pytest.raises(InputError, match="--modality says which"):
        run("apply", tmp_path, tmp_path / "out", "--model", hallucinator)
