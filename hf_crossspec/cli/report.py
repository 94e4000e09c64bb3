"""crossspec report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hf_crossspec.cli.shared import (
    JsonOption,
    SkipBadOption,
    SplitOption,
    console,
    name_skipped,
    quiet_libraries,
    warn_of_resized,
    write_result,
)


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Training run folders, or adapters.")],
    output_dir: Annotated[Path, typer.Option(help="New folder for report.html, report.md and report.json.")],
    model: Annotated[str | None, typer.Option(help="Model folder or Hub id, if not the runs' own base.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Faces, if not the runs' own data: folder, .parquet, Hub id.")
    ] = None,
    split: SplitOption = None,
    gallery_modality: Annotated[str | None, typer.Option(help="Enrolled; default: what the runs adapt from.")] = None,
    probe_modality: Annotated[
        str | None,
        typer.Option(help="To recognise, separated by commas; default: what the runs adapt to, and what they keep."),
    ] = None,
    fmr: Annotated[float, typer.Option(help="FMR of the operating point.")] = 1e-3,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Show the worst errors as pictures in the HTML; do not publish it then.")
    ] = False,
    skip_bad: SkipBadOption = False,
    same_ids_are_others: Annotated[
        bool,
        typer.Option("--same-ids-are-others", help="Identifiers that were trained on belong to other people here."),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Pictures embedded at a time.", min=1)] = 64,
    replicates: Annotated[int, typer.Option(help="Draws of subjects in every bootstrap.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    json: JsonOption = None,
) -> None:
    """Show what adapters gained and kept: tables with paired tests, DET, ROC, CMC, score histograms.

    Each RUN is the folder of a training run, which says its model, data and modalities, or any adapter, for which the
    options say them. Subjects that a run was trained on are refused.
    """
    quiet_libraries()
    from hf_crossspec.report import Settings, plan_report, write_report

    plan = plan_report(runs, model, data, gallery_modality, probe_modality.split(",") if probe_modality else None)
    settings = Settings(split, fmr, replicates, seed, skip_bad, same_ids_are_others, batch_size)
    result, skipped = write_report(plan, output_dir, settings, pictures)
    name_skipped(skipped)
    warn_of_resized(result["data"]["resized"])
    _print_summary(result)
    write_result(json, result)
    console.print(f"written to {output_dir / 'report.html'}, report.md and report.json", markup=False)
    if pictures:
        console.print("report.html shows pictures of people and names their identifiers: do not publish it")


def _print_summary(result: dict[str, Any]) -> None:
    from hf_crossspec.report.tables import summary_table

    summary = summary_table(result)
    table = Table(*summary.header)
    for row in summary.rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console.print(table)
    console.print(*summary.remarks, markup=False)
