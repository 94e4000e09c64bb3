"""The README's results on real weights and pictures: EdgeFace from photos to viewed sketches, and what LFW keeps.

    python scripts/reproduce_cufs.py WEIGHTS_DIR/edgeface_xxs_q.pt CUFS_DIR LFW.parquet LFW_PAIRS.csv OUT_DIR

CUFS_DIR holds the CUHK student part as `imagefolder` splits train (88 subjects) and test (100), pictures of 200 x 250
with the eyes near (75, 125) and (125, 125). LFW.parquet holds aligned pictures with a column `key`; the pairs are
view 2 with columns fold, key1, key2, same. Neither may be redistributed: ask their owners.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console

from hf_crossspec import SelectiveTuningArguments, convert_checkpoint, evaluate_model, prepare_pictures, train_adapter
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.evaluation.plots import plot_roc
from hf_crossspec.files import write_json

SKETCH = {"split": "test", "gallery_modality": "vis", "probe_modality": "sketch"}
DEFAULT = SelectiveTuningArguments(base="", data="", target_modality="sketch", output_dir="")
console = Console(highlight=False)
Report = dict[str, Any]


def reproduce(
    checkpoint: Annotated[Path, typer.Argument(help="Published EdgeFace checkpoint.")],
    cufs: Annotated[Path, typer.Argument(help="CUFS student pictures, splits train and test.")],
    lfw: Annotated[Path, typer.Argument(help="Aligned LFW pictures, Parquet.")],
    lfw_pairs: Annotated[Path, typer.Argument(help="LFW view-2 pairs, CSV.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for everything made.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the runs, separated by commas.")] = "0,1,2",
    scope: Annotated[str, typer.Option(help="Scope of the adapter.")] = DEFAULT.scope,
) -> None:
    """Convert, align, adapt with the default arguments, and measure before and after."""
    quiet_libraries()
    output_dir.mkdir(parents=True)
    model, faces = output_dir / "model", output_dir / "cufs"
    convert_checkpoint(checkpoint, model, "cc-by-nc-sa-4.0")
    prepare_pictures(cufs, faces, ("train", "test"), eyes=[[75, 125], [125, 125]])
    pairs = split_pairs(lfw_pairs, output_dir)
    before = measure(model, None, faces, lfw, pairs)
    after = {}
    for seed in map(int, seeds.split(",")):
        adapter = output_dir / f"adapter-seed{seed}"
        choices = {"base": str(model), "data": str(faces), "target_modality": "sketch", "scope": scope}
        run = train_adapter(SelectiveTuningArguments(**choices, output_dir=str(adapter), seed=seed))
        after[seed] = measure(model, adapter, faces, lfw, pairs) | {
            "trainable_parameters": run.trainable_parameters,
            "adapter_bytes": (adapter / "adapter_model.safetensors").stat().st_size,
            "training_seconds": run.seconds,
        }
    write_json(output_dir / "results.json", {"before": before, "after": after})
    first = next(iter(after.values()))
    curves = {"unadapted": before, f"adapted ({first['trainable_parameters']:,} parameters)": first}
    plot_roc(
        {name: roc_of(report["sketch"]) for name, report in curves.items()},
        output_dir / "roc.png",
        "CUFS student, sketch to photo, 100 test subjects",
    )
    print_table(before, after)


def split_pairs(path: Path, folder: Path) -> dict[str, Path]:
    """The pairs in three files: all, folds 0-1 (used for choices), folds 2-4 (never used for any)."""
    pairs = pd.read_csv(path)
    parts = {"all": pairs, "folds 0-1": pairs[pairs.fold <= 1], "folds 2-4": pairs[pairs.fold >= 2]}
    files = {}
    for name, part in parts.items():
        files[name] = folder / f"pairs {name}.csv"
        part.to_csv(files[name], index=False)
    return files


def measure(model: Path, adapter: Path | None, faces: Path, lfw: Path, pairs: dict[str, Path]) -> Report:
    """Sketch to photo on the test subjects, and LFW on the three sets of folds."""
    reports: Report = {"sketch": evaluate_model(model, faces, adapter=adapter, **SKETCH)[0]}
    for name, file in pairs.items():
        reports[f"lfw {name}"] = evaluate_model(model, lfw, adapter=adapter, pairs=file)[0]
    return reports


def roc_of(report: Report) -> tuple[list[float], list[float]]:
    """FMR and TAR of a report's curve."""
    return report["curves"]["roc"]["fmr"], report["curves"]["roc"]["tar"]


def print_table(before: Report, after: dict[int, Report]) -> None:
    """The README's table: value with interval for the first seed, and the mean over seeds."""
    rows = [
        ("sketch", "rank_1"), ("sketch", "tar_at_fmr_1e-2"), ("sketch", "tar_at_fmr_1e-3"), ("sketch", "eer"),
        ("lfw all", "accuracy"), ("lfw folds 0-1", "accuracy"), ("lfw folds 2-4", "accuracy"),
        ("lfw all", "tar_at_fmr_1e-3"),
    ]  # fmt: skip
    console.print(f"| | unadapted | seed {next(iter(after))} | mean of seeds {', '.join(map(str, after))} (spread) |")
    console.print("|---|---|---|---|")
    for data, name in rows:
        cells = [with_interval(report[data]["metrics"][name]) for report in (before, next(iter(after.values())))]
        values = [100 * report[data]["metrics"][name]["value"] for report in after.values()]
        spread = f"{statistics.mean(values):.2f} ({min(values):.2f} - {max(values):.2f})"
        console.print(f"| {data} {name} | {cells[0]} | {cells[1]} | {spread} |", soft_wrap=True)


def with_interval(metric: dict[str, float]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]"


if __name__ == "__main__":
    typer.run(reproduce)
