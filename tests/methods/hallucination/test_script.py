"""The script behind the README's figures runs from end to end on tiny simulated stand-ins."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hf_crossspec import EdgeFaceModel, load_spectralfaces
from tests.conftest import REPOSITORY, tiny_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script as a module, in this process: most of a fresh one's time is importing."""
    name = "reproduce_hallucination"
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_simulated_near_infrared(
    script: ModuleType, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.simulated(tiny_base, tmp_path / "out", subjects=12, test_subjects=4, epochs=1)
    assert "| nir-sim to vis | neither | hallucination | low-rank | both |" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["quality"]["replicated nir-sim"]["psnr"]["pictures"] == 12
    assert {name: part["counts"]["probes"] for name, part in results["recognition"].items()} == dict.fromkeys(
        ("neither", "hallucination", "low-rank", "both"), 8
    )
    assert [len(entries) for entries in results["sweeps"].values()] == [11, 11]
    for name in ("sheet.png", "alpha.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_sketches(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    torch.save(EdgeFaceModel(tiny_config()).net.state_dict(), tmp_path / "checkpoint.pt")
    for split, subjects in (("train", 12), ("test", 3)):
        faces = load_spectralfaces(split, subjects, 1, ("vis", "sketch-sim"), cache_dir=tmp_path / "cache")
        folder = tmp_path / "cufs" / split
        folder.mkdir(parents=True)
        lines = ["file_name,subject_id,modality"]
        for row in faces:
            row["image"].resize((200, 250)).save(folder / f"{row['key']}.png")
            lines.append(f"{row['key']}.png,{row['subject_id']},{row['modality'].removesuffix('-sim')}")
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    script.sketches(tmp_path / "checkpoint.pt", tmp_path / "cufs", tmp_path / "out", epochs=1, stride=20)
    assert "| replicated sketch |" in capsys.readouterr().out
    assert (tmp_path / "out" / "patches" / "map.png").exists()
