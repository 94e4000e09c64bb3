"""Adapt the package's nano EdgeFace to a simulated spectrum, calibrate both, and show how the adapter came about.

    python scripts/adapt_nano.py --output-dir nano-nir-sim

The training is the quickstart's. Thresholds are set on people whom neither network has seen, and tried on others.
`--install` makes the result the adapter that the demo shows.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub import EvalResult, ModelCardData
from rich.console import Console

import hf_crossspec
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.data.synthetic import load_spectralfaces
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration import calibrate
from hf_crossspec.evaluation.calibration_file import FILE_NAME, Calibration
from hf_crossspec.files import copy_files, read_json, write_json
from hf_crossspec.hub.source import ADAPTER_FILES
from hf_crossspec.quickstart import Report, quickstart

console = Console(highlight=False)
ASSETS = Path(hf_crossspec.__file__).parent / "assets"
BASE = ASSETS / "edgeface-nano"
SUBJECTS, IMAGES = 200, 2
DEVELOPMENT_SEED, TEST_SEED = 2, 0  # of people; the network was trained on those of seed 1, the adapter's are of seed 0
SHOWN = {"rank_1": "Rank-1", "tar_at_fmr_1e-2": "TAR at FMR 1 %", "tar_at_fmr_1e-3": "TAR at FMR 0.1 %", "eer": "EER"}


def main(
    output_dir: Annotated[Path, typer.Option(help="New folder for everything made.")],
    modality: Annotated[str, typer.Option(help="nir-sim, thermal-sim or sketch-sim.")] = "nir-sim",
    install: Annotated[bool, typer.Option("--install", help="Put the result into the package.")] = False,
) -> None:
    """Adapt and calibrate; about two minutes on two cores."""
    quiet_libraries()
    report = quickstart(output_dir / "quickstart", modality, say=console.print)
    console.print(f"Calibrating on {SUBJECTS} other people")
    faces = write_calibration_faces(output_dir / "calibration-faces", modality)
    networks = {"base": None, "adapter": output_dir / "quickstart" / "adapter"}
    for name, adapter in networks.items():
        for probe in ("vis", modality):
            calibration = calibrate(
                BASE, faces, adapter=adapter, test_split="test", gallery_modality="vis", probe_modality=probe
            )
            calibration.save(output_dir / name / FILE_NAME)
    write_adapter(output_dir / "adapter", networks["adapter"], report, modality)
    console.print(f"adapter: {output_dir / 'adapter'}; thresholds without it: {output_dir / 'base' / FILE_NAME}")
    if install:
        target = ASSETS / f"{BASE.name}-{modality}"
        target.mkdir(exist_ok=True)
        copy_files(output_dir / "adapter", target)
        copy_files(output_dir / "base", BASE)
        console.print(f"installed: {target}")


def write_calibration_faces(folder: Path, modality: str) -> Path:
    """People whom nothing was trained on, in two splits."""
    folder.mkdir(parents=True)
    for split, seed in (("validation", DEVELOPMENT_SEED), ("test", TEST_SEED)):
        faces = load_spectralfaces("test", SUBJECTS, IMAGES, ("vis", modality), aligned=False, seed=seed)
        faces.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


def write_adapter(folder: Path, run: Path | None, report: dict[str, Report], modality: str) -> None:
    """What the adapter is made of, without paths of this machine, and a card."""
    assert run is not None
    for name in ADAPTER_FILES:
        shutil.copyfile(run / name, folder / name)
    config = read_json(folder / ADAPTER_FILES[0])
    write_json(folder / ADAPTER_FILES[0], config | {"base_model_name_or_path": BASE.name})
    calibration = Calibration.load(folder / FILE_NAME)
    (folder / "README.md").write_text(card(report, calibration, modality), encoding="utf-8")


def card(report: dict[str, Report], calibration: Calibration, modality: str) -> str:
    """The README: figures before and after, and the thresholds on people of the test split."""
    sides = {f"{modality} to vis": ("before", "after"), "vis to vis": ("retention_before", "retention_after")}
    rows = [
        f"| {side}, {title} | {cell(report[before]['metrics'][name])} | {cell(report[after]['metrics'][name])} |"
        for side, (before, after) in sides.items()
        for name, title in SHOWN.items()
    ]
    thresholds = [
        f"| {', '.join(pair.modalities)} | {100 * entry.fmr:g} % | {entry.threshold:.4f} "
        f"[{entry.low:.4f}, {entry.high:.4f}] | {rate(entry.test.fmr)} | {rate(entry.test.fnmr)} |"
        for pair in calibration.pairs
        for entry in pair.thresholds
        if entry.test is not None
    ]
    return CARD.format(
        front_matter=front_matter(report, modality), modality=modality, version=hf_crossspec.__version__,
        rows="\n".join(rows), thresholds="\n".join(thresholds), subjects=SUBJECTS, images=IMAGES,
    )  # fmt: skip


def front_matter(report: dict[str, Report], modality: str) -> str:
    """The measured figures in the form of the Hub's model-index."""
    results = [
        EvalResult(
            task_type="image-feature-extraction",
            dataset_type="spectralfaces", dataset_name="SpectralFaces (synthetic)",
            dataset_config=f"{probe} to vis", dataset_split="test", metric_type=name,
            metric_name=f"{title}, per cent", metric_value=round(100 * report[side]["metrics"][name]["value"], 2),
            metric_args={end: round(100 * report[side]["metrics"][name][end], 2) for end in ("low", "high")},
        )
        for probe, side in ((modality, "after"), ("vis", "retention_after"))
        for name, title in SHOWN.items()
    ]  # fmt: skip
    data = ModelCardData(
        license="apache-2.0", library_name="peft", tags=["synthetic"], model_name=f"{BASE.name}-{modality}",
        eval_results=results,
    )  # fmt: skip
    return data.to_yaml()


def cell(metric: dict[str, Any]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.1f} [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"


def rate(found: Any) -> str:
    """An error rate, its interval and what it stands on."""
    return f"{100 * found.value:.2f} % [{100 * found.low:.2f}, {100 * found.high:.2f}], {found.errors:,} of {found.n:,}"


CARD = """\
---
{front_matter}
---
# EdgeFace nano, adapted to {modality}

A PEFT adapter of 2,160 parameters that teaches the embedded nano EdgeFace to recognise rendered faces in {modality}
against visible ones. It comes with `hf_crossspec` so that its demo shows what an adapter does without any other weights
or pictures. Nobody is depicted in what it was trained on, and the spectrum is simulated.

- Licence: Apache-2.0, weights included.
- Trained as `crossspec quickstart --target-modality {modality}` does, on 200 SpectralFaces people of the train split of
  seed 0, with hf_crossspec {version}. The command:

```
python scripts/adapt_nano.py --output-dir nano-{modality} --modality {modality}
```

## Measured

On 200 other people, in per cent with 95 % intervals.

| | before | after |
|---|---|---|
{rows}

## Thresholds

In `calibration.json`, set on {subjects} people of seed 2, {images} pictures of each in each modality, and tried on
{subjects} people of the test split of seed 0, who are also those of the table above.

| modalities | FMR aimed at | threshold [95 %] | FMR on the test people | FNMR on the test people |
|---|---|---|---|---|
{thresholds}
"""


if __name__ == "__main__":
    app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except InputError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(2)
