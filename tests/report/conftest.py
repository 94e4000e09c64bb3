"""Training runs and pictures with sessions and cameras, to report on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from datasets import Dataset
from typer.testing import CliRunner

from hf_crossspec import SelectiveTuningArguments, train_adapter
from hf_crossspec.cli.report import report as report_command
from tests.conftest import simulated_pairs

RUN_OPTIONS = {"epochs": 4, "batch_size": 8, "distill_weight": 0.25}


def train(base: Path, data: Path, folder: Path, **changes: object) -> Path:
    options = {"base": str(base), "data": str(data), "output_dir": str(folder), "target_modality": "nir"}
    train_adapter(SelectiveTuningArguments(**{**options, **RUN_OPTIONS, **changes}))  # type: ignore[arg-type]
    return folder


def run_command(*arguments: object) -> Any:
    """The command in this process; the result has `exit_code`, `output` and `exception`."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(report_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def run(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run on the simulated pairs."""
    return train(tiny_base, tiny_pairs, tmp_path_factory.mktemp("runs") / "nir-run")


@pytest.fixture(scope="session")
def other_run(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another run on the same base and data, with another seed and scope."""
    return train(tiny_base, tiny_pairs, tmp_path_factory.mktemp("runs") / "ln-run", seed=1, scope="ln")


def with_sessions(faces: Dataset) -> Dataset:
    """Sessions and cameras by picture, an age by subject, and a note that names the picture."""
    rows = [row.split("_") for row in faces["key"]]
    ages = [20 + 3 * int(subject[1:]) % 47 for subject, _, _ in rows]
    columns = {
        "session": [f"day {image}" for _, image, _ in rows],
        "camera": ["rare" if subject in ("s200", "s201") else "common" for subject, _, _ in rows],
        "age": ages,
        "note": [f"note on {'-'.join(row)}" for row in rows],
    }
    for name, values in columns.items():
        faces = faces.add_column(name, values)
    return faces


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 other subjects, two pictures per modality, with sessions, cameras and ages."""
    folder = tmp_path_factory.mktemp("data") / "sessions.parquet"
    with_sessions(simulated_pairs(range(200, 224))).to_parquet(str(folder))
    return folder
