"""crossspec convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PUBLISHED_LICENCE = "cc-by-nc-sa-4.0"  # of the EdgeFace weights that their authors publish


def convert(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="EdgeFace checkpoint, .pt (also *_q.pt) or .safetensors: a file, or hf://owner/name/file on the Hub."
        ),
    ],
    output_dir: Annotated[Path, typer.Argument(help="New folder for the model.")],
    license: Annotated[
        str | None,
        typer.Option("--license", help="Licence of the weights; the default is the Hub's, or else cc-by-nc-sa-4.0."),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 that the file must have.")] = None,
) -> None:
    """Convert a published EdgeFace checkpoint to a model folder that transformers loads."""
    from hf_crossspec.cli.shared import console, quiet_libraries
    from hf_crossspec.edgeface.convert_edgeface import convert_checkpoint

    quiet_libraries()
    path, source, stated = Path(checkpoint), None, PUBLISHED_LICENCE
    if checkpoint.startswith("hf://"):
        from hf_crossspec.hub.checkpoint import fetch_checkpoint
        from hf_crossspec.hub.client import HubClient

        fetched = fetch_checkpoint(checkpoint, HubClient())
        path, source, stated = fetched.path, fetched.source, fetched.licence or PUBLISHED_LICENCE
    model = convert_checkpoint(path, output_dir, license or stated, source, sha256)
    size = model.config.variant or "own size"
    low_rank = "" if model.config.low_rank_gamma is None else f", low rank {model.config.low_rank_gamma}"
    console.print(f"EdgeFace {size}{low_rank}, {model.num_parameters():,} parameters: {output_dir}")
    console.print(f"licence of the weights: {model.config.weights_license}; from {model.config.weights_source}")
