"""Training throughput."""

from __future__ import annotations

import copy
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from datasets import Dataset
from PIL import Image
from rich.console import Console

from hf_crossspec import EdgeFaceConfig, EdgeFaceImageProcessor, EdgeFaceModel, SelectiveTuningArguments, train_adapter
from hf_crossspec.cli.shared import JsonOption, quiet_libraries, write_result
from hf_crossspec.data.augmentation import augment_faces
from hf_crossspec.methods.selective_tuning.losses import contrastive_alignment_loss, self_distillation_loss

console = Console(highlight=False)


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
