"""The script behind the low-rank figures runs from end to end on tiny simulated stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, simulated_pairs, write_visible_pairs


@pytest.mark.slow
def test_systems_are_compared(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    write_visible_pairs(tmp_path)
    (tmp_path / "hallucinated").mkdir()
    for split, subjects in (("train", range(12)), ("test", range(100, 108))):
        rows = simulated_pairs(subjects)
        rows = rows.map(lambda row: {"modality": row["modality"].replace("nir", "vis-from-nir")})
        rows.to_parquet(str(tmp_path / "hallucinated" / f"{split}-00000-of-00001.parquet"))
    options = {"lfw": "lfw.parquet", "lfw-pairs": "pairs.csv", "hallucinated": "hallucinated"}
    command = [
        sys.executable,
        REPOSITORY / "scripts" / "reproduce_low_rank.py",
        tiny_base,
        tiny_pairs,
        tmp_path / "out",
    ]
    command += [
        "--target-modality",
        "nir",
        *(x for name, file in options.items() for x in (f"--{name}", tmp_path / file)),
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {"neither", "low-rank", "hallucination", "hallucination + low-rank"} <= results["test"].keys()
    assert results["test"]["low-rank"]["target"]["counts"]["mated"] == 16
    assert results["test"]["low-rank"]["lfw"]["metrics"]["accuracy"]["n"] == 32
    assert "| shrinkage 0.02 |" in done.stdout
    assert "| hallucination + low-rank |" in done.stdout
    assert (tmp_path / "out" / "subjects.png").stat().st_size > 1000
