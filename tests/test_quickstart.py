"""The quickstart: everything it promises is there, holds together, and repeats itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hf_crossspec.quickstart as module
from hf_crossspec import FaceEmbedder, InputError, load_faces
from hf_crossspec.data.images import decode_image
from hf_crossspec.quickstart import Effort, quickstart

TINY = Effort(train_subjects=8, test_subjects=6, epochs=2)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as a user runs it, on nothing but the package."""
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "hf_crossspec.cli", "quickstart", "--fast", "--output-dir", folder, "--json",
         folder.with_suffix(".json")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in ("1/5", "5/5", "Rank-1", "synthetic", "gain.png", "crossspec evaluate"):
        assert text in done.stdout
    return folder


@pytest.mark.slow
def test_unseen_people_are_found_better_and_visible_ones_as_before(fast: Path) -> None:
    report = json.loads((fast / "report.json").read_text())
    assert report == json.loads(fast.with_suffix(".json").read_text())
    before, after = (report[side]["metrics"]["rank_1"] for side in ("before", "after"))
    assert after["value"] > before["value"]
    kept = report["retention_after"]["metrics"]["rank_1"]["value"]
    had = report["retention_before"]["metrics"]["rank_1"]
    assert had["low"] <= kept <= 1
    assert report["after"]["counts"]["subject_ids_shared_with_training"] == 0


@pytest.mark.slow
def test_the_merged_network_is_base_plus_adapter(fast: Path) -> None:
    rows = load_faces(fast / "faces", "test").select(range(8))
    pictures = [decode_image(image) for image in rows["image"]]
    merged = FaceEmbedder.from_pretrained(fast / "merged").embed_images(pictures)
    adapted = FaceEmbedder.from_pretrained(fast / "base", fast / "adapter").embed_images(pictures)
    np.testing.assert_allclose(merged, adapted, atol=1e-6)
    with Image.open(fast / "gain.png") as picture:
        assert picture.size[0] > 1000


@pytest.mark.slow
def test_the_folder_serves_the_other_commands(fast: Path) -> None:
    samples = [fast / "samples" / f"person1-{modality}.png" for modality in ("vis", "nir-sim")]
    command = [sys.executable, "-m", "hf_crossspec.cli", "verify", *samples, "--aligned", "--model", fast / "base"]
    done = subprocess.run([*command, "--adapter", fast / "adapter"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("similarity 0.")


def test_same_seed_same_numbers_for_any_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL", TINY)
    said: list[str] = []
    reports = [quickstart(tmp_path / name, "thermal-sim", seed=3, say=said.append) for name in ("one", "two")]
    assert len(said) == 10
    metrics = [{side: report[side]["metrics"] for side in report} for report in reports]
    assert metrics[0] == metrics[1]
    adapters = {(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("one", "two")}
    assert len(adapters) == 1
    assert set(load_faces(tmp_path / "one" / "faces", "test")["modality"]) == {"vis", "thermal-sim"}


def test_bad_arguments_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nir-sim, thermal-sim, sketch-sim"):
        quickstart(tmp_path / "out", "x-ray")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        quickstart(tmp_path / "mine")
    assert not (tmp_path / "out").exists()
