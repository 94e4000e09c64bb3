"""The package's front door: cheap to import, complete, and known to transformers in any import order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hf_crossspec


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    script = "import sys, hf_crossspec; print({'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules))"
    assert run(script) == "set()"


@pytest.mark.parametrize("name", hf_crossspec.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(hf_crossspec, name).__doc__
    assert name in dir(hf_crossspec)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hf_crossspec.no_such_name


@pytest.mark.parametrize(
    "imports",
    [
        "import hf_crossspec; from transformers import AutoModel",
        "from transformers import AutoModel; import hf_crossspec",
        "import transformers, hf_crossspec; AutoModel = transformers.AutoModel",
    ],
)
def test_auto_classes_know_edgeface_in_any_order(imports: str, tiny_base: Path) -> None:
    script = f"{imports}; print(type(AutoModel.from_pretrained({str(tiny_base)!r})).__module__)"
    assert run(script) == "hf_crossspec.edgeface.modeling_edgeface"
