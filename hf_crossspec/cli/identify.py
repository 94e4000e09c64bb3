"""crossspec identify"""

from __future__ import annotations

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
    from hf_crossspec.recognition.results import Identification


def identify(
    gallery: Annotated[str, typer.Argument(help="Gallery folder, or milvus://host:port/collection.")],
    probes: Annotated[list[Path], typer.Argument(help="Pictures of the people to look for.")],
    model: ModelOption,
    adapter: AdaptersOption = None,
    low_rank: LowRankOption = None,
    modality: Annotated[str | None, typer.Option(help="Modality of the probes, for a calibrated threshold.")] = None,
    gallery_modality: Annotated[str, typer.Option(help="Modality of the enrolled pictures.")] = "vis",
    top_k: Annotated[int, typer.Option(help="Candidates shown for each probe.", min=1)] = 5,
    fmr: FmrOption = None,
    threshold: ThresholdOption = None,
    aligned: AlignedOption = False,
    detector: DetectorOption = "yunet",
    detector_path: DetectorPathOption = None,
    backend: BackendOption = "torch",
    json: JsonOption = None,
) -> None:
    """Find whom of a gallery each probe shows: the best candidates, and the decision on the first."""
    if fmr is not None and threshold is not None:
        raise InputError("give either --threshold or --fmr")
    quiet_libraries()
    from hf_crossspec.recognition.recognizer import Recognizer

    options: dict[str, Any] = {"aligned": aligned, "detector": detector, "detector_path": detector_path}
    results = {}
    with (
        Recognizer.from_pretrained(
            model, parse_adapters(adapter), low_rank=low_rank, backend=backend, fmr=fmr, threshold=threshold, **options
        ) as recognizer,
        recognizer.open_gallery(gallery, modality) as opened,
    ):
        for probe in probes:
            results[str(probe)] = recognizer.identify(probe, opened, top_k, modality, gallery_modality)
            _print(probe, results[str(probe)])
    print_threshold(next(iter(results.values())).threshold)
    failed = sum(bool(result.failures) for result in results.values())
    if len(results) > 1:
        counts = dict.fromkeys(("match", "no match", "uncertain"), 0)
        for result in results.values():
            counts[result.decision] += not result.failures
        console.print(", ".join(f"{name} {n:,}" for name, n in counts.items()) + f", no usable face {failed:,}")
    write_result(json, {"probes": {probe: result.to_dict() for probe, result in results.items()}})
    if failed == len(results):
        raise InputError("no probe has a usable face")


def _print(probe: Path, result: Identification) -> None:
    console.print(f"{probe}: {result.decision} ({result.reason})", markup=False, soft_wrap=True)
    for rank, candidate in enumerate(result.candidates, 1):
        console.print(f"{rank:>5}  {candidate.score:.4f}  {candidate.subject_id}", markup=False, soft_wrap=True)
    if result.false_positive_bound is not None:
        console.print(
            f"       a stranger is accepted as one of {result.enrolled:,} with a probability of "
            f"{100 * result.false_positive_bound:.2g} % at most",
            soft_wrap=True,
        )
