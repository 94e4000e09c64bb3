"""Runs that are killed, asked to stop, or spread over processes: through the command line, in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}


def command(base: Path, data: Path, output: Path, *more: str) -> list[str]:
    options = {"base": base, "data": data, "output-dir": output, "target-modality": "nir", "epochs": 12,
               "batch-size": 4, "checkpoint-every": 2, "learning-rate": 0.003}  # fmt: skip
    flat = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "hf_crossspec.cli", "train", *flat, *more]


def finish(arguments: list[str]) -> str:
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def steps_logged(folder: Path) -> list[int]:
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    complete = [line for line in lines if line.endswith("}")]
    return [entry["step"] for entry in map(json.loads, complete) if "loss" in entry]


def start_until(arguments: list[str], folder: Path, step: int) -> subprocess.Popen[str]:
    """Start a run and return it as soon as it has logged `step`."""
    process = subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while max(steps_logged(folder), default=0) < step:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def uninterrupted(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(command(tiny_base, tiny_pairs, folder, "--eval-data", str(tiny_pairs), "--eval-split", "test"))
    return folder


def adapter(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def log_without_times(folder: Path) -> list[str]:
    return (folder / "log.jsonl").read_text().splitlines()


def test_killed_at_any_moment_and_resumed_to_the_same_bits(
    tiny_base: Path, tiny_pairs: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    folder = tmp_path / "run"
    more = ("--eval-data", str(tiny_pairs), "--eval-split", "test", "--resume")
    for step in (3, 21, 50):
        process = start_until(command(tiny_base, tiny_pairs, folder, *more), folder, step)
        process.kill()
        process.communicate()
        assert not (folder / "result.json").exists()
    finish(command(tiny_base, tiny_pairs, folder, *more))
    assert adapter(folder) == adapter(uninterrupted)
    assert log_without_times(folder) == log_without_times(uninterrupted)
    assert steps_logged(folder) == list(range(1, 73))  # 12 epochs of 24 pairs in batches of 4


def test_sigterm_writes_a_checkpoint_and_says_so(
    tiny_base: Path, tiny_pairs: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    folder = tmp_path / "run"
    more = ("--eval-data", str(tiny_pairs), "--eval-split", "test", "--checkpoint-every", "1000")
    process = start_until(command(tiny_base, tiny_pairs, folder, *more), folder, 5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "--resume" in errors
    assert "Traceback" not in errors
    finish(command(tiny_base, tiny_pairs, folder, *more, "--resume"))
    assert adapter(folder) == adapter(uninterrupted)


def test_a_finished_run_is_not_run_again(tiny_base: Path, tiny_pairs: Path, uninterrupted: Path) -> None:
    before = adapter(uninterrupted)
    stamp = (uninterrupted / "adapter_model.safetensors").stat().st_mtime_ns
    more = ("--eval-data", str(tiny_pairs), "--eval-split", "test", "--resume")
    finish(command(tiny_base, tiny_pairs, uninterrupted, *more))
    assert adapter(uninterrupted) == before
    assert (uninterrupted / "adapter_model.safetensors").stat().st_mtime_ns == stamp


def test_two_processes_train_one_adapter(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    """Under `accelerate launch` each process takes its own batches; killed and resumed, the bits are the same."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--main_process_port", "0", "-m"]
    runs = []
    for name in ("whole", "interrupted"):
        folder = tmp_path / name
        arguments = launch + command(tiny_base, tiny_pairs, folder, "--epochs", "20")[2:]
        if name == "interrupted":
            process = start_until([*arguments, "--resume"], folder, 7)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode != 0
            assert not (folder / "result.json").exists()
        finish([*arguments, "--resume"])
        runs.append(folder)
    assert steps_logged(runs[0]) == list(range(1, 61))  # 20 epochs of 24 pairs in batches of 2 x 4
    assert adapter(runs[0]) == adapter(runs[1])
    assert log_without_times(runs[0]) == log_without_times(runs[1])
    run = json.loads((runs[0] / "run.json").read_text())
    assert run["processes"] == 2
