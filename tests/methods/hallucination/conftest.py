"""Simulated faces that are aligned to the pixel, and a hallucinator trained on them for a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_crossspec.data.synthetic import write_spectralfaces
from hf_crossspec.methods.hallucination.config import HallucinationArguments
from hf_crossspec.methods.hallucination.train import train_hallucinator


@pytest.fixture(scope="session")
def spectral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SpectralFaces in vis and nir-sim, 12 people to train on and 6 others, two pictures each."""
    folder = tmp_path_factory.mktemp("hallucination") / "faces"
    write_spectralfaces(folder, 12, 6, 2, ("vis", "nir-sim"))
    return folder


def arguments(data: Path, output: Path, **changes: object) -> HallucinationArguments:
    values = {
        "data": str(data), "output_dir": str(output), "modality": "nir-sim", "picture_crop": 32, "batch_size": 8,
        "folds": 4, "fold": 3, "epochs": 12, "learning_rate": 5e-3, "evaluate_every": 3, "checkpoint_every": 5,
    }  # fmt: skip
    return HallucinationArguments(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def hallucinator(spectral: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's folder, which is a model folder."""
    folder = tmp_path_factory.mktemp("hallucination") / "run"
    result = train_hallucinator(arguments(spectral, folder))
    assert (result.model_dir, result.subjects, result.evaluated_subjects, result.pairs) == (folder, 9, 3, 18)
    return folder
