"""crossspec embed"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.shared import (
    AdapterOption,
    ModelOption,
    SkipBadOption,
    SplitOption,
    console,
    name_skipped,
    quiet_libraries,
    warn_of_resized,
)


def embed(
    data: Annotated[str, typer.Argument(help="Aligned faces: a folder, a .parquet file or a Hub data set id.")],
    output: Annotated[Path, typer.Argument(help="Parquet file for the embeddings.")],
    model: ModelOption,
    adapter: AdapterOption = None,
    split: SplitOption = None,
    batch_size: Annotated[int, typer.Option(help="Pictures embedded at a time.", min=1)] = 64,
    skip_bad: SkipBadOption = False,
) -> None:
    """Embed aligned faces; writes subject, modality and the normalised embedding of each, never the picture."""
    quiet_libraries()
    from hf_crossspec.data.schema import load_faces
    from hf_crossspec.embedding import FaceEmbedder
    from hf_crossspec.files import replacing_file

    faces = load_faces(data, split)
    embeddings = FaceEmbedder.from_pretrained(model, adapter).embed_dataset(faces, batch_size, skip_bad)
    table = faces.remove_columns("image").select(embeddings.rows).add_column("embedding", list(embeddings.values))
    with replacing_file(output) as temporary:
        table.to_parquet(str(temporary))
    name_skipped(embeddings.skipped)
    warn_of_resized(embeddings.resized)
    console.print(f"{len(embeddings.rows):,} embeddings of length {embeddings.values.shape[1]}: {output}")
