"""crossspec verify"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.shared import AdapterOption, JsonOption, ModelOption, console, quiet_libraries, write_result


def verify(
    first: Annotated[Path, typer.Argument(help="An aligned face.")],
    second: Annotated[Path, typer.Argument(help="Another aligned face.")],
    model: ModelOption,
    adapter: AdapterOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Accept at this cosine or above; take it from `crossspec evaluate` on data like yours."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Compare two aligned faces: their cosine similarity, and with a threshold the decision."""
    from hf_crossspec.data.images import decode_image

    pictures = [decode_image(first), decode_image(second)]
    quiet_libraries()
    from hf_crossspec.embedding import FaceEmbedder

    embedder = FaceEmbedder.from_pretrained(model, adapter)
    left, right = (embedder.embed_images([picture])[0] for picture in pictures)
    score = float(left @ right)
    match = None if threshold is None else score >= threshold
    decision = {None: "no threshold given, no decision", True: "match", False: "no match"}[match]
    console.print(f"similarity {score:.4f}: {decision}")
    write_result(json, {"score": score, "threshold": threshold, "match": match, "model": embedder.describe()})
