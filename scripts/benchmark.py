"""Speed as ratios against a stated reference, both measured in this run, in turns, so that a drifting machine cancels.

    python scripts/benchmark.py train --json train.json

Pictures are random and weights are fresh: arithmetic costs the same for any values.
"""

from __future__ import annotations

import copy
import dataclasses
import platform
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
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
from hf_crossspec.evaluation import cosine_score_matrix
from hf_crossspec.evaluation.streaming import evaluate_streaming, lazy_cosine_scores
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


@app.command()
def score(
    people: Annotated[int, typer.Option(help="Probes, and as many gallery templates, of one measurement.")] = 20_000,
    dimensions: Annotated[int, typer.Option(help="Length of an embedding.")] = 512,
    rounds: Annotated[int, typer.Option(help="How often both are measured.")] = 3,
    json: JsonOption = None,
) -> None:
    """EER, TAR at FMR 1e-5 and rank-k of all probes against all templates: `evaluate_streaming` against full sorts.

    The reference holds the matrix, sorts all scores and each row with numpy, and takes the same products. Either runs
    in a process of its own, whose peak memory is reported. Embeddings are random, with an EER of some per cent.
    """
    sides: dict[str, list[dict[str, Any]]] = {"ours": [], "reference": []}
    for number in range(rounds):
        for name, side in (("ours", stream_scores), ("reference", sort_scores)):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                sides[name].append(process.submit(side, people, dimensions, number).result())
        ours, reference = sides["ours"][-1], sides["reference"][-1]
        for metric, value in reference["metrics"].items():  # products in other blocks round differently
            assert abs(ours["metrics"][metric] - value) <= 2 / people, (metric, ours, reference)
    result: dict[str, Any] = {"rounds": sides}
    for what in ("with", "without"):
        seconds = [
            [run["seconds"] - (run["product_seconds"] if what == "without" else 0) for run in side]
            for side in sides.values()
        ]
        ratios = [theirs / ours for ours, theirs in zip(*seconds, strict=True)]
        result[f"times_faster_{what}_products"] = statistics.median(ratios)
        console.print(
            f"{what} the matrix product: {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to "
            f"{max(ratios):.1f}); {statistics.median(seconds[0]):.1f} s against {statistics.median(seconds[1]):.1f} s"
        )
    result["peak_gigabytes"] = {name: max(run["peak_gigabytes"] for run in side) for name, side in sides.items()}
    result["setting"] = {"people": people, "dimensions": dimensions, "rounds": rounds, "numpy": np.__version__}
    console.print(", ".join(f"peak memory {name} {peak:.2f} GB" for name, peak in result["peak_gigabytes"].items()))
    console.print(f"metrics of the last round: {sides['ours'][-1]['metrics']}")
    write_result(json, result)


def random_embeddings(people: int, dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A probe and a template of each person, float32, whose cosine is about 0.18."""
    rng = np.random.default_rng(seed)
    gallery = rng.standard_normal((people, dimensions), np.float32)
    return gallery + 5.5 * rng.standard_normal((people, dimensions), np.float32), gallery


def stream_scores(people: int, dimensions: int, seed: int) -> dict[str, Any]:
    """Ours: the metrics, seconds, seconds of matrix products among them, and the peak memory of this process."""
    probe, gallery = random_embeddings(people, dimensions, seed)
    product = 0.0
    started = time.perf_counter()
    scores = lazy_cosine_scores(probe, gallery, np.arange(people), np.arange(people))

    def timed_rows(rows: slice | np.ndarray) -> np.ndarray:
        nonlocal product
        begun = time.perf_counter()
        block = scores.rows(rows)
        product += time.perf_counter() - begun
        return block

    metrics = evaluate_streaming(dataclasses.replace(scores, rows=timed_rows), fmr_targets=(1e-5,))["metrics"]
    seconds = time.perf_counter() - started
    return measured({name: metric["value"] for name, metric in metrics.items()}, seconds, product)


def sort_scores(people: int, dimensions: int, seed: int) -> dict[str, Any]:
    """The reference, as `stream_scores`: all scores in memory, all sorted."""
    probe, gallery = random_embeddings(people, dimensions, seed)
    subjects = np.arange(people)
    started = time.perf_counter()
    scores = cosine_score_matrix(probe, gallery)
    product = time.perf_counter() - started
    same = subjects[:, None] == subjects[None, :]
    mated, non_mated = np.sort(scores[same]), np.sort(scores[~same])
    metrics: dict[str, float] = {}
    for start in range(0, people, 1000):  # in parts only to spare the machine: the order takes twice the scores' memory
        rows = slice(start, start + 1000)
        order = np.argsort(-scores[rows], axis=1)
        place = 1 + np.argmax(np.take_along_axis(same[rows], order, axis=1), axis=1)
        for rank in (1, 5, 10):
            metrics[f"rank_{rank}"] = metrics.get(f"rank_{rank}", 0.0) + np.count_nonzero(place <= rank) / people
    fnmr = np.arange(len(mated)) / len(mated)
    fmr = 1 - np.searchsorted(non_mated, mated) / len(non_mated)
    nearest = np.argmin(abs(fmr - fnmr))
    metrics["eer"] = float(fmr[nearest] + fnmr[nearest]) / 2
    last_kept_out = non_mated[len(non_mated) - int(1e-5 * len(non_mated)) - 1]
    metrics["tar_at_fmr_1e-5"] = float(np.mean(mated > last_kept_out))
    return measured(metrics, time.perf_counter() - started, product)


def measured(metrics: dict[str, float], seconds: float, product: float) -> dict[str, Any]:
    """What a process found and took."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in kilobytes
    return {"metrics": metrics, "seconds": seconds, "product_seconds": product, "peak_gigabytes": peak}


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
