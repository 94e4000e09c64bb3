"""Loading from the Hub's cache, and switching between adapters."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from peft import get_peft_model
from rich.console import Console

from hf_crossspec import EdgeFaceConfig, EdgeFaceModel, load_adapters, selective_tuning_config
from hf_crossspec.adapters import quiet_peft
from hf_crossspec.cli.shared import JsonOption, quiet_libraries, write_result

console = Console(highlight=False)

REFERENCE = """
import timm
from safetensors.torch import load_file

weights = load_file("{folder}/model.safetensors")
model = timm.create_model("edgenext_xx_small", pretrained=False, num_classes=512)
model.load_state_dict({{key.removeprefix("net."): value for key, value in weights.items()}})
"""
PACKAGE = """
import hf_crossspec
from transformers import AutoModel

model = AutoModel.from_pretrained("{folder}")
"""
REMOTE_CODE = """
import sys
sys.modules["hf_crossspec"] = None
from transformers import AutoModel

model = AutoModel.from_pretrained("{folder}", trust_remote_code=True)
"""
PROGRAMS = {"reference": REFERENCE, "package": PACKAGE, "remote code": REMOTE_CODE}


def load(rounds: Annotated[int, typer.Option(help="How often each is started.")] = 9, json: JsonOption = None) -> None:
    """A fresh process until EdgeFace-xxs is loaded by `AutoModel`, against a bare timm network.

    All read the same safetensors file from a warm disk and count from the start of Python to the loaded network, so
    most of it is importing torch, torchvision and timm, which all do. Processor time is compared, as it does not depend
    on what else the machine does. `package`: hf_crossspec is installed; `remote code`: it is not.
    """
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        EdgeFaceModel(EdgeFaceConfig()).save_pretrained(folder)
        for number in range(rounds + 1):  # the first round warms up
            for name, program in PROGRAMS.items():
                taken = seconds_until_loaded(program.format(folder=folder), Path(folder) / "home")
                if number:
                    seconds[name].append(taken)
    result = {}
    for name in ("package", "remote code"):
        ratios = [ours / reference for ours, reference in zip(seconds[name], seconds["reference"], strict=True)]
        result[name] = {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        console.print(
            f"{name} / reference: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} over "
            f"{rounds} rounds); {statistics.median(seconds[name]):.2f} s and "
            f"{statistics.median(seconds['reference']):.2f} s of processor time",
            soft_wrap=True,
        )
    write_result(json, {"ratios": result, "seconds": seconds})


def seconds_until_loaded(program: str, home: Path) -> float:
    """Processor time, user and system, of a fresh Python from its start until the program's end."""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    tail = "\nimport time; print(time.process_time())"
    done = subprocess.run(
        [sys.executable, "-c", program + tail], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def switch(
    times: Annotated[int, typer.Option(help="How many switches are timed.")] = 200, json: JsonOption = None
) -> None:
    """Milliseconds to switch EdgeFace-xxs between three adapters of scope ln+stem, and to switch them off and on."""
    quiet_libraries()
    names = ("nir", "thermal", "sketch")
    with tempfile.TemporaryDirectory() as folder, quiet_peft():
        for name in names:
            fresh = get_peft_model(EdgeFaceModel(EdgeFaceConfig()), selective_tuning_config())
            fresh.save_pretrained(f"{folder}/{name}")
        model: Any = load_adapters(EdgeFaceModel(EdgeFaceConfig()), {name: f"{folder}/{name}" for name in names})

    def off_and_on(number: int) -> None:
        with model.disable_adapter():
            pass

    result = {}
    steps = {"switch": lambda number: model.set_adapter(names[number % 3]), "off and on": off_and_on}
    for title, step in steps.items():
        taken = []
        for number in range(times):
            started = time.perf_counter()
            step(number)
            taken.append(1000 * (time.perf_counter() - started))
        result[title] = {"median_ms": statistics.median(taken), "highest_ms": max(taken)}
        console.print(f"{title}: median {statistics.median(taken):.2f} ms, highest {max(taken):.2f} ms of {times}")
    write_result(json, {**result, "torch": torch.__version__})
