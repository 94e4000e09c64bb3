"""Run the command line in this process, and an adapter that it trained."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_crossspec.cli import main

Outcome = tuple[int, str, str]
Runner = Callable[..., Outcome]


@pytest.fixture
def crossspec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Run the command in this process; returns exit code, standard output and standard error."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["crossspec", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def assert_refused(outcome: Outcome, message: str) -> None:
    code, _, errors = outcome
    assert code == 2, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    assert message in lines[0]
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "adapter"
    options = {"base": tiny_base, "data": tiny_pairs, "output-dir": folder, "target-modality": "nir", "epochs": 4}
    flat = [str(text) for name, value in options.items() for text in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "hf_crossspec.cli", "train", *flat], capture_output=True, text=True, check=True
    )
    assert "24 pairs of 12 subjects" in done.stdout
    assert done.stderr == ""
    return folder
