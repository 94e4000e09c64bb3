"""Speed as ratios against a stated reference, both measured in this run, in turns, so that a drifting machine cancels.

    python scripts/benchmark.py train --json train.json

Pictures are random and weights are fresh: arithmetic costs the same for any values.
"""

from __future__ import annotations

import copy
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import torch
import typer
from datasets import Dataset
from PIL import Image
from rich.console import Console

from hf_crossspec import EdgeFaceConfig, EdgeFaceImageProcessor, EdgeFaceModel, SelectiveTuningArguments, train_adapter
from hf_crossspec.cli.shared import JsonOption, quiet_libraries, write_result
from hf_crossspec.data.augmentation import augment_faces
from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance
from hf_crossspec.data.synthetic.render import make_scene, render_scene
from hf_crossspec.methods.selective_tuning.losses import contrastive_alignment_loss, self_distillation_loss

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(highlight=False)


@app.command()
def train(
    variant: Annotated[str, typer.Option(help="EdgeFace variant.")] = "xxs",
    batch_size: Annotated[int, typer.Option(help="Pairs in a batch.")] = 32,
    steps: Annotated[int, typer.Option(help="Optimiser steps of one measurement.")] = 30,
    rounds: Annotated[int, typer.Option(help="How often both are measured.")] = 5,
    json: JsonOption = None,
) -> None:
    """Throughput of `train_adapter` over that of a bare PyTorch loop with the same arithmetic.

    Both augment, embed 2 x batch pictures with gradients, embed one batch with the frozen teacher, and step AdamW on
    the scope ln+stem. Ours also resolves the batches, wraps the network in PEFT, logs every step and checkpoints.
    """
    quiet_libraries()
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        EdgeFaceModel(EdgeFaceConfig.for_variant(variant)).save_pretrained(base)
        EdgeFaceImageProcessor().save_pretrained(base)
        data = str(random_pairs(batch_size, Path(folder) / "pairs.parquet"))
        for number in range(rounds + 1):  # the first round warms up
            args = SelectiveTuningArguments(
                base=str(base), data=data, target_modality="nir", output_dir=str(Path(folder) / f"run{number}"),
                epochs=steps, batch_size=batch_size,
            )  # fmt: skip
            ours = steps / train_adapter(args).seconds
            bare = steps / bare_training_seconds(EdgeFaceModel.from_pretrained(base), args, steps)
            pairs.append((ours, bare))
    report(pairs[1:], {"variant": variant, "batch_size": batch_size, "steps": steps, "rounds": rounds}, json)


@app.command()
def render(
    people: Annotated[int, typer.Option(help="People of one measurement.")] = 25,
    conditions: Annotated[int, typer.Option(help="Pictures per person and modality.")] = 4,
    rounds: Annotated[int, typer.Option(help="How often each is measured; the median is given.")] = 7,
    json: JsonOption = None,
) -> None:
    """SpectralFaces per second on one core: pictures of 112 x 112 in one modality, in two, and in all four.

    Pictures of several modalities share pose, light and geometry, as the data set's default makes them.
    """
    cv2.setNumThreads(1)
    sets = [(name,) for name in MODALITIES] + [MODALITIES[:2], MODALITIES]
    seconds: dict[str, list[float]] = {" + ".join(names): [] for names in sets}
    for first in range(0, (rounds + 1) * people, people):  # new people each round: nothing is cached from the last
        for names in sets:
            started = time.perf_counter()
            for subject in range(first, first + people):
                who = draw_identity("train", subject)
                for condition in range(conditions):
                    scene = make_scene(who, draw_nuisance("train", subject, condition))
                    for modality in names:
                        render_scene(scene, modality)
            seconds[" + ".join(names)].append(time.perf_counter() - started)
    result = {}
    for title, times in seconds.items():
        pictures = people * conditions * (title.count("+") + 1)
        result[title] = pictures / statistics.median(times[1:])
        console.print(f"{title}: {result[title]:.0f} images/s")
    write_result(json, {"images_per_second": result, "rounds": rounds, "people": people, "conditions": conditions})


def random_pairs(subjects: int, path: Path) -> Path:
    """One random picture per subject and modality, as Parquet."""
    rows: dict[str, list[Any]] = {"image": [], "subject_id": [], "modality": []}
    for subject in range(subjects):
        for modality in ("vis", "nir"):
            rows["image"].append(Image.effect_noise((112, 112), 60))
            rows["subject_id"].append(f"s{subject}")
            rows["modality"].append(modality)
    Dataset.from_dict(rows).to_parquet(str(path))
    return path


def bare_training_seconds(model: EdgeFaceModel, args: SelectiveTuningArguments, steps: int) -> float:
    """The reference: one plain loop over tensors in memory, without PEFT, Accelerate, log or checkpoint."""
    teacher = copy.deepcopy(model).requires_grad_(False)
    for name, module in model.named_modules():
        tuned = isinstance(module, torch.nn.LayerNorm) or name == "net.stem.0"
        if not list(module.children()):
            module.requires_grad_(tuned)
    for name, parameter in model.named_parameters():
        if name.rsplit(".", 1)[1].startswith(("gamma", "temperature")):
            parameter.requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.learning_rate, weight_decay=args.weight_decay)
    pixels = torch.rand(2 * args.batch_size, 3, 112, 112) * 2 - 1
    subjects = torch.arange(args.batch_size)
    generator = torch.Generator()
    started = time.perf_counter()
    for step in range(steps):
        images = augment_faces(pixels, generator.manual_seed(step))
        source, target = model(pixel_values=images).embeddings.chunk(2)
        with torch.no_grad():
            taught = teacher(pixel_values=images[: args.batch_size]).embeddings
        alignment = contrastive_alignment_loss(source, target, subjects, args.margin)
        distillation = self_distillation_loss(source, taught)
        loss = (1 - args.distill_weight) * alignment + args.distill_weight * distillation
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def report(pairs: list[tuple[float, float]], setting: dict[str, Any], path: Path | None) -> None:
    """Print and write the ratio of every round, its median, and both speeds."""
    ratios = [ours / bare for ours, bare in pairs]
    ours, bare = (statistics.median(speeds) for speeds in zip(*pairs, strict=True))
    result = {
        "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "rounds": ratios},
        "steps_per_second": {"ours": ours, "reference": bare},
        "setting": setting,
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
    }
    console.print(
        f"ours / reference: median {result['ratio']['median']:.3f} ({min(ratios):.3f} to {max(ratios):.3f} over "
        f"{len(ratios)} rounds); {ours:.2f} and {bare:.2f} steps/s"
    )
    write_result(path, result)


if __name__ == "__main__":
    app()
