"""crossspec verify"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_crossspec.cli.shared import (
    AdaptersOption,
    AlignedOption,
    BackendOption,
    DetectorOption,
    DetectorPathOption,
    FmrOption,
    JsonOption,
    LowRankOption,
    ModelOption,
    ThresholdOption,
    console,
    parse_adapters,
    print_threshold,
    quiet_libraries,
    write_result,
)
from hf_crossspec.errors import InputError

if TYPE_CHECKING:
    from hf_crossspec.recognition.results import Verification


def verify(
    first: Annotated[Path, typer.Argument(help="A picture with a face.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    model: ModelOption,
    adapter: AdaptersOption = None,
    low_rank: LowRankOption = None,
    modalities: Annotated[
        str | None, typer.Option(help="Those of the two pictures, such as vis,nir: for a calibrated threshold.")
    ] = None,
    fmr: FmrOption = None,
    threshold: ThresholdOption = None,
    aligned: AlignedOption = False,
    detector: DetectorOption = "yunet",
    detector_path: DetectorPathOption = None,
    backend: BackendOption = "torch",
    json: JsonOption = None,
) -> None:
    """Compare the faces of two pictures: their cosine similarity, and the decision with a threshold."""
    from hf_crossspec.data.images import decode_image

    if fmr is not None and threshold is not None:
        raise InputError("give either --threshold or --fmr")
    if fmr is not None and modalities is None:
        raise InputError("--fmr needs --modalities: a threshold belongs to a pair of modalities")
    pair = _parse_pair(modalities)
    for picture in (first, second):
        decode_image(picture)  # what cannot be read is told before the model is loaded
    quiet_libraries()
    from hf_crossspec.recognition.recognizer import Recognizer

    options: dict[str, Any] = {"aligned": aligned, "detector": detector, "detector_path": detector_path}
    with Recognizer.from_pretrained(
        model, parse_adapters(adapter), low_rank=low_rank, backend=backend, fmr=fmr, threshold=threshold, **options
    ) as recognizer:
        result = recognizer.verify(first, second, pair)
        stamp = recognizer.network_for(*pair).stamp
    if result.score is not None:
        _print(result)
    match = None if result.threshold is None or result.score is None else result.score >= result.threshold.value
    write_result(json, {**result.to_dict(), "match": match, "model": asdict(stamp)})
    if result.score is None:
        raise InputError(result.reason)


def _parse_pair(modalities: str | None) -> tuple[str | None, str | None]:
    if modalities is None:
        return None, None
    names = [name.strip() for name in modalities.split(",")]
    if len(names) != 2 or not all(names):
        raise InputError(f"--modalities needs two names separated by a comma, such as vis,nir, not {modalities!r}")
    return names[0], names[1]


def _print(result: Verification) -> None:
    console.print(f"similarity {result.score:.4f}: {result.decision} ({result.reason})", soft_wrap=True)
    print_threshold(result.threshold)
    if result.log_likelihood_ratio is not None:
        ratio = result.log_likelihood_ratio
        console.print(f"log-likelihood ratio {ratio:+.2f} (natural; above 0 speaks for one person)")
