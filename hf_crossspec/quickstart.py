"""The whole main job in one call, on nothing but the package: synthetic pairs -> adapter -> before and after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from PIL import Image

from hf_crossspec.adapters import load_adapters
from hf_crossspec.data.images import decode_image
from hf_crossspec.data.schema import load_faces
from hf_crossspec.data.synthetic import write_spectralfaces
from hf_crossspec.embedding import load_base
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.plots import plot_gain
from hf_crossspec.evaluation.runner import evaluate_model
from hf_crossspec.files import new_directory, refuse_foreign_directory, write_json
from hf_crossspec.methods.selective_tuning.config import SelectiveTuningArguments
from hf_crossspec.methods.selective_tuning.train import train_adapter

TARGETS = ("nir-sim", "thermal-sim", "sketch-sim")
EMBEDDED_BASE = "assets/edgeface-nano"


@dataclass(frozen=True)
class Effort:
    """How much is rendered and trained."""

    train_subjects: int
    test_subjects: int
    epochs: int


FULL = Effort(train_subjects=200, test_subjects=200, epochs=30)
FAST = Effort(train_subjects=64, test_subjects=60, epochs=12)
Report = dict[str, Any]


def quickstart(
    output_dir: str | Path,
    target_modality: str = "nir-sim",
    fast: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Report]:
    """Render pairs, adapt the embedded nano EdgeFace, evaluate before and after on other subjects, draw the gain.

    Args:
        output_dir: New or empty folder; gets `base`, `faces`, `samples`, `adapter`, `merged`, `report.json` and
            `gain.png`.
        target_modality: A simulated modality: nir-sim, thermal-sim or sketch-sim.
        fast: Fewer subjects and epochs, for a quick look.
        seed: Of training and intervals; the faces are always the same.
        say: Told in a sentence what happens next.

    Returns:
        `before`, `after` (target probes against visible templates), `retention_before`, `retention_after` (visible
        against visible), each a report as `evaluate_model` gives it.

    Raises:
        InputError: an unknown modality or a folder that is not empty.
    """
    if target_modality not in TARGETS:
        raise InputError(f"unknown target {target_modality!r}: choose one of {', '.join(TARGETS)}")
    folder, effort = Path(output_dir), FAST if fast else FULL
    refuse_foreign_directory(folder)
    say(
        f"1/5  Rendering {effort.train_subjects} + {effort.test_subjects} synthetic people in vis and {target_modality}"
    )
    write_spectralfaces(
        folder / "faces", effort.train_subjects, effort.test_subjects, 2, ("vis", target_modality), aligned=False
    )
    with as_file(files("hf_crossspec") / EMBEDDED_BASE) as embedded:
        shutil.copytree(embedded, folder / "base")
    say(f"2/5  Measuring the visible-light network on {effort.test_subjects} people it has never seen")
    before = _measure(folder, None, target_modality, seed)
    say("3/5  Training LayerNorms and stem on the pairs of the training people")
    args = SelectiveTuningArguments(
        base=str(folder / "base"), data=str(folder / "faces"), target_modality=target_modality,
        output_dir=str(folder / "adapter"), epochs=effort.epochs, seed=seed,
    )  # fmt: skip
    run = train_adapter(args)
    say(f"4/5  Measuring again, with the adapter ({run.trainable_parameters:,} parameters)")
    after = _measure(folder, folder / "adapter", target_modality, seed)
    say("5/5  Merging, drawing, writing the report")
    _save_merged(folder)
    report = {"before": before[0], "after": after[0], "retention_before": before[1], "retention_after": after[1]}
    write_json(folder / "report.json", report)
    _draw(folder, report, target_modality)
    return report


def _measure(folder: Path, adapter: Path | None, target_modality: str, seed: int) -> tuple[Report, Report]:
    """Target against visible, and visible against visible, on the test subjects."""

    def evaluate(probe_modality: str) -> Report:
        report, _ = evaluate_model(
            folder / "base", folder / "faces", adapter=adapter, split="test",
            gallery_modality="vis", probe_modality=probe_modality, seed=seed,
        )  # fmt: skip
        return report

    return evaluate(target_modality), evaluate("vis")


def _save_merged(folder: Path) -> None:
    """One network with the adapter folded in, for those who load models without PEFT."""
    base, processor = load_base(folder / "base")
    with new_directory(folder / "merged") as temporary:
        load_adapters(base, {"default": folder / "adapter"}).merge_and_unload().save_pretrained(temporary)
        processor.save_pretrained(temporary)


def _save_samples(folder: Path, target_modality: str) -> list[list[Image.Image]]:
    """The first pair of three test subjects, also as PNG files to verify by hand."""
    rows = load_faces(folder / "faces", "test")
    first: dict[tuple[str, str], Any] = {}
    for row in rows.select(range(min(len(rows), 40))):
        first.setdefault((row["subject_id"], row["modality"]), row["image"])
    subjects = sorted({subject for subject, _ in first})[:3]
    pairs = [[decode_image(first[subject, modality]) for modality in ("vis", target_modality)] for subject in subjects]
    (folder / "samples").mkdir()
    for number, pair in enumerate(pairs, start=1):
        for modality, picture in zip(("vis", target_modality), pair, strict=True):
            picture.save(folder / "samples" / f"person{number}-{modality}.png")
    return pairs


def _draw(folder: Path, report: dict[str, Report], target_modality: str) -> None:
    """ROC before and after, and three of the people behind it."""
    pairs = _save_samples(folder, target_modality)
    curves = {name: report[name]["curves"]["roc"] for name in ("before", "after")}
    plot_gain(
        {name: (curve["fmr"], curve["tar"]) for name, curve in curves.items()},
        pairs,
        folder / "gain.png",
        f"SpectralFaces (synthetic), {target_modality} against vis",
    )
