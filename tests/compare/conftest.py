"""Tiny stand-ins for everything that a comparison reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_crossspec.compare.config import CompareArguments
from tests.conftest import write_visible_pairs


@pytest.fixture(scope="session")
def retention(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of `write_visible_pairs`."""
    folder = tmp_path_factory.mktemp("retention")
    write_visible_pairs(folder)
    return folder


def arguments(base: Path, data: Path, retention: Path, output: Path, **changes: object) -> CompareArguments:
    """Two methods, one epoch, one seed, six search runs a method."""
    values = {
        "base": str(base), "data": str(data), "target_modality": "nir", "output_dir": str(output),
        "retention_data": str(retention / "lfw.parquet"), "retention_pairs": str(retention / "pairs.csv"),
        "methods": "ln+stem,linear-probe", "seeds": "0", "distill_weights": "0.9", "epochs": 1, "batch_size": 8,
    }  # fmt: skip
    return CompareArguments(**{**values, **changes})  # type: ignore[arg-type]
