"""The scripts behind the README's figures run from end to end, on tiny simulated stand-ins for data we may not ship."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from hf_crossspec import EdgeFaceModel
from tests.conftest import REPOSITORY, tiny_config, write_sketch_pictures, write_visible_pairs

pytestmark = pytest.mark.slow


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(REPOSITORY / "scripts" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, sketch pairs of 200 x 250 in two splits, and an LFW-like set with pairs in folds 0 to 3."""
    folder = tmp_path_factory.mktemp("stand-ins")
    torch.manual_seed(0)
    torch.save(EdgeFaceModel(tiny_config()).net.state_dict(), folder / "checkpoint.pt")
    write_sketch_pictures(folder / "cufs")
    write_visible_pairs(folder)
    return folder


def test_reproduce_then_sweep(stand_ins: Path, tmp_path: Path) -> None:
    inputs = [stand_ins / name for name in ("checkpoint.pt", "cufs", "lfw.parquet", "pairs.csv")]
    table = run("reproduce_cufs.py", *inputs, tmp_path / "out", "--seeds", "1")
    assert "| sketch rank_1 |" in table
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["before"]["lfw folds 2-4"]["metrics"]["accuracy"]["n"] == 16
    assert list(results["after"]) == ["1"]
    assert (tmp_path / "out" / "roc.png").stat().st_size > 1000
    made = tmp_path / "out"
    pairs = made / "pairs folds 0-1.csv"
    values = "epochs=1,2"
    table = run(
        "sweep_cufs.py", made / "model", made / "cufs", stand_ins / "lfw.parquet", pairs, tmp_path / "sweep",
        "--vary", values,
    )  # fmt: skip
    assert "| epochs=2 |" in table
    sweep = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert [len(rows) for rows in sweep["folds"].values()] == [2, 2, 2]


def test_spectralfaces_are_judged(tiny_base: Path, tmp_path: Path) -> None:
    table = run("reproduce_spectralfaces.py", tiny_base, tmp_path / "out", "--subjects", 6, "--epochs", 1)
    assert "| thermal-sim: vis, adapted to it |" in table
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["before"]) == {"vis", "nir-sim", "thermal-sim", "sketch-sim"}


def test_pretraining_on_synthetic_and_on_own_faces(tmp_path: Path, tiny_pairs: Path) -> None:
    sizes = ("--subjects", 4, "--images-per-subject", 2, "--eval-subjects", 3, "--epochs", 1, "--batch-size", 4)
    said = run("pretrain_nano.py", "--output-dir", tmp_path / "nano", *sizes)
    assert "pretrain_nano.py" in said
    own = ("--data", tiny_pairs, "--config", "nano", "--margin-loss", "arcface", "--epochs", 1, "--batch-size", 8)
    run("pretrain_nano.py", "--output-dir", tmp_path / "own", *own)
    for name in ("nano", "own"):
        assert AutoModel.from_pretrained(tmp_path / name).num_parameters() == 303_044


def test_benchmarks_report_ratios(tmp_path: Path) -> None:
    run("benchmark.py", "train", "--steps", 1, "--rounds", 1, "--batch-size", 2, "--json", tmp_path / "train.json")
    report = json.loads((tmp_path / "train.json").read_text())
    assert report["ratio"]["median"] > 0
    assert "images/s" in run("benchmark.py", "render", "--people", 1, "--rounds", 1)
    assert "times as fast" in run("benchmark.py", "score", "--people", 400, "--dimensions", 32, "--rounds", 1)
    assert "remote code / reference" in run("benchmark.py", "load", "--rounds", 1)
    assert "off and on" in run("benchmark.py", "switch", "--times", 3)
    fast = ("--engines", "onnx", "--batches", "1", "--rounds", 1, "--seconds", 0.05)
    assert "times the reference" in run("benchmark.py", "infer", *fast)
    assert "first quarter" in run("benchmark.py", "memory", "--pictures", 200, "--plot", tmp_path / "memory.png")
