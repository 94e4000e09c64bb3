"""The README's comparison of ways to adapt, on real weights and pictures: EdgeFace from photos to viewed sketches.

    python scripts/compare_cufs.py WEIGHTS_DIR/edgeface_xxs_q.pt CUFS_DIR LFW.parquet LFW_PAIRS.csv OUT_DIR

The inputs are those of scripts/reproduce_cufs.py. Settings are chosen by cross-validation over the 88 training subjects
and LFW folds 0 and 1; the 100 test subjects and LFW folds 2 to 4 judge. `--resume` goes on after an interruption.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hf_crossspec import convert_checkpoint, prepare_pictures
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.compare.config import METHOD_NAMES, CompareArguments
from hf_crossspec.compare.run import compare

console = Console(highlight=False)


def compare_cufs(
    checkpoint: Annotated[Path, typer.Argument(help="Published EdgeFace checkpoint.")],
    cufs: Annotated[Path, typer.Argument(help="CUFS student pictures, splits train and test.")],
    lfw: Annotated[Path, typer.Argument(help="Aligned LFW pictures, Parquet.")],
    lfw_pairs: Annotated[Path, typer.Argument(help="LFW view-2 pairs, CSV.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for everything made.")],
    methods: Annotated[str, typer.Option(help="Ways to adapt, separated by commas.")] = ",".join(METHOD_NAMES),
    seeds: Annotated[str, typer.Option(help="Seeds of the final runs, separated by commas.")] = "0,1,2",
    epochs: Annotated[int, typer.Option(help="Passes over the training data in every run.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Pairs in a batch; 22 fills those of 44 and of 88 subjects.")] = 22,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder; finished runs stay.")] = False,
) -> None:
    """Convert, align, and compare."""
    quiet_libraries()
    model, faces = output_dir / "model", output_dir / "cufs"
    output_dir.mkdir(parents=True, exist_ok=resume)
    if not model.exists():
        convert_checkpoint(checkpoint, model, "cc-by-nc-sa-4.0")
    if not faces.exists():
        prepare_pictures(cufs, faces, ("train", "test"), eyes=[[75, 125], [125, 125]])
    args = CompareArguments(
        base=str(model), data=str(faces), target_modality="sketch", retention_data=str(lfw),
        retention_pairs=str(lfw_pairs), output_dir=str(output_dir / "compare"), methods=methods, seeds=seeds,
        epochs=epochs, batch_size=batch_size, resume=resume,
    )  # fmt: skip
    compare(args, say=lambda text: console.print(text, soft_wrap=True, markup=False))
    console.print((output_dir / "compare" / "compare.md").read_text(encoding="utf-8"), soft_wrap=True, markup=False)


if __name__ == "__main__":
    typer.run(compare_cufs)
