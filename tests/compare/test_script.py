"""The script behind the README's comparison runs from end to end on simulated stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_crossspec import EdgeFaceModel
from tests.conftest import REPOSITORY, tiny_config, write_sketch_pictures


@pytest.mark.slow
def test_compare_cufs(retention: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(EdgeFaceModel(tiny_config()).net.state_dict(), tmp_path / "checkpoint.pt")
    write_sketch_pictures(tmp_path / "cufs")
    inputs = [tmp_path / "checkpoint.pt", tmp_path / "cufs", retention / "lfw.parquet", retention / "pairs.csv"]
    sizes = ["--methods", "ln", "--seeds", "0", "--epochs", "1", "--batch-size", "4"]
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_cufs.py"), *map(str, inputs)]
    done = subprocess.run(
        [*command, str(tmp_path / "out"), *sizes], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| ln | 512 |" in done.stdout
    report = json.loads((tmp_path / "out" / "compare" / "compare.json").read_text())
    assert report["protocol"]["search_runs_per_method"] == 12
