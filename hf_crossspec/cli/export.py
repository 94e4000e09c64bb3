"""crossspec export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hf_crossspec.cli.shared import (
    AdapterOption,
    JsonOption,
    LowRankOption,
    ModelOption,
    console,
    quiet_libraries,
    write_result,
)


def export(
    model: ModelOption,
    output: Annotated[Path, typer.Option(help="File to write, for instance edgeface-nir.onnx.")],
    adapter: AdapterOption = None,
    low_rank: LowRankOption = None,
    format: Annotated[Literal["onnx"], typer.Option(help="Format of the file.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Store weights in 8 bit: less than half the size, the same speed.")
    ] = False,
    check_data: Annotated[
        str | None, typer.Option(help="Aligned faces to check with: a folder, a .parquet file or a Hub data set id.")
    ] = None,
    check_split: Annotated[str | None, typer.Option(help="Split of the check data.")] = None,
    check_pairs: Annotated[
        Path | None, typer.Option(help="CSV of pairs of them: key1, key2, same, fold; their accuracy is checked.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Write model and adapter as one file for ONNX runtimes, if it embeds as they do.

    It takes aligned faces as uint8 (batch, 112, 112, 3) and returns embeddings of length one; terms, thresholds and
    fingerprint are inside. `--model FILE.onnx` of the other commands takes it. --int8 needs --check-data.
    """
    quiet_libraries()
    from hf_crossspec.recognition.export import export_network

    result = export_network(
        model, output, adapter, low_rank, int8=int8, check_data=check_data, check_split=check_split,
        check_pairs=check_pairs,
    )  # fmt: skip
    parity = result["parity"]
    console.print(f"{result['bytes']:,} bytes, licence of the weights: {result['licence'] or 'unknown'}")
    console.print(
        f"against the network on {parity['pictures']:,} pictures: largest difference {parity['max_difference']:.1e}, "
        f"smallest cosine {parity['min_cosine']:.6f}"
    )
    if parity["accuracy"] is not None:
        console.print(
            f"accuracy on {parity['check_pairs']:,} pairs: {100 * parity['exported_accuracy']:.2f} %, the network's "
            f"{100 * parity['accuracy']:.2f} %"
        )
    console.print("thresholds: " + ("none" if result["calibration"] is None else "those of calibration.json"))
    console.print(f"written to {output}")
    write_result(json, result)
