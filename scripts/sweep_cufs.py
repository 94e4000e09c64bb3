"""How the defaults were chosen: cross-validation by subject on the training split alone, retention on LFW folds 0-1.

    python scripts/sweep_cufs.py OUT/model OUT/cufs LFW.parquet "OUT/pairs folds 0-1.csv" SWEEP_DIR \
        --vary distill_weight=0.75,0.8,0.85,0.9

OUT is the folder of scripts/reproduce_cufs.py. The test split and the other LFW folds are never opened.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from hf_crossspec import SelectiveTuningArguments, evaluate_model, load_faces, train_adapter
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.compare.search import write_folds
from hf_crossspec.files import write_json

console = Console(highlight=False)
SIDES = {"gallery_modality": "vis", "probe_modality": "sketch"}


def sweep(
    model: Annotated[Path, typer.Argument(help="Converted EdgeFace.")],
    faces: Annotated[Path, typer.Argument(help="Aligned CUFS; only its split train is read.")],
    lfw: Annotated[Path, typer.Argument(help="Aligned LFW pictures, Parquet.")],
    lfw_pairs: Annotated[Path, typer.Argument(help="Pairs of LFW folds 0-1, CSV.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for runs and result.")],
    vary: Annotated[str, typer.Option(help="Argument of training and its values, name=value,value,...")],
    folds: Annotated[int, typer.Option(help="Folds over the training subjects.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the runs.")] = 0,
) -> None:
    """Train on the other folds' subjects, measure on each fold's, for every value."""
    quiet_libraries()
    output_dir.mkdir(parents=True)
    name, values = parse(vary)
    parts = write_folds(load_faces(faces, "train"), output_dir, folds)
    table = {"unadapted": [measure(model, None, held_out, lfw, lfw_pairs) for _, held_out in parts]}
    for value in values:
        rows = []
        for number, (train, held_out) in enumerate(parts):
            adapter = output_dir / f"{name}={value}-fold{number}"
            choices: dict[str, Any] = {"base": str(model), "data": str(train), "target_modality": "sketch"}
            choices |= {name: value, "seed": seed, "output_dir": str(adapter)}
            train_adapter(SelectiveTuningArguments(**choices))
            rows.append(measure(model, adapter, held_out, lfw, lfw_pairs))
        table[f"{name}={value}"] = rows
        console.print(f"{name}={value}", mean(rows))
    means = {key: mean(rows) for key, rows in table.items()}
    write_json(output_dir / "sweep.json", {"folds": table, "mean": means, "seed": seed})
    print_table(means)


def parse(vary: str) -> tuple[str, list[Any]]:
    """`margin=0,0.2` -> the field's name and its values, in the type of the field's default."""
    name, _, text = vary.partition("=")
    defaults: dict[str, Any] = {field.name: field.default for field in fields(SelectiveTuningArguments)}
    if name not in defaults or not text:
        raise typer.BadParameter(f"--vary needs name=value,..., the name one of {', '.join(defaults)}")
    return name, [type(defaults[name])(value) for value in text.split(",")]


def measure(model: Path, adapter: Path | None, held_out: Path, lfw: Path, pairs: Path) -> dict[str, float]:
    """Sketch to photo on held-out subjects; accuracy and all-pairs separation on LFW folds 0-1."""
    sketch = evaluate_model(model, held_out, adapter=adapter, **SIDES)[0]["metrics"]
    photo = evaluate_model(model, lfw, adapter=adapter, pairs=pairs)[0]["metrics"]
    values = {f"sketch {name}": sketch[name]["value"] for name in ("rank_1", "tar_at_fmr_1e-2", "eer")}
    return values | {f"lfw {name}": photo[name]["value"] for name in ("accuracy", "eer")}


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the folds, in per cent."""
    return {name: round(100 * float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def print_table(means: dict[str, dict[str, float]]) -> None:
    """As Markdown."""
    names = list(next(iter(means.values())))
    console.print(f"| | {' | '.join(names)} |", soft_wrap=True)
    console.print("|---" * (len(names) + 1) + "|")
    for key, values in means.items():
        console.print(f"| {key} | {' | '.join(f'{values[name]:.2f}' for name in names)} |", soft_wrap=True)


if __name__ == "__main__":
    typer.run(sweep)
