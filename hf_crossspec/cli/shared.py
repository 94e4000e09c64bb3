"""What several commands share: options from dataclasses, quiet libraries, tables and JSON reports."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from hf_crossspec.errors import InputError
from hf_crossspec.files import write_json

if TYPE_CHECKING:
    from hf_crossspec.recognition.results import Threshold

console = Console(highlight=False)

ModelOption = Annotated[str, typer.Option("--model", help="Model folder or Hub id.")]
AdapterOption = Annotated[str | None, typer.Option("--adapter", help="Adapter folder or Hub id for the model.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the result to this JSON file.")]
AdaptersOption = Annotated[
    list[str] | None,
    typer.Option("--adapter", help="Adapter folder or Hub id; or several as MODALITY=ADAPTER, the option repeated."),
]
LowRankOption = Annotated[
    str | None, typer.Option("--low-rank", help="Low-rank embedding (folder or Hub id) fitted for model and adapter.")
]
BackendOption = Annotated[
    Literal["torch", "compile", "onnx"],
    typer.Option("--backend", help="torch; onnx, the fastest on CPUs; or compile, slow to start."),
]
AlignedOption = Annotated[
    bool, typer.Option("--aligned", help="The pictures are aligned faces of 112 x 112: do not look for faces.")
]
DetectorOption = Annotated[str, typer.Option("--detector", help="Face detector.")]
DetectorPathOption = Annotated[
    Path | None, typer.Option("--detector-path", help="ONNX file of YuNet; else it is fetched from the Hub.")
]
FmrOption = Annotated[
    float | None,
    typer.Option("--fmr", help="Take the threshold calibrated for this false match rate; default: the lowest there."),
]
ThresholdOption = Annotated[
    float | None, typer.Option("--threshold", help="Accept at this cosine or above, instead of a calibrated one.")
]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out unreadable pictures, and count them.")]
SplitOption = Annotated[str | None, typer.Option("--split", help="Split of the data set.")]


def command_from(arguments: type) -> Callable[[Callable[[Any], None]], Callable[..., None]]:
    """Make a command of a function that takes one dataclass: each field becomes an option with the field's help."""
    hints = get_type_hints(arguments)

    def decorate(function: Callable[[Any], None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            function(arguments(**values))

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        parameters = []
        for field in fields(arguments):
            option = typer.Option("--" + field.name.replace("_", "-"), help=field.metadata["help"])
            if hints[field.name] is bool:
                option = typer.Option(help=field.metadata["help"])
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            annotation: Any = Annotated.__class_getitem__((hints[field.name], option))  # type: ignore[attr-defined]
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(field.name, kind, default=default, annotation=annotation))
        parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def parse_adapters(values: list[str] | None) -> str | dict[str, str] | None:
    """The values of `--adapter`: none, one adapter, or modality -> adapter."""
    if not values:
        return None
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    pairs = [value.split("=", 1) for value in values]
    if any(len(pair) != 2 or not all(pair) for pair in pairs) or len({pair[0] for pair in pairs}) < len(pairs):
        raise InputError("several adapters are given as --adapter MODALITY=ADAPTER, each modality once")
    return dict(pairs)


def quiet_libraries() -> None:
    """Keep the progress bars and notices of the libraries off the terminal; our own say what happens."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def print_metrics(result: dict[str, Any]) -> None:
    """Metrics as a table: value and 95 % interval in per cent, and what each stands on."""
    table = Table("metric", "value %", "95 % interval", "n", "note")
    for name, metric in result["metrics"].items():
        interval = f"{100 * metric['low']:.2f} - {100 * metric['high']:.2f}"
        table.add_row(name, f"{100 * metric['value']:.2f}", interval, f"{metric['n']:,}", _note(metric))
    console.print(table)
    console.print(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in result["counts"].items()))


def _note(metric: dict[str, Any]) -> str:
    if not metric.get("supported", True):
        return "too few comparisons for this rate"
    return "fewer than 30 errors" if metric.get("few_errors") else ""


def write_result(path: Path | None, result: dict[str, Any]) -> None:
    """Write a JSON report when one is wanted."""
    if path is not None:
        write_json(path, result)
        console.print(f"written to {path}")


def print_threshold(threshold: Threshold | None) -> None:
    """Where a calibrated threshold comes from, and what it did on the people it was tried on."""
    if threshold is None or threshold.entry is None:
        return
    entry = threshold.entry
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


def warn_of_resized(resized: int) -> None:
    """Pictures of another size were most likely never aligned: say so, as it costs more than any adapter gains."""
    if resized:
        console.print(
            f"note: {resized:,} pictures are not of the model's size and were resized whole, not aligned; "
            "see crossspec prepare"
        )


def name_skipped(skipped: tuple[str, ...] | list[str]) -> None:
    """Say which pictures were left out."""
    for line in skipped[:10]:
        console.print(f"skipped: {line}", markup=False)
    if len(skipped) > 10:
        console.print(f"... and {len(skipped) - 10} more")
