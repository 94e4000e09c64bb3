"""Train an EdgeFace of any size from random weights on visible faces, as a classifier over their subjects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from hf_crossspec.data.augmentation import augment_faces
from hf_crossspec.data.pixels import FaceSet, refuse_shared_subjects, to_input
from hf_crossspec.data.schema import load_faces
from hf_crossspec.edgeface import EdgeFaceConfig, EdgeFaceModel
from hf_crossspec.edgeface.configuration_edgeface import VARIANTS
from hf_crossspec.edgeface.image_processing_edgeface import EdgeFaceImageProcessor
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.runner import hashed_subjects, quick_metrics
from hf_crossspec.files import read_json
from hf_crossspec.methods.pretraining.margin_softmax import MARGINS, MarginSoftmax, check_margin
from hf_crossspec.training.arguments import LoopArguments, option, required
from hf_crossspec.training.loop import make_accelerator, run_task

NANO: dict[str, Any] = {
    "dims": [16, 32, 64, 96],
    "depths": [1, 1, 2, 1],
    "heads": [4, 4, 4, 4],
    "layer_scale_init": 0.5,  # with the next, every block takes part from the start: a short training needs that
    "initializer_range": 0.1,
}
NETWORKS: dict[str, dict[str, Any]] = {"nano": NANO, **VARIANTS}
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)  # ITU-R BT.601, on display values
SIZES = ("dims", "depths", "heads")
ARCHITECTURE = (*SIZES, "embedding_size", "image_size", "low_rank_gamma", "layer_scale_init", "initializer_range")


@dataclass(kw_only=True)
class PretrainingArguments(LoopArguments):
    """Arguments of `pretrain`."""

    data: str = required("Pictures with identities: a folder, a .parquet file or a Hub data set id.")
    split: str = option("train", "Split of the data to train on.")
    modality: str = option("vis", "Modality to train on.")
    config: str = option("nano", f"Network: {', '.join(NETWORKS)}, or a config.json of an EdgeFace or its folder.")
    dims: str | None = option(None, "Channels of the four stages instead of the network's, as 16,32,64,96.")
    depths: str | None = option(None, "Blocks of the four stages instead of the network's.")
    heads: str | None = option(None, "Attention heads of the four stages instead of the network's.")
    embedding_size: int | None = option(None, "Length of the embedding instead of the network's (512).")
    margin_loss: str = option("cosface", f"Margin softmax: {' or '.join(MARGINS)}.")
    margin: float | None = option(None, "Margin in [0, 1); by default the paper's, 0.35 (cosface) or 0.5 (arcface).")
    scale: float = option(64.0, "Factor of the cosines before the softmax.")
    augment: bool = option(True, "Mirror the pictures and vary pose, scale, brightness and contrast slightly.")
    grey: float = option(0.2, "Share of the pictures shown without colours, so that shape counts, in [0, 1].")
    eval_data: str | None = option(None, "Other subjects, to keep the best weights by; the default is the last ones.")
    eval_split: str | None = option(None, "Split of the evaluation data.")
    skip_bad: bool = option(False, "Leave out pictures that cannot be read, and name them.")
    weights_license: str | None = option(None, "Licence identifier written into the model's config.json.")
    weights_source: str | None = option(None, "Where the weights come from, written into the model's config.json.")
    epochs: int = option(20, "Passes over the training data.")
    batch_size: int = option(64, "Pictures in a batch of one process.")
    learning_rate: float = option(2e-3, "Highest learning rate of AdamW.")

    def check(self) -> None:
        super().check()
        check_margin(self.margin_loss, self.margin, self.scale)
        if not 0 <= self.grey <= 1:
            raise InputError(f"grey must lie in [0, 1], not {self.grey}")
        network_config(self)


@dataclass(frozen=True)
class PretrainingResult:
    """What a run made.

    Args:
        model_dir: The run's folder, which is a model folder for `AutoModel.from_pretrained` or `--base`.
        steps: Optimiser steps of the run.
        parameters: Number of the network's parameters, the classifier not counted.
        subjects, pictures: What was trained on.
        best: Step and value of the best evaluation, or `None` without evaluation data.
        seconds: Training time of this process, resumed parts excluded.
        skipped: One line for each picture that could not be read.
    """

    model_dir: Path
    steps: int
    parameters: int
    subjects: int
    pictures: int
    best: dict[str, float] | None
    seconds: float
    skipped: tuple[str, ...] = ()


def pretrain(args: PretrainingArguments) -> PretrainingResult:
    """Train an EdgeFace from random weights with a margin softmax over the subjects; the classifier is thrown away.

    Raises:
        InputError: unusable arguments, data or output folder, shared subjects, or a loss that is not finite.

    Example:
        >>> pretrain(PretrainingArguments(data="faces", output_dir="edgeface-nano"))  # doctest: +SKIP
    """
    args.check()
    accelerator = make_accelerator(args)
    task = Pretraining.prepare(args, accelerator)
    facts = {"trained_subjects": hashed_subjects(task.batches.subjects)}
    result = run_task(task, args, accelerator, {"data_sha256": task.batches.faces.fingerprint()}, facts)
    return PretrainingResult(
        model_dir=Path(args.output_dir),
        steps=result["steps"],
        parameters=task.model.network.num_parameters(),
        subjects=len(task.batches.subjects),
        pictures=len(task.batches.faces),
        best=result["best"],
        seconds=result["seconds"],
        skipped=task.batches.faces.skipped,
    )


def network_config(args: PretrainingArguments) -> EdgeFaceConfig:
    """The network that the arguments describe; `InputError` says why there is none."""
    values = dict(NETWORKS[args.config]) if args.config in NETWORKS else _saved_architecture(Path(args.config))
    values |= {name: _whole_numbers(name, getattr(args, name)) for name in SIZES if getattr(args, name) is not None}
    if args.embedding_size is not None:
        values["embedding_size"] = args.embedding_size
    try:
        return EdgeFaceConfig(**values, weights_license=args.weights_license, weights_source=args.weights_source)
    except (ValueError, TypeError) as error:
        raise InputError(f"no EdgeFace can be built: {error}") from error


def _saved_architecture(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"unknown network {str(path)!r}: choose one of {', '.join(NETWORKS)}, or give a config.json")
    saved = read_json(path / "config.json" if path.is_dir() else path)
    if not isinstance(saved, dict) or saved.get("model_type") != "edgeface":
        raise InputError(f"{path} is not the configuration of an EdgeFace")
    return {name: saved[name] for name in ARCHITECTURE if name in saved}


def _whole_numbers(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} must be whole numbers separated by commas, not {text!r}") from None


class FaceClassifier(nn.Module):
    """Network and classifier as one module, so that several processes train both."""

    def __init__(self, network: EdgeFaceModel, head: MarginSoftmax) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, pixel_values: torch.Tensor, subjects: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) and subject codes (B,) -> logits (B, C), the true ones behind the margin."""
        return self.head(self.network(pixel_values=pixel_values).embeddings, subjects)


class PictureBatches(Dataset):
    """Item i is batch number i: pictures in an order drawn anew for every epoch, the same at every call.

    The last batch of an epoch is filled up from the epoch's beginning. `processes` take consecutive batches.
    """

    def __init__(self, faces: FaceSet, args: PretrainingArguments, processes: int = 1, rank: int = 0) -> None:
        names, codes = np.unique(faces.subjects, return_inverse=True)
        if len(names) < 2:
            raise InputError(f"all pictures are of subject {names[0]}: a classifier needs at least two subjects")
        self.faces, self.codes, self.subjects = faces, torch.from_numpy(codes), names.tolist()
        self.size, self.seed, self.augment, self.grey = args.batch_size, args.seed, args.augment, args.grey
        self.processes, self.rank = processes, rank
        self.per_epoch = math.ceil(len(faces) / (self.size * processes))
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        epoch, position = divmod(number, self.per_epoch)
        start = (position * self.processes + self.rank) * self.size
        rows = self._order(epoch)[torch.arange(start, start + self.size) % len(self.faces)]
        pixels = to_input(self.faces.pixels[rows])  # (B, 3, H, W)
        generator = torch.Generator().manual_seed(hash((self.seed, number, self.rank)))
        if self.augment:
            pixels = augment_faces(pixels, generator)
        lost = torch.rand(self.size, generator=generator) < self.grey
        pixels[lost] = (pixels[lost] * LUMA).sum(dim=1, keepdim=True)
        return {"pixel_values": pixels, "subjects": self.codes[rows]}

    def _draw_order(self, epoch: int) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(len(self.faces)))


@dataclass
class Pretraining:
    """Pretraining as a `Task` of the training loop."""

    model: FaceClassifier
    batches: PictureBatches
    processor: EdgeFaceImageProcessor
    evaluation: FaceSet | None = None
    best_metric: str = "eer"

    @classmethod
    def prepare(cls, args: PretrainingArguments, accelerator: Accelerator) -> Pretraining:
        """Load pictures and build the network, before anything is written."""
        config = network_config(args)
        processor = EdgeFaceImageProcessor(size={"height": config.image_size, "width": config.image_size})
        faces = FaceSet.decode(load_faces(args.data, args.split), processor, args.skip_bad).of_modality(args.modality)
        batches = PictureBatches(faces, args, accelerator.num_processes, accelerator.process_index)
        evaluation = _load_evaluation(args, processor, batches.subjects) if args.eval_data else None
        torch.manual_seed(args.seed)
        head = MarginSoftmax(config.embedding_size, len(batches.subjects), args.margin_loss, args.margin, args.scale)
        return cls(FaceClassifier(EdgeFaceModel(config), head), batches, processor, evaluation)

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.per_epoch

    def loss(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross entropy, and the share of pictures whose subject wins although the margin is against it."""
        logits = model(**batch)  # (B, C)
        won = (logits.argmax(dim=1) == batch["subjects"]).float().mean()
        return cross_entropy(logits, batch["subjects"]), {"accuracy": won}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float] | None:
        """EER, AUC, TAR and Rank-1 of the other pictures against each evaluation subject's first."""
        if self.evaluation is None:
            return None
        network = self.model.network
        parts = [network(to_input(part).to(network.device)).embeddings for part in self.evaluation.pixels.split(64)]
        modality = str(self.evaluation.modalities[0])
        embeddings = torch.cat(parts).float().cpu().numpy()
        return quick_metrics(embeddings, self.evaluation.subjects, self.evaluation.modalities, modality, modality)

    def save(self, folder: Path) -> None:
        """Write an ordinary model folder: config.json, model.safetensors, preprocessor_config.json."""
        self.model.network.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def _load_evaluation(args: PretrainingArguments, processor: EdgeFaceImageProcessor, trained: list[str]) -> FaceSet:
    """The evaluation pictures; subjects must be new, at least two, and one of them needs a second picture."""
    data = load_faces(str(args.eval_data), args.eval_split)
    faces = FaceSet.decode(data, processor, args.skip_bad).of_modality(args.modality)
    names = set(faces.subjects)
    refuse_shared_subjects(faces.subjects, trained)
    if len(names) < 2 or len(names) == len(faces):
        raise InputError(f"{args.eval_data} needs two subjects at least, and several pictures of some of them")
    return faces
