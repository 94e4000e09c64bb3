"""Scoring speed and memory: all probes against all templates."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from hf_crossspec.cli.shared import JsonOption, write_result
from hf_crossspec.evaluation import cosine_score_matrix
from hf_crossspec.evaluation.streaming import evaluate_streaming, lazy_cosine_scores

console = Console(highlight=False)


def score(
    people: Annotated[int, typer.Option(help="Probes, and as many gallery templates, of one measurement.")] = 20_000,
    dimensions: Annotated[int, typer.Option(help="Length of an embedding.")] = 512,
    rounds: Annotated[int, typer.Option(help="How often both are measured.")] = 3,
    json: JsonOption = None,
) -> None:
    """EER, TAR at FMR 1e-5 and rank-k of all probes against all templates: `evaluate_streaming` against full sorts.

    The reference holds the matrix, sorts all scores and each row with numpy, and takes the same products. Either runs
    in a process of its own, whose peak memory is reported. Embeddings are random, with an EER of some per cent.
    """
    sides: dict[str, list[dict[str, Any]]] = {"ours": [], "reference": []}
    for number in range(rounds):
        for name, side in (("ours", stream_scores), ("reference", sort_scores)):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                sides[name].append(process.submit(side, people, dimensions, number).result())
        ours, reference = sides["ours"][-1], sides["reference"][-1]
        for metric, value in reference["metrics"].items():  # products in other blocks round differently
            assert abs(ours["metrics"][metric] - value) <= 2 / people, (metric, ours, reference)
    result: dict[str, Any] = {"rounds": sides}
    for what in ("with", "without"):
        seconds = [
            [run["seconds"] - (run["product_seconds"] if what == "without" else 0) for run in side]
            for side in sides.values()
        ]
        ratios = [theirs / ours for ours, theirs in zip(*seconds, strict=True)]
        result[f"times_faster_{what}_products"] = statistics.median(ratios)
        console.print(
            f"{what} the matrix product: {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to "
            f"{max(ratios):.1f}); {statistics.median(seconds[0]):.1f} s against {statistics.median(seconds[1]):.1f} s"
        )
    result["peak_gigabytes"] = {name: max(run["peak_gigabytes"] for run in side) for name, side in sides.items()}
    result["setting"] = {"people": people, "dimensions": dimensions, "rounds": rounds, "numpy": np.__version__}
    console.print(", ".join(f"peak memory {name} {peak:.2f} GB" for name, peak in result["peak_gigabytes"].items()))
    console.print(f"metrics of the last round: {sides['ours'][-1]['metrics']}")
    write_result(json, result)


def random_embeddings(people: int, dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A probe and a template of each person, float32, whose cosine is about 0.18."""
    rng = np.random.default_rng(seed)
    gallery = rng.standard_normal((people, dimensions), np.float32)
    return gallery + 5.5 * rng.standard_normal((people, dimensions), np.float32), gallery


def stream_scores(people: int, dimensions: int, seed: int) -> dict[str, Any]:
    """Ours: the metrics, seconds, seconds of matrix products among them, and the peak memory of this process."""
    probe, gallery = random_embeddings(people, dimensions, seed)
    product = 0.0
    started = time.perf_counter()
    scores = lazy_cosine_scores(probe, gallery, np.arange(people), np.arange(people))

    def timed_rows(rows: slice | np.ndarray) -> np.ndarray:
        nonlocal product
        begun = time.perf_counter()
        block = scores.rows(rows)
        product += time.perf_counter() - begun
        return block

    metrics = evaluate_streaming(dataclasses.replace(scores, rows=timed_rows), fmr_targets=(1e-5,))["metrics"]
    seconds = time.perf_counter() - started
    return measured({name: metric["value"] for name, metric in metrics.items()}, seconds, product)


def sort_scores(people: int, dimensions: int, seed: int) -> dict[str, Any]:
    """The reference, as `stream_scores`: all scores in memory, all sorted."""
    probe, gallery = random_embeddings(people, dimensions, seed)
    subjects = np.arange(people)
    started = time.perf_counter()
    scores = cosine_score_matrix(probe, gallery)
    product = time.perf_counter() - started
    same = subjects[:, None] == subjects[None, :]
    mated, non_mated = np.sort(scores[same]), np.sort(scores[~same])
    metrics: dict[str, float] = {}
    for start in range(0, people, 1000):  # in parts only to spare the machine: the order takes twice the scores' memory
        rows = slice(start, start + 1000)
        order = np.argsort(-scores[rows], axis=1)
        place = 1 + np.argmax(np.take_along_axis(same[rows], order, axis=1), axis=1)
        for rank in (1, 5, 10):
            metrics[f"rank_{rank}"] = metrics.get(f"rank_{rank}", 0.0) + np.count_nonzero(place <= rank) / people
    fnmr = np.arange(len(mated)) / len(mated)
    fmr = 1 - np.searchsorted(non_mated, mated) / len(non_mated)
    nearest = np.argmin(abs(fmr - fnmr))
    metrics["eer"] = float(fmr[nearest] + fnmr[nearest]) / 2
    last_kept_out = non_mated[len(non_mated) - int(1e-5 * len(non_mated)) - 1]
    metrics["tar_at_fmr_1e-5"] = float(np.mean(mated > last_kept_out))
    return measured(metrics, time.perf_counter() - started, product)


def measured(metrics: dict[str, float], seconds: float, product: float) -> dict[str, Any]:
    """What a process found and took."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in kilobytes
    return {"metrics": metrics, "seconds": seconds, "product_seconds": product, "peak_gigabytes": peak}
