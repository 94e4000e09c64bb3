"""crossspec hallucinate: visible-light faces from another spectrum, for recognisers that know visible light only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.shared import (
    JsonOption,
    SkipBadOption,
    SplitOption,
    command_from,
    console,
    name_skipped,
    quiet_libraries,
    write_result,
)
from hf_crossspec.methods.hallucination.config import HallucinationArguments

hallucinate = typer.Typer(
    no_args_is_help=True,
    help="Turn pictures of another spectrum into visible ones (Lezama et al.): mine patches, train, apply.",
)
ModalityOption = Annotated[str, typer.Option(help="The modality that is not vis.")]


@hallucinate.command()
def mine(
    data: Annotated[str, typer.Argument(help="Aligned faces: a folder, a .parquet file or a Hub data set id.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for the patches, their statistics and a map.")],
    modality: ModalityOption,
    split: SplitOption = None,
    window: Annotated[int | None, typer.Option(help="Pixels; default 60 for pictures of 224, in proportion.")] = None,
    stride: Annotated[int | None, typer.Option(help="Pixels between windows; default 12, in proportion.")] = None,
    crop: Annotated[
        int | None, typer.Option(help="Pixels of a window that are kept; default 40, in proportion.")
    ] = None,
    least_correlation: Annotated[float, typer.Option(help="Of the patches, and of their gradients.")] = 0.4,
    least_sum: Annotated[float, typer.Option(help="Both correlations together must exceed this.")] = 1.0,
    spread: Annotated[float, typer.Option(help="Patches at one place, at most, in medians of all places.")] = 1.5,
    normalise: Annotated[
        bool, typer.Option(help="Bring all pictures to the mean and spread of the first pair.")
    ] = True,
    num_proc: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the pruning.", min=0)] = 0,
    json: JsonOption = None,
) -> None:
    """Find patches that show the same in both spectra, in pictures that are not aligned to the pixel."""
    quiet_libraries()
    from rich.progress import Progress

    from hf_crossspec.files import read_json
    from hf_crossspec.methods.hallucination.patch_files import STATISTICS
    from hf_crossspec.methods.hallucination.patches import MiningSettings, mine_patches

    settings = MiningSettings(window, stride, crop, least_correlation, least_sum, spread, normalise, seed, num_proc)
    with Progress(*Progress.get_default_columns(), console=console) as bar:
        row = bar.add_task("mining", total=None)
        mined = mine_patches(
            data, output_dir, modality, split, settings,
            advance=lambda done, total: bar.update(row, completed=done, total=total),
        )  # fmt: skip
    console.print(", ".join(f"{name} {count:,}" for name, count in mined.counts.items()))
    console.print(f"{mined.counts['tested'] / mined.seconds:,.0f} windows tested per second")
    console.print(f"{mined.patches:,} pairs of patches, mirrored ones included: {output_dir}")
    write_result(json, read_json(output_dir / STATISTICS))


@hallucinate.command()
@command_from(HallucinationArguments)
def train(args: HallucinationArguments) -> None:
    """Train the three networks, each apart, on mined patches or on pictures that are aligned to the pixel."""
    quiet_libraries()
    from hf_crossspec.methods.hallucination.train import train_hallucinator

    result = train_hallucinator(args)
    name_skipped(result.skipped)
    console.print(
        f"{result.parameters:,} parameters trained on {result.pairs:,} pairs of {result.subjects:,} subjects, "
        f"chosen by {result.evaluated_subjects:,} others ({result.seconds:.0f} s)"
    )
    for name, best in result.best.items():
        console.print(f"{name}: least mean squared error {best['value']:.5f} at step {best['step']}")
    console.print(f"model: {result.model_dir}" if result.model_dir else "no model yet: train the other channels too")


@hallucinate.command()
def apply(
    source: Annotated[str, typer.Argument(help="A data set of faces, or one picture file.")],
    output: Annotated[Path, typer.Argument(help="New folder for the data set, or the new picture file.")],
    model: Annotated[str, typer.Option(help="Hallucinator: model folder or Hub id.")],
    modality: Annotated[str | None, typer.Option(help="Modality to turn into vis-from-<modality>.")] = None,
    splits: Annotated[str | None, typer.Option(help="Splits, separated by commas.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Share of the picture's own luminance, 0 to 1; default the model's.")
    ] = None,
    skip_bad: SkipBadOption = False,
    batch_size: Annotated[int, typer.Option(help="Pictures hallucinated at a time.", min=1)] = 16,
    json: JsonOption = None,
) -> None:
    """Hallucinate the pictures of one modality; those of the others pass unchanged."""
    quiet_libraries()
    from dataclasses import asdict

    from hf_crossspec.errors import InputError
    from hf_crossspec.methods.hallucination.apply import hallucinate_faces, hallucinate_picture, load_hallucinator

    if Path(source).is_file() and Path(source).suffix != ".parquet":
        hallucinate_picture(load_hallucinator(model), Path(source), output, alpha)
        console.print(f"written to {output}")
        return
    if modality is None:
        raise InputError("--modality says which pictures of the data set are hallucinated")
    names = [name.strip() for name in splits.split(",")] if splits else [None]
    report = hallucinate_faces(model, source, output, modality, names, alpha, skip_bad, batch_size)
    for name, part in report.items():
        console.print(f"{name}: {part.hallucinated:,} pictures hallucinated, {part.passed:,} passed through")
        if part.subjects_trained_on:
            console.print(f"note: {part.subjects_trained_on:,} of the hallucinated subjects were trained on")
        name_skipped(part.skipped)
    console.print(f"written to {output}")
    write_result(json, {name: asdict(part) for name, part in report.items()})
