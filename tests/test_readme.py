"""Every command and every Python snippet of the README runs, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_crossspec import EdgeFaceModel
from tests.conftest import REPOSITORY, simulated_pairs, tiny_config, write_sketch_pictures

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```(bash|python)\n(.*?)```", README, flags=re.DOTALL)
INSTALLS = "pip install"  # done by whoever runs the tests, and in a new environment by .ci/run
REAL_DATA = "python scripts/"  # these need data that may not be shipped; tests/test_scripts.py runs them on stand-ins


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README supposes: a checkpoint, pictures of two modalities, two aligned faces. All tiny and simulated."""
    folder = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    network = EdgeFaceModel(tiny_config(embedding_size=512)).net
    torch.save({f"model.{key}": value for key, value in network.state_dict().items()}, folder / "edgeface_xxs_q.pt")
    write_sketch_pictures(folder / "my_pictures")
    for name, row in zip(("one_face.png", "other_face.png"), simulated_pairs(range(9, 10)), strict=False):
        row["image"].save(folder / name)
    return folder


@pytest.mark.slow
def test_snippets_run_in_order(workplace: Path) -> None:
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths}
    ran = 0
    for language, text in SNIPPETS:
        if INSTALLS in text or REAL_DATA in text:
            continue
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 5
    assert (workplace / "edgeface-xxs-sketch" / "adapter_model.safetensors").exists()
    assert (workplace / "after.json").exists()


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from hf_crossspec.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^crossspec (\w+)", README, flags=re.MULTILINE)) <= known


def test_install_commands_are_those_ci_runs() -> None:
    assert 'pip install -e ".[dev]" && pytest' in README
    assert 'pip install --quiet -e ".[dev]"' in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
