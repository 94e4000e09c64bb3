"""crossspec evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.shared import (
    AdapterOption,
    JsonOption,
    LowRankOption,
    ModelOption,
    SkipBadOption,
    SplitOption,
    console,
    name_skipped,
    print_metrics,
    quiet_libraries,
    warn_of_resized,
    write_result,
)


def evaluate(
    model: ModelOption,
    data: Annotated[str, typer.Option(help="Faces: a folder, a .parquet file or a Hub data set id.")],
    adapter: AdapterOption = None,
    low_rank: LowRankOption = None,
    split: SplitOption = None,
    gallery_modality: Annotated[str | None, typer.Option(help="Modality of the enrolled pictures.")] = None,
    probe_modality: Annotated[str | None, typer.Option(help="Modality of the pictures to recognise.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="CSV of pairs: key1, key2, same, optionally fold.")] = None,
    skip_bad: SkipBadOption = False,
    same_ids_are_others: Annotated[
        bool,
        typer.Option("--same-ids-are-others", help="Identifiers that were trained on belong to other people here."),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Pictures embedded at a time.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.", min=0)] = 0,
    json: JsonOption = None,
) -> None:
    """Measure verification and identification, all with counts and 95 % intervals.

    Give either --gallery-modality and --probe-modality, or --pairs.
    """
    quiet_libraries()
    from hf_crossspec.evaluation.runner import evaluate_model

    result, skipped = evaluate_model(
        model, data, adapter=adapter, low_rank=low_rank, split=split, gallery_modality=gallery_modality,
        probe_modality=probe_modality, pairs=pairs, skip_bad=skip_bad, same_ids_are_others=same_ids_are_others,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    name_skipped(skipped)
    warn_of_resized(result["counts"]["resized"])
    print_metrics(result)
    write_result(json, result)
    if skipped:
        console.print(f"{len(skipped)} pictures could not be read and take part in no comparison")
