"""Speed of cross-spectral hallucination, and of mining patches for it."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from hf_crossspec.cli.shared import JsonOption, quiet_libraries, write_result
from hf_crossspec.data.synthetic import load_spectralfaces
from hf_crossspec.methods.hallucination.auto import CrossSpectralHallucinator, HallucinatorConfig
from hf_crossspec.methods.hallucination.configuration_hallucination import CHANNELS, VARIANTS
from hf_crossspec.methods.hallucination.patches import MiningSettings, mine_patches

console = Console(highlight=False)
PAPER_WINDOWS = (60, 4, 40)  # the stride of 4 gives 196 windows in pictures of 112, as the paper has in 224


def hallucinate(
    rounds: Annotated[int, typer.Option(help="How often each is measured; the median is given.")] = 7,
    side: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 112,
    batch_size: Annotated[
        int, typer.Option(help="Pictures at a time with the small networks; the paper's get 1.")
    ] = 16,
    people: Annotated[int, typer.Option(help="Synthetic people whose pictures are mined; 0 for none.")] = 100,
    num_proc: Annotated[int, typer.Option(help="Processes that mine.")] = os.cpu_count() or 1,
    json: JsonOption = None,
) -> None:
    """Pictures hallucinated per second and their FLOPs, for both sizes of the networks; windows mined per second.

    Hallucinating uses as many threads as PyTorch does by default (OMP_NUM_THREADS sets them); mining is timed from the
    first picture read to the last comparison, the start of the processes included.
    """
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "torch": torch.__version__, "side": side}
    for variant in VARIANTS:
        result[variant] = measure_network(variant, side, 1 if variant == "paper" else batch_size, rounds)
        console.print(
            f"{variant}: {result[variant]['images_per_second']:.1f} images/s, {result[variant]['gflop']:.2f} GFLOP an "
            f"image of {side} x {side}, {result[variant]['parameters']:,} parameters"
        )
    if people:
        result["mining"] = [measure_mining(people, size, num_proc) for size in (None, PAPER_WINDOWS)]
        for entry in result["mining"]:
            console.print(
                f"mining, windows of {entry['window']}: {entry['windows_per_second']:,.0f} windows/s with {num_proc} "
                f"processes, {entry['windows']:,} tested"
            )
    write_result(json, result)


@torch.inference_mode()
def measure_network(variant: str, side: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Images per second, FLOPs (two per multiplication and addition) and parameters."""
    network: Any = CrossSpectralHallucinator(HallucinatorConfig.for_variant(variant)).eval()
    model = network.to(memory_format=torch.channels_last)
    pictures = torch.rand(batch_size, 1, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    flops = {}
    for name in CHANNELS:
        with FlopCounterMode(display=False) as counter:
            model.networks[name](pictures[:1])
        flops[name] = counter.get_total_flops() / 1e9
    seconds = []
    for _ in range(rounds + 1):  # the first warms up
        started = time.perf_counter()
        model(pixel_values=pictures)
        seconds.append(time.perf_counter() - started)
    return {
        "images_per_second": batch_size / statistics.median(seconds[1:]),
        "gflop": sum(flops.values()),
        "gflop_of_channels": flops,
        "parameters": model.num_parameters(),
        "batch_size": batch_size,
    }


def measure_mining(people: int, size: tuple[int, int, int] | None, num_proc: int) -> dict[str, Any]:
    """Mine pictures of 112 x 112, two of each modality a person; `size` is window, stride and crop."""
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        faces = load_spectralfaces("train", people, 2, cache_dir=folder)
        window, stride, crop = size or (None, None, None)
        settings = MiningSettings(window, stride, crop, num_proc=num_proc)
        mined = mine_patches(faces, Path(folder) / "patches", "nir-sim", settings=settings)
    tested = mined.counts["tested"]
    return {
        "window": window or 30,
        "windows": tested,
        "windows_per_second": tested / mined.seconds,
        "processes": num_proc,
    }
