"""An adapter trained on simulated pairs and reports on it and its base: what the tests of publishing publish."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from hf_crossspec import SelectiveTuningArguments, calibrate, evaluate_model, load_adapters, train_adapter
from hf_crossspec.files import write_json
from tests.local_hub.fixture import LocalHub


@pytest.fixture(scope="session")
def run(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "run"
    train_adapter(
        SelectiveTuningArguments(
            base=str(tiny_base), data=str(tiny_pairs), target_modality="nir", output_dir=str(folder), epochs=3
        )
    )
    sides = {"gallery_modality": "vis", "probe_modality": "nir"}
    calibration = calibrate(tiny_base, tiny_pairs, adapter=folder, dev_split="test", fmrs=(0.1,), **sides)
    calibration.save(folder / "calibration.json")
    return folder


@pytest.fixture(scope="session")
def reports(tiny_base: Path, tiny_pairs: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports on nir against vis `before` and `after` adapting, and on vis against vis (`kept`)."""
    folder = tmp_path_factory.mktemp("reports")
    for name, adapter, probes in (("before", None, "nir"), ("after", run, "nir"), ("kept", run, "vis")):
        report, _ = evaluate_model(
            tiny_base, tiny_pairs, adapter=adapter, split="test", gallery_modality="vis", probe_modality=probes
        )
        write_json(folder / f"{name}.json", report)
    return {path.stem: path for path in folder.iterdir()}


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    """Standard output of a client process that must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refuse(done: subprocess.CompletedProcess[str], message: str) -> None:
    """A command must have ended with one clear line."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert message in lines[0]
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="session")
def published(
    local_hub: LocalHub, tiny_base: Path, run: Path, reports: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> LocalHub:
    """The Hub after base, adapter and merged model were published through the command line."""
    home = tmp_path_factory.mktemp("publisher")
    statement = ("--trained-on", "Simulated pairs; no picture of a person.")
    measured = [text for path in reports.values() for text in ("--report", path)]
    commands = [
        ("base", tiny_base, "org/tiny", "--license", "apache-2.0"),
        ("adapter", run, "org/tiny-nir", "--base", "org/tiny", *statement, *measured),
        ("merged", run, "org/edgeface-hfr", "--base", "org/tiny", *statement, "--report", reports["after"]),
    ]
    for what, source, repo_id, *options in commands:
        succeed(local_hub.command("push", what, source, "--repo-id", repo_id, *options, home=home))
    return local_hub


@pytest.fixture(scope="session")
def expected(tiny_base: Path, run: Path) -> torch.Tensor:
    """Embeddings of `pictures()` by base and adapter, loaded from this disk."""
    model = load_adapters(AutoModel.from_pretrained(tiny_base), {"nir": run})
    with torch.no_grad():
        return model(pixel_values=pictures()).embeddings


def pictures() -> torch.Tensor:
    """Model input (2, 3, 112, 112); client processes make the same."""
    return torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
