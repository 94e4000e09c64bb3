"""crossspec quickstart"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from hf_crossspec.cli.shared import JsonOption, console, quiet_libraries, write_result

SHOWN = {"rank_1": "Rank-1", "tar_at_fmr_1e-2": "TAR@FMR 1 %", "tar_at_fmr_1e-3": "TAR@FMR 0.1 %", "eer": "EER"}


def quickstart(
    output_dir: Annotated[Path, typer.Option(help="New folder for everything made.")] = Path("quickstart"),
    target_modality: Annotated[
        str, typer.Option(help="Simulated modality to adapt to: nir-sim, thermal-sim or sketch-sim.")
    ] = "nir-sim",
    fast: Annotated[bool, typer.Option("--fast", help="Fewer people and epochs: under a minute.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of training and intervals.", min=0)] = 0,
    json: JsonOption = None,
) -> None:
    """Adapt a network on synthetic faces and see what it gains and keeps; needs no data and no network."""
    quiet_libraries()
    from hf_crossspec.quickstart import quickstart as run

    report = run(output_dir, target_modality, fast, seed, say=console.print)
    console.print(_table(report, target_modality))
    console.print(f"people are synthetic, {target_modality} is simulated; intervals are 95 %")
    write_result(json, report)
    model = f"--model {output_dir}/base --adapter {output_dir}/adapter"
    console.print(f"picture: {output_dir}/gain.png\nnext:", soft_wrap=True)
    console.print(
        f"  crossspec evaluate {model} --data {output_dir}/faces --split test --gallery-modality vis "
        f"--probe-modality {target_modality}",
        soft_wrap=True,
    )
    samples = [f"{output_dir}/samples/person1-{modality}.png" for modality in ("vis", target_modality)]
    console.print(f"  crossspec verify {' '.join(samples)} {model} --aligned", soft_wrap=True)


def _table(report: dict[str, Any], target_modality: str) -> Table:
    table = Table(Column("unseen people", no_wrap=True), "before", "after")
    parts = {f"{target_modality} to vis": ("before", "after"), "vis to vis": ("retention_before", "retention_after")}
    for name, sides in parts.items():
        for metric, title in SHOWN.items():
            cells = []
            for side in sides:
                entry = report[side]["metrics"][metric]
                cells.append(f"{100 * entry['value']:.1f} % ({100 * entry['low']:.1f} - {100 * entry['high']:.1f})")
            table.add_row(f"{name}, {title}", *cells)
    return table
