"""How real SpectralFaces are to a network that never saw any, and what adapting to each simulated modality gains.

    python scripts/reproduce_spectralfaces.py MODEL OUT_DIR

MODEL is a model folder: the embedded `hf_crossspec/assets/edgeface-nano`, or a converted published checkpoint, which
knows real faces only. One picture per person is enrolled; the probe shows another pose, expression and light.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from hf_crossspec import FaceEmbedder, SelectiveTuningArguments, evaluate_model, load_faces, train_adapter
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.data.synthetic import MODALITIES, write_spectralfaces
from hf_crossspec.files import write_json

console = Console(highlight=False)
Report = dict[str, Any]
SHOWN = ("rank_1", "tar_at_fmr_1e-3", "eer")


def reproduce(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for everything made.")],
    subjects: Annotated[int, typer.Option(help="People to train on, and others to test on.")] = 200,
    epochs: Annotated[int, typer.Option(help="Epochs of each adapter.")] = 15,
    seed: Annotated[int, typer.Option(help="Seed of training and intervals.")] = 0,
) -> None:
    """Measure every modality against vis before and after an adapter for it, and vis against vis with each adapter."""
    quiet_libraries()
    output_dir.mkdir(parents=True)
    faces = output_dir / "faces"
    write_spectralfaces(faces, subjects, subjects, 2, MODALITIES, aligned=False)
    report: Report = {"strangers": stranger_similarity(model, faces), "before": {}, "after": {}, "kept": {}}
    for modality in MODALITIES:
        report["before"][modality] = measure(model, None, faces, modality, seed)
    for modality in MODALITIES[1:]:
        adapter = output_dir / f"adapter-{modality}"
        choices = {"base": str(model), "data": str(faces), "target_modality": modality, "output_dir": str(adapter)}
        train_adapter(SelectiveTuningArguments(**choices, epochs=epochs, seed=seed))
        report["after"][modality] = measure(model, adapter, faces, modality, seed)
        report["kept"][modality] = measure(model, adapter, faces, "vis", seed)
    write_json(output_dir / "results.json", report)
    print_table(report)


def measure(model: Path, adapter: Path | None, faces: Path, modality: str, seed: int) -> Report:
    """Probes of a modality against one visible picture of each test subject; visible probes are other pictures."""
    return evaluate_model(
        model, faces, adapter=adapter, split="test", gallery_modality="vis", probe_modality=modality, seed=seed
    )[0]


def stranger_similarity(model: Path, faces: Path) -> float:
    """Mean cosine between visible pictures of different test subjects."""
    rows = load_faces(faces, "test")
    rows = rows.select(np.flatnonzero(np.array(rows["modality"]) == "vis"))
    values, subjects = FaceEmbedder.from_pretrained(model).embed_dataset(rows).values, np.array(rows["subject_id"])
    return float((values @ values.T)[subjects[:, None] != subjects[None, :]].mean())


def print_table(report: Report) -> None:
    """As Markdown: values with 95 % intervals in per cent."""
    console.print(f"mean similarity of strangers in vis: {report['strangers']:.3f}")
    console.print(f"| probe to vis | {' | '.join(SHOWN)} |", soft_wrap=True)
    console.print("|---" * (len(SHOWN) + 1) + "|")
    for title, part in (("", "before"), (", adapted", "after"), (": vis, adapted to it", "kept")):
        for modality, result in report[part].items():
            cells = [with_interval(result["metrics"][name]) for name in SHOWN]
            console.print(f"| {modality}{title} | {' | '.join(cells)} |", soft_wrap=True)


def with_interval(metric: dict[str, float]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.1f} [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"


if __name__ == "__main__":
    typer.run(reproduce)
