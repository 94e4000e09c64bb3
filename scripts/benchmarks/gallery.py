"""Searching a gallery against a bare FAISS index, and how long it takes to fill, to open and to change."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import faiss
import numpy as np
import typer
from rich.console import Console

from hf_crossspec.cli.shared import JsonOption, write_result
from hf_crossspec.recognition.gallery import NetworkStamp, open_gallery

console = Console(highlight=False)


def gallery(
    subjects: Annotated[int, typer.Option(help="People enrolled, one image each.")] = 100_000,
    dimensions: Annotated[int, typer.Option(help="Length of an embedding.")] = 512,
    top_k: Annotated[int, typer.Option(help="Results for each probe.")] = 10,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 9,
    json: JsonOption = None,
) -> None:
    """Searches of a gallery folder for 1 and for 100 probes, against `faiss.IndexFlatIP` on the same templates.

    Both run in turns in one process, and their results are compared. Then seconds of wall time: enrolling everybody,
    opening the gallery, and enrolling and removing one person; and the size of the folder. Embeddings are random.
    """
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((subjects, dimensions), np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    names = [f"person {number:07d}" for number in range(subjects)]
    stamp = NetworkStamp("random", None, "0" * 64, dimensions)
    bare = faiss.IndexFlatIP(dimensions)
    bare.add(embeddings)
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        ours = open_gallery(f"{folder}/gallery", stamp, create=True)
        seconds = {"enrol all": timed(lambda: ours.enroll_many(names, embeddings))}
        for probes in (1, 100):
            queries = embeddings[:probes]
            found, (_, rows) = ours.search(queries, top_k), bare.search(queries, top_k)
            assert found.subject_ids.tolist() == [[names[row] for row in best] for best in rows]
            pairs = [
                (timed(lambda: ours.search(queries, top_k)), timed(lambda: bare.search(queries, top_k)))  # noqa: B023
                for _ in range(rounds)
            ]
            result[f"{probes} probes"] = compare(probes, pairs)
        seconds["open"] = statistics.median(timed(lambda: open_gallery(f"{folder}/gallery", stamp)) for _ in range(3))
        one = rng.standard_normal((1, dimensions))
        seconds["enrol one more"] = statistics.median(timed(lambda: ours.enroll("new", one)) for _ in range(rounds))
        changes = [(timed(lambda: ours.remove(name)), timed(lambda: ours.enroll(name, one))) for name in names[:rounds]]  # noqa: B023
        seconds["remove one"] = statistics.median(removal for removal, _ in changes)
        megabytes = sum(file.stat().st_size for file in Path(folder, "gallery").iterdir()) / 1e6
    console.print(
        ", ".join(f"{what} {value:.3f} s" for what, value in seconds.items()) + f"; {megabytes:.0f} MB", soft_wrap=True
    )
    setting = {"subjects": subjects, "dimensions": dimensions, "top_k": top_k, "faiss": faiss.__version__}
    write_result(json, {**result, "seconds": seconds, "megabytes": megabytes, "setting": setting})


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def compare(probes: int, pairs: list[tuple[float, float]]) -> dict[str, object]:
    """Print and return the ratio of our time to the bare index's, over all rounds."""
    ratios = [ours / bare for ours, bare in pairs]
    milliseconds = [1000 * statistics.median(side) for side in zip(*pairs, strict=True)]
    console.print(
        f"{probes} probes, gallery / bare index: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f} over {len(pairs)} rounds); {milliseconds[0]:.1f} ms and {milliseconds[1]:.1f} ms",
        soft_wrap=True,
    )
    return {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "milliseconds": milliseconds}
