"""crossspec calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hf_crossspec.cli.shared import (
    AdapterOption,
    JsonOption,
    LowRankOption,
    ModelOption,
    SkipBadOption,
    console,
    quiet_libraries,
    write_result,
)
from hf_crossspec.errors import InputError

if TYPE_CHECKING:
    from hf_crossspec.evaluation.calibration_file import PairCalibration, Rate, ThresholdEntry


def calibrate(
    model: ModelOption,
    data: Annotated[str, typer.Option(help="Faces: a folder, a .parquet file or a Hub data set id.")],
    gallery_modality: Annotated[str, typer.Option(help="Modality of the enrolled pictures.")],
    probe_modality: Annotated[str, typer.Option(help="Modality of the pictures to recognise.")],
    adapter: AdapterOption = None,
    low_rank: LowRankOption = None,
    dev_split: Annotated[
        str, typer.Option(help="Split to set thresholds on; files named dev are loaded under the name validation.")
    ] = "validation",
    test_split: Annotated[
        str | None, typer.Option(help="Split of other people, to see what the thresholds do.")
    ] = None,
    fmr: Annotated[str, typer.Option(help="False match rates to aim at, separated by commas.")] = "1e-2,1e-3",
    mapping: Annotated[
        str, typer.Option(help="Scores to log-likelihood ratios by: logistic or isotonic.")
    ] = "logistic",
    output: Annotated[
        Path | None,
        typer.Option(help="File to write or add to; by default calibration.json beside the adapter, if any, or model."),
    ] = None,
    skip_bad: SkipBadOption = False,
    same_ids_are_others: Annotated[
        bool,
        typer.Option("--same-ids-are-others", help="Identifiers that were trained on belong to other people here."),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Pictures embedded at a time.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.", min=0)] = 0,
    json: JsonOption = None,
) -> None:
    """Set thresholds for chosen false match rates on one split, see them at work on another, and store them.

    They hold for this model and this pair of modalities, on data like those they were set on.
    """
    fmrs = _parse_fmrs(fmr)
    output = _default_output(model, adapter, low_rank) if output is None else output
    from hf_crossspec.evaluation.calibration_file import Calibration

    if output.exists():  # better known now than after the work
        Calibration.load(output)
    quiet_libraries()
    from hf_crossspec.evaluation.calibration import calibrate as calibrate_model

    calibration = calibrate_model(
        model, data, adapter=adapter, low_rank=low_rank, dev_split=dev_split, test_split=test_split,
        gallery_modality=gallery_modality, probe_modality=probe_modality, fmrs=fmrs, mapping=mapping, skip_bad=skip_bad,
        same_ids_are_others=same_ids_are_others, batch_size=batch_size, seed=seed,
    )  # fmt: skip
    stored = calibration.save(output)
    _print_thresholds(calibration.pairs[0])
    console.print(f"stored in {output}, calibrated for {'; '.join(' and '.join(p.modalities) for p in stored.pairs)}")
    source = {"name": model, "adapter": adapter, "low_rank": low_rank, "weights_sha256": calibration.weights_sha256}
    write_result(json, {**calibration.to_dict(), "model": source, "data": data, "output": str(output)})


def _parse_fmrs(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--fmr needs numbers separated by commas, such as 1e-2,1e-3, not {text!r}") from None


def _default_output(model: str, adapter: str | None, low_rank: str | None) -> Path:
    from hf_crossspec.evaluation.calibration_file import FILE_NAME

    owner = low_rank or adapter or model
    if not Path(owner).is_dir():
        raise InputError(f"{owner} is not a local folder to keep the calibration in: say where with --output")
    return Path(owner) / FILE_NAME


def _print_thresholds(pair: PairCalibration) -> None:
    from rich.table import Table

    table = Table("FMR aimed at", "threshold [95 %]", "set on", "test FMR %", "test FNMR %", "note")
    for entry in pair.thresholds:
        on = entry.development.fmr
        table.add_row(
            f"{entry.fmr:g}",
            f"{entry.threshold:.4f} [{entry.low:.4f}, {entry.high:.4f}]".replace("[", r"\["),
            f"{on.errors:,} of {on.n:,}",
            _percent(None if entry.test is None else entry.test.fmr),
            _percent(None if entry.test is None else entry.test.fnmr),
            _note(entry),
        )
    console.print(table)
    if pair.calibration_error is not None:
        error = pair.calibration_error
        console.print(
            f"log-likelihood ratios on the test split: Cllr {error['cllr_bits']:.3f} bits, of which "
            f"{error['minimum_cllr_bits']:.3f} would remain at best; ECE {error['ece']:.3f}"
        )
    failures = sum(pair.setting.get(split, {}).get("failures_to_acquire", 0) for split in ("development", "test"))
    if failures:
        console.print(f"{failures} pictures could not be read and take part in no comparison")


def _note(entry: ThresholdEntry) -> str:
    from hf_crossspec.evaluation.intervals import few_errors

    notes = []
    if entry.few_expected_false_matches:
        notes.append(f"fewer than 30 expected false matches: {entry.non_mated_for_30:,} non-mated comparisons needed")
    if entry.test is not None and few_errors(entry.test.fmr.errors, entry.test.fnmr.errors):
        notes.append("fewer than 30 errors on the test split")
    return "; ".join(notes)


def _percent(rate: Rate | None) -> str:
    if rate is None:
        return "not tested"
    return rf"{100 * rate.value:.2f} \[{100 * rate.low:.2f}, {100 * rate.high:.2f}] ({rate.errors:,} of {rate.n:,})"
