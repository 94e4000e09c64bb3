"""crossspec convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="Published EdgeFace checkpoint: .pt (also *_q.pt) or .safetensors.")
    ],
    output_dir: Annotated[Path, typer.Argument(help="New folder for the model.")],
    license: Annotated[
        str, typer.Option("--license", help="Licence of the weights; the published ones are cc-by-nc-sa-4.0.")
    ] = "cc-by-nc-sa-4.0",
) -> None:
    """Convert a published EdgeFace checkpoint to a model folder that transformers loads."""
    from hf_crossspec.cli.shared import console, quiet_libraries
    from hf_crossspec.edgeface.convert_edgeface import convert_checkpoint

    quiet_libraries()
    model = convert_checkpoint(checkpoint, output_dir, license)
    size = model.config.variant or "own size"
    low_rank = "" if model.config.low_rank_gamma is None else f", low rank {model.config.low_rank_gamma}"
    console.print(f"EdgeFace {size}{low_rank}, {model.num_parameters():,} parameters, licence {license}: {output_dir}")
