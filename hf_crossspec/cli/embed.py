"""crossspec embed"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hf_crossspec.cli.shared import (
    AdapterOption,
    AlignedOption,
    BackendOption,
    DetectorOption,
    DetectorPathOption,
    JsonOption,
    LowRankOption,
    ModelOption,
    SplitOption,
    console,
    quiet_libraries,
    write_result,
)

if TYPE_CHECKING:
    from hf_crossspec.recognition.bulk import BulkSummary


def embed(
    source: Annotated[str, typer.Argument(help="Pictures: any folder, a .parquet file or a Hub data set id.")],
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files; the same command goes on in it.")],
    model: ModelOption,
    adapter: AdapterOption = None,
    low_rank: LowRankOption = None,
    split: SplitOption = None,
    modality: Annotated[str | None, typer.Option(help="Modality of all pictures, where the source names none.")] = None,
    aligned: AlignedOption = False,
    detector: DetectorOption = "yunet",
    detector_path: DetectorPathOption = None,
    num_proc: Annotated[
        int, typer.Option(help="Processes, one thread each: fastest with as many as there are cores.", min=1)
    ] = 1,
    batch_size: Annotated[int, typer.Option(help="Faces embedded at a time.", min=1)] = 32,
    shard_rows: Annotated[int, typer.Option(help="Rows of a file, done again by a killed process.", min=1)] = 2048,
    backend: BackendOption = "torch",
    json: JsonOption = None,
) -> None:
    """Embed every picture of a source into Parquet files: embeddings and failures, never pictures.

    A picture without a usable face is a row with the reason. The result is the same for any number of processes; also
    under `accelerate launch -m hf_crossspec.cli embed ...`.
    """
    quiet_libraries()
    from hf_crossspec.embedding import FaceEmbedder
    from hf_crossspec.recognition.bulk import BulkOptions, embed_in_bulk

    options = BulkOptions(aligned, detector, detector_path, modality, batch_size, shard_rows, backend)
    rank, world_size = _place_among_processes()
    embedder = FaceEmbedder.from_pretrained(model, adapter, low_rank)
    hidden = rank > 0 or not console.is_terminal
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        row = bar.add_task("opening", total=None)
        summary = embed_in_bulk(
            source, output, embedder, options, split=split, num_proc=num_proc, rank=rank, world_size=world_size,
            on_progress=lambda done, failed, total: bar.update(
                row, completed=done, total=total, description=f"{done - failed:,} faces, {failed:,} failures"
            ),
        )  # fmt: skip
    _print(summary, f"process {rank + 1} of {world_size}: " if world_size > 1 else "")
    if summary.embedded is not None:
        write_result(json, _as_json(summary, num_proc * world_size))


def _place_among_processes() -> tuple[int, int]:
    """Rank and number of processes, as `accelerate launch` and `torchrun` tell them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _print(summary: BulkSummary, who: str) -> None:
    if summary.images_per_second is not None:
        console.print(
            f"{who}{summary.rows_now:,} pictures in {summary.seconds:.0f} s, {summary.images_per_second:.1f} images/s"
        )
    if summary.embedded is None or summary.failures is None:
        console.print(f"{who}done; other processes are still at work")
        return
    console.print(f"{summary.rows:,} rows: {summary.embedded:,} embedded, {sum(summary.failures.values()):,} failures")
    if summary.failures:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary.failures.items())
        console.print(f"failures to acquire: {reasons}")
    console.print(f"written to {summary.folder}")


def _as_json(summary: BulkSummary, processes: int) -> dict[str, Any]:
    from hf_crossspec.evaluation.runner import versions

    return {
        "counts": {"rows": summary.rows, "embedded": summary.embedded, "failures": summary.failures},
        "this_run": {"pictures": summary.rows_now, "seconds": summary.seconds,
                     "images_per_second": summary.images_per_second, "processes": processes},
        "model": summary.model,
        "versions": versions(),
    }  # fmt: skip
