"""Every command and every Python snippet of the README runs, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import get_peft_model

from hf_crossspec import EdgeFaceModel, selective_tuning_config
from tests.conftest import REPOSITORY, SKETCHED, simulated_pairs, tiny_config, write_sketch_pictures
from tests.local_hub.fixture import LocalHub

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```(bash|python)\n(.*?)```", README, flags=re.DOTALL)
INSTALLS = "pip install"  # done by whoever runs the tests, and in a new environment by .ci/run
REAL_DATA = "python scripts/"  # these need data that may not be shipped; tests/test_scripts.py runs them on stand-ins


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README supposes: a checkpoint, pictures of two modalities, two aligned faces, an adapter from elsewhere.

    All tiny and simulated.
    """
    folder = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    model = EdgeFaceModel(tiny_config(embedding_size=512))
    torch.save({f"model.{key}": value for key, value in model.net.state_dict().items()}, folder / "edgeface_xxs_q.pt")
    get_peft_model(model, selective_tuning_config()).save_pretrained(folder / "edgeface-xxs-nir")
    write_sketch_pictures(folder / "my_pictures", {**SKETCHED, "train": range(10), "validation": range(70, 90)})
    for name, row in zip(("one_face.png", "other_face.png"), simulated_pairs(range(9, 10)), strict=False):
        row["image"].save(folder / name)
    return folder


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub for the README's repositories alone."""
    hub = LocalHub(tmp_path)
    yield hub
    hub.close()


@pytest.mark.slow
def test_snippets_run_in_order(workplace: Path, own_hub: LocalHub) -> None:
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**own_hub.environment(workplace / "hf"), "PATH": paths}
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
    assert "calibration.json" in own_hub.repo_files("model", "org/edgeface-xxs-sketch")


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from hf_crossspec.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^crossspec (\w+)", README, flags=re.MULTILINE)) <= known


def test_install_commands_are_those_ci_runs() -> None:
    assert 'pip install -e ".[dev]" && pytest' in README
    assert 'pip install --quiet -e ".[dev]"' in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
