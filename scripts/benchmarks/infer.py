"""Inference throughput."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import onnx.parser
import onnxruntime
import timm
import torch
import typer
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from hf_crossspec import EdgeFaceConfig, EdgeFaceImageProcessor, EdgeFaceModel, FaceEmbedder
from hf_crossspec.cli.shared import JsonOption, quiet_libraries, write_result
from hf_crossspec.edgeface.modeling_edgeface import factorise_linears
from hf_crossspec.recognition.backends import make_runner, open_session
from hf_crossspec.recognition.network import FaceNetwork, build_network
from hf_crossspec.recognition.onnx_graph import store_weights_in_int8, to_onnx

console = Console(highlight=False)

Runner = Callable[[np.ndarray], np.ndarray]
VARIANTS = {"xxs": ("edgenext_xx_small", None), "s": ("edgenext_small", 0.5)}  # timm's name, gamma of low-rank layers
PRODUCT = (
    '<ir_version: 10, opset_import: ["" : 20]> g (float[n,k] a, float[k,m] b) => (float[n,m] c) {c = MatMul(a, b)}'
)
REFERENCE = "reference"
ENGINES = (REFERENCE, "torch", "compile", "onnx", "onnx int8")


def infer(
    variant: Annotated[str, typer.Option(help="xxs, or s for EdgeFace-s with gamma 0.5.")] = "xxs",
    engines: Annotated[str, typer.Option(help="Engines, separated by commas.")] = ",".join(ENGINES[1:]),
    batches: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,32",
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 7,
    seconds: Annotated[float, typer.Option(help="Duration of one measurement.")] = 1.0,
    json: JsonOption = None,
) -> None:
    """Pictures a second of every backend, over those of eager PyTorch as the EdgeFace authors' example runs it.

    From aligned 8-bit pictures in memory to embeddings. The reference is timm's network with 512 outputs, contiguous,
    with torchvision's ToTensor and Normalize on each picture. Every engine has a process of its own with all cores;
    they measure in turns, a speed is the batch size over the median duration of a call, and ratios are taken within a
    round. The peak is that of a product of two float32 matrices of 2048 x 2048, in PyTorch or
    ONNX Runtime, whichever is faster.
    """
    quiet_libraries()
    names = [REFERENCE, *(name.strip() for name in engines.split(","))]
    sizes = [int(size) for size in batches.split(",")]
    ready, speeds, peaks = measure_in_turns(names, variant, sizes, rounds, seconds)
    flops = picture_flops(variant)
    result = {
        "images_per_second": speeds,
        "engines": {size: summarise(speeds[size], flops, statistics.median(peaks)) for size in sizes},
        "seconds_until_ready": ready,
        "gigaflop_per_picture": flops / 1e9,
        "peak_gigaflop_per_second": {"median": statistics.median(peaks) / 1e9, "rounds": [p / 1e9 for p in peaks]},
        "setting": {"variant": variant, "rounds": rounds, "seconds": seconds, "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("torch", "timm", "onnxruntime", "onnx", "onnxscript", "numpy")},
        "processor": platform.machine(),
    }
    show(result)
    write_result(json, result)


def measure_in_turns(
    names: list[str], variant: str, sizes: list[int], rounds: int, seconds: float
) -> tuple[dict[str, float], dict[int, dict[str, list[float]]], list[float]]:
    """Seconds until each engine is ready, its speeds at each batch size, and the peaks, one for each round."""
    context = get_context("spawn")
    speeds: dict[int, dict[str, list[float]]] = {size: {name: [] for name in names} for size in sizes}
    peaks = []
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(ProcessPoolExecutor(1, context, start, (name, variant))) for name in names
        }
        ready = {name: process.submit(warm_up, sizes).result() for name, process in processes.items()}
        peak = stack.enter_context(ProcessPoolExecutor(1, context))
        for _ in range(rounds):
            peaks.append(peak.submit(matrix_product_flops).result())
            for size in sizes:
                for name, process in processes.items():
                    speeds[size][name].append(process.submit(measure, size, seconds).result())
    return ready, speeds, peaks


def summarise(speeds: dict[str, list[float]], flops: float, peak: float) -> dict[str, dict[str, float]]:
    """Of each engine: median speed, median, lowest and highest ratio to the reference, share of the peak."""
    summary = {}
    for name, values in speeds.items():
        ratios = [ours / reference for ours, reference in zip(values, speeds[REFERENCE], strict=True)]
        speed = statistics.median(values)
        summary[name] = {
            "images_per_second": speed,
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "share_of_peak": speed * flops / peak,
        }
    return summary


def show(result: dict[str, Any]) -> None:
    """Print what was measured, a line for each engine and batch size."""
    peak = result["peak_gigaflop_per_second"]["median"]
    console.print(f"{result['gigaflop_per_picture']:.3f} GFLOP a picture; matrix product: {peak:.0f} GFLOP/s")
    for size, engines in result["engines"].items():
        for name, row in engines.items():
            console.print(
                f"batch {size:>3}  {name:<10} {row['images_per_second']:6.0f} pictures/s, {row['ratio']:.2f} times the "
                f"reference ({row['low']:.2f} to {row['high']:.2f}), {100 * row['share_of_peak']:.0f} % of the peak",
                soft_wrap=True,
            )
    console.print("seconds until ready: " + ", ".join(f"{k} {v:.0f}" for k, v in result["seconds_until_ready"].items()))


_runner: Runner  # the one engine of a process
_started: float


def start(engine: str, variant: str) -> None:
    """Make this process the one of an engine."""
    global _runner, _started
    _started = time.perf_counter()
    quiet_libraries()
    torch.set_num_threads(os.cpu_count() or 1)
    _runner = make_engine(engine, variant)


def make_engine(engine: str, variant: str) -> Runner:
    """The runner of an engine on a fresh network."""
    if engine == REFERENCE:
        return reference(variant)
    network = fresh_network(variant)
    if engine == "onnx int8":
        return open_session(store_weights_in_int8(to_onnx(network)).SerializeToString())[1]
    return make_runner(network, engine)  # type: ignore[arg-type]


def fresh_network(variant: str) -> FaceNetwork:
    """Ours, with random weights."""
    torch.manual_seed(0)
    config = EdgeFaceConfig.for_variant(variant, low_rank_gamma=VARIANTS[variant][1])
    return build_network(FaceEmbedder(EdgeFaceModel(config).eval(), EdgeFaceImageProcessor(), variant))


def plain_network(variant: str) -> torch.nn.Module:
    """The reference's network: timm's, with its linear layers replaced in the low-rank variant."""
    name, gamma = VARIANTS[variant]
    network = timm.create_model(name, pretrained=False, num_classes=512)
    if gamma is not None:
        factorise_linears(network, gamma)
    return network.eval()


def reference(variant: str) -> Runner:
    """Eager PyTorch, one picture after the other through torchvision's transforms."""
    network = plain_network(variant)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> np.ndarray:
        return network(torch.stack([transform(picture) for picture in pixels])).numpy()

    return run


def picture_flops(variant: str) -> float:
    """Floating-point operations of the reference's network on one picture."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain_network(variant)(torch.zeros(1, 3, 112, 112))
    return float(counter.get_total_flops())


def warm_up(sizes: list[int]) -> float:
    """Run every batch size; returns the seconds since this process began to make its engine."""
    for size in sizes:
        for _ in range(3):
            _runner(pictures(size))
    return time.perf_counter() - _started


def measure(size: int, seconds: float) -> float:
    """Pictures a second: batch size over the median duration of a call."""
    batch = pictures(size)
    taken: list[float] = []
    _runner(batch)
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds or len(taken) < 3:
        started = time.perf_counter()
        _runner(batch)
        taken.append(time.perf_counter() - started)
    return size / statistics.median(taken)


def matrix_product_flops(side: int = 2048) -> float:
    """Floating-point operations a second of a large product in PyTorch or ONNX Runtime, the best of ten of either."""
    torch.set_num_threads(os.cpu_count() or 1)
    left = np.random.default_rng(0).random((side, side), np.float32)
    tensor = torch.from_numpy(left)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    graph = onnx.parser.parse_model(PRODUCT).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    products: list[Callable[[], Any]] = [lambda: tensor @ tensor, lambda: session.run(None, {"a": left, "b": left})]
    best = float("inf")
    for product in products * 10:
        started = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def pictures(size: int) -> np.ndarray:
    """Random pictures, uint8 (size, 112, 112, 3)."""
    return np.random.default_rng(0).integers(0, 256, (size, 112, 112, 3), dtype=np.uint8)
