"""crossspec verify"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hf_crossspec.cli.shared import AdapterOption, JsonOption, ModelOption, console, quiet_libraries, write_result
from hf_crossspec.errors import InputError

if TYPE_CHECKING:
    from hf_crossspec.evaluation.calibration_file import ThresholdEntry


def verify(
    first: Annotated[Path, typer.Argument(help="An aligned face.")],
    second: Annotated[Path, typer.Argument(help="Another aligned face.")],
    model: ModelOption,
    adapter: AdapterOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Accept at this cosine or above; take it from `crossspec evaluate` on data like yours."),
    ] = None,
    fmr: Annotated[
        float | None, typer.Option(help="Take the threshold for this false match rate from `crossspec calibrate`.")
    ] = None,
    modalities: Annotated[
        str | None, typer.Option(help="With --fmr: modalities of the two pictures, such as vis,nir.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Compare two aligned faces: their cosine similarity, and with a threshold the decision."""
    from hf_crossspec.data.images import decode_image

    if fmr is not None and threshold is not None:
        raise InputError("give either --threshold or --fmr")
    if (fmr is None) != (modalities is None):
        raise InputError("--fmr and --modalities go together: a threshold belongs to a pair of modalities")
    pictures = [decode_image(first), decode_image(second)]
    quiet_libraries()
    from hf_crossspec.embedding import FaceEmbedder

    embedder = FaceEmbedder.from_pretrained(model, adapter)
    description = embedder.describe()
    entry = None
    if fmr is not None:
        entry = _calibrated(model, adapter, fmr, str(modalities), description["weights_sha256"])
        threshold = entry.threshold
    left, right = (embedder.embed_images([picture])[0] for picture in pictures)
    score = float(left @ right)
    match = None if threshold is None else score >= threshold
    decision = {None: "no threshold given, no decision", True: "match", False: "no match"}[match]
    console.print(f"similarity {score:.4f}: {decision}")
    result = {"score": score, "threshold": threshold, "match": match, "model": description}
    if entry is not None:
        _print_origin(entry)
        llr = float(entry.llr(score))
        console.print(f"log-likelihood ratio {llr:+.2f} (natural; above 0 speaks for one person)")
        result |= {"calibration": asdict(entry), "log_likelihood_ratio": llr}
    write_result(json, result)


def _calibrated(model: str, adapter: str | None, fmr: float, modalities: str, weights_sha256: str) -> ThresholdEntry:
    from hf_crossspec.evaluation.calibration_file import Calibration, find_calibration

    names = [name.strip() for name in modalities.split(",")]
    if len(names) != 2:
        raise InputError(f"--modalities needs two names separated by a comma, such as vis,nir, not {modalities!r}")
    return Calibration.load(find_calibration(model, adapter), weights_sha256).threshold(names[0], names[1], fmr)


def _print_origin(entry: ThresholdEntry) -> None:
    console.print(
        f"threshold {entry.threshold:.4f}, calibrated for an FMR of {entry.fmr:g} on {' and '.join(entry.modalities)}"
    )
    for split in ("development", "test"):
        rates = getattr(entry, split)
        if rates is not None:
            console.print(
                f"{split} split: {rates.fmr.errors:,} false matches in {rates.fmr.n:,} non-mated comparisons, "
                f"{rates.fnmr.errors:,} misses in {rates.fnmr.n:,} mated"
            )
