"""crossspec prepare: a data set of aligned faces from your own pictures, or from none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.protocols import add_protocols
from hf_crossspec.cli.shared import SkipBadOption, console, name_skipped, quiet_libraries
from hf_crossspec.errors import InputError

prepare = typer.Typer(
    no_args_is_help=True,
    help="Make a data set of faces, written as Parquet: your own, synthetic ones, or a published protocol's.",
)


@prepare.command()
def pictures(
    root: Annotated[str, typer.Argument(help="Folder, .parquet file or Hub id of the pictures.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for the aligned faces.")],
    splits: Annotated[str | None, typer.Option(help="Splits, separated by commas.")] = None,
    eyes: Annotated[
        str | None,
        typer.Option(help="Eye centres x,y,x,y in pixels, if all pictures share them; else the column landmarks."),
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect", help="Find the faces of pictures without landmarks; crops have 8 bit.")
    ] = False,
    detector_path: Annotated[
        Path | None, typer.Option(help="ONNX file of YuNet for --detect; else it is fetched from the Hub.")
    ] = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Align your own pictures by their landmarks, or by detecting the faces."""
    quiet_libraries()
    from hf_crossspec.data.prepare import prepare_pictures
    from hf_crossspec.faces.detection import make_detector

    if eyes is not None and detect:
        raise InputError("--eyes holds for all pictures, so nothing is left to --detect: give one of them")
    if detector_path is not None and not detect:
        raise InputError("--detector-path needs --detect")
    names = [name.strip() for name in splits.split(",")] if splits else [None]
    detector = make_detector("yunet", detector_path) if detect else None
    report = prepare_pictures(root, output_dir, names, None if eyes is None else _parse_eyes(eyes), skip_bad, detector)
    for name, split in report.items():
        console.print(f"{name}: {split.kept:,} faces aligned, {len(split.skipped)} skipped")
        if split.several_faces:
            console.print(
                f"pictures with several faces, of which the most prominent was taken: {split.several_faces:,}"
            )
        if split.reasons:
            console.print(f"failures to acquire: {split.failures()}")
        name_skipped(split.skipped)
    console.print(f"written to {output_dir}")


@prepare.command()
def spectralfaces(
    output_dir: Annotated[Path, typer.Argument(help="New folder for the faces, splits train and test.")],
    modalities: Annotated[
        str, typer.Option(help="Of vis, nir-sim, thermal-sim, sketch-sim, separated by commas.")
    ] = "vis,nir-sim",
    train_subjects: Annotated[int, typer.Option(help="People in the split train.", min=1)] = 200,
    test_subjects: Annotated[int, typer.Option(help="Other people, in the split test.", min=1)] = 100,
    images_per_subject: Annotated[int, typer.Option(help="Conditions per person.", min=1)] = 4,
    aligned: Annotated[bool, typer.Option(help="Same pose and expression in all modalities, pixel by pixel.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of people and conditions.", min=0)] = 0,
) -> None:
    """Render synthetic faces in several simulated spectra, with landmarks and attributes."""
    quiet_libraries()
    from hf_crossspec.data.synthetic import write_spectralfaces

    names = [name.strip() for name in modalities.split(",")]
    counts = write_spectralfaces(output_dir, train_subjects, test_subjects, images_per_subject, names, aligned, seed)
    console.print(", ".join(f"{split}: {count:,} synthetic faces" for split, count in counts.items()))
    console.print(f"written to {output_dir}")


add_protocols(prepare)


def _parse_eyes(text: str) -> list[list[float]]:
    try:
        x1, y1, x2, y2 = (float(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"--eyes needs four numbers x,y,x,y, not {text!r}") from None
    return [[x1, y1], [x2, y2]]
