"""Memory of bulk embedding over a long source."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import datasets
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from PIL import Image
from rich.console import Console

from hf_crossspec import FaceEmbedder
from hf_crossspec.cli.shared import BackendOption, JsonOption, quiet_libraries, write_result
from hf_crossspec.quickstart import EMBEDDED_BASE
from hf_crossspec.recognition.bulk import BulkOptions, embed_in_bulk

console = Console(highlight=False)
ROWS_OF_A_FILE = 10_000
DISTINCT = 500


def memory(
    pictures: Annotated[int, typer.Option(help="How many aligned pictures are embedded.", min=100)] = 100_000,
    model: Annotated[str | None, typer.Option(help="Model folder or Hub id; else the nano of the package.")] = None,
    backend: BackendOption = "torch",
    plot: Annotated[Path, typer.Option(help="Picture of memory over pictures embedded.")] = Path("memory.png"),
    json: JsonOption = None,
) -> None:
    """Resident memory of one process that embeds random pictures from Parquet files, as `crossspec embed` does.

    Sampled a hundred times over the run: everything that the process holds, libraries and mapped files included.
    """
    quiet_libraries()
    embedder = FaceEmbedder.from_pretrained(model or str(files("hf_crossspec") / EMBEDDED_BASE))
    process = psutil.Process()
    counts: list[int] = []
    megabytes: list[float] = []

    def sample(done: int, failed: int, total: int) -> None:
        if done >= len(counts) * total / 100 and (not counts or done > counts[-1]):
            counts.append(done)
            megabytes.append(process.memory_info().rss / 1e6)

    with tempfile.TemporaryDirectory() as scratch:
        datasets.config.HF_DATASETS_CACHE = Path(scratch) / "cache"  # Arrow files of the size of the pictures
        write_pictures(Path(scratch) / "pictures", pictures)
        source_bytes = sum(path.stat().st_size for path in (Path(scratch) / "pictures").iterdir())
        started = time.perf_counter()
        source, options = Path(scratch) / "pictures", BulkOptions(aligned=True, backend=backend)
        summary = embed_in_bulk(source, Path(scratch) / "out", embedder, options, on_progress=sample)
        seconds = time.perf_counter() - started
    first, last = (statistics.median(quarter) for quarter in (quarters(megabytes)[0], quarters(megabytes)[-1]))
    console.print(
        f"{summary.embedded:,} of {pictures:,} pictures embedded in {seconds:.0f} s; resident memory, median of the "
        f"first quarter {first:.0f} MB, of the last {last:.0f} MB ({last - first:+.0f}), "
        f"highest {max(megabytes):.0f} MB",
        soft_wrap=True,
    )
    draw(counts, megabytes, source_bytes / 1e6, plot)
    console.print(f"drawn to {plot}")
    write_result(
        json,
        {
            "median_mb": {"first_quarter": first, "last_quarter": last},
            "highest_mb": max(megabytes),
            "samples": {"pictures": counts, "mb": megabytes},
            "setting": {"pictures": pictures, "source_mb": source_bytes / 1e6, "backend": backend, **summary.model},
        },
    )


def write_pictures(folder: Path, count: int) -> None:
    """Random 112 x 112 JPEG pictures as Parquet files; a few hundred of them over and over."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(DISTINCT):
        coarse = Image.fromarray(generator.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for start in range(0, count, ROWS_OF_A_FILE):
        rows = range(start, min(start + ROWS_OF_A_FILE, count))
        images = pa.array([encoded[row % DISTINCT] for row in rows], type=picture)
        table = pa.table({"image": images, "key": [f"{row:07d}" for row in rows]})
        pq.write_table(table, folder / f"train-{start:07d}.parquet", row_group_size=1000, use_dictionary=False)


def quarters(values: list[float]) -> list[list[float]]:
    """The values in four parts of equal length, in order."""
    return [list(part) for part in np.array_split(values, 4)]


def draw(counts: list[int], megabytes: list[float], source_mb: float, path: Path) -> None:
    """Resident memory over pictures, from zero."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(counts, megabytes, color="#0072B2", label="resident memory of the process")
    axes.axhline(source_mb, color="#D55E00", linestyle="--", label="size of the pictures (JPEG in Parquet)")
    axes.set(xlabel="pictures embedded", ylabel="MB", xlim=(0, counts[-1]), ylim=(0, 1.25 * max(*megabytes, source_mb)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
