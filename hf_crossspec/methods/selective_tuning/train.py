"""Train an adapter: pairs in, a PEFT adapter of a few tens of kilobytes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel, get_peft_model
from torch import nn
from torch.utils.data import Dataset

from hf_crossspec.adapters import quiet_peft
from hf_crossspec.data.augmentation import augment_faces
from hf_crossspec.data.pixels import FaceSet, refuse_shared_subjects, to_input
from hf_crossspec.data.sampling import IdentityBalancedPairs
from hf_crossspec.data.schema import load_faces
from hf_crossspec.edgeface import EdgeFaceModel
from hf_crossspec.embedding import load_base, weights_fingerprint
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.runner import hashed_subjects, quick_metrics
from hf_crossspec.methods.selective_tuning.config import SelectiveTuningArguments
from hf_crossspec.methods.selective_tuning.losses import contrastive_alignment_loss, self_distillation_loss
from hf_crossspec.methods.selective_tuning.scopes import selective_tuning_config, trainable_parameters
from hf_crossspec.training.loop import make_accelerator, run_task


@dataclass(frozen=True)
class TrainingResult:
    """What a run made.

    Args:
        adapter_dir: Folder of the adapter; give it to `PeftModel.from_pretrained` or `--adapter`.
        steps: Optimiser steps of the run.
        trainable_parameters: Number of tuned parameters.
        subjects, pairs: What the adapter was trained on.
        best: Step and value of the best evaluation, or `None` without evaluation data.
        seconds: Training time of this process, resumed parts excluded.
        skipped: One line for each picture that could not be read.
        resized: How many pictures had another size than the model's.
    """

    adapter_dir: Path
    steps: int
    trainable_parameters: int
    subjects: int
    pairs: int
    best: dict[str, float] | None
    seconds: float
    skipped: tuple[str, ...] = ()
    resized: int = 0


def train_adapter(args: SelectiveTuningArguments) -> TrainingResult:
    """Adapt a saved EdgeFace to another modality.

    Raises:
        InputError: unusable arguments, data or output folder, shared subjects, or a loss that is not finite.

    Example:
        >>> train_adapter(SelectiveTuningArguments(  # doctest: +SKIP
        ...     base="edgeface-xxs", data="pairs", target_modality="nir", output_dir="edgeface-xxs-nir"))
    """
    args.check()
    accelerator = make_accelerator(args)
    task = SelectiveTuning.prepare(args, accelerator)
    facts = {"trained_subjects": hashed_subjects(task.subjects)}
    result = run_task(task, args, accelerator, task.fingerprints(), facts)
    return TrainingResult(
        adapter_dir=Path(args.output_dir),
        steps=result["steps"],
        trainable_parameters=trainable_parameters(task.model),
        subjects=len(task.subjects),
        pairs=task.batches.pairs.pairs,
        best=result["best"],
        seconds=result["seconds"],
        skipped=task.skipped,
        resized=task.resized,
    )


def add_adapter(base: EdgeFaceModel, args: SelectiveTuningArguments) -> PeftModel:
    """Put the scope's adapter onto the base; only its parameters require gradients."""
    with quiet_peft():
        model = get_peft_model(
            base, selective_tuning_config(args.scope, low_rank=base.config.low_rank_gamma is not None)
        )
    model.peft_config["default"].base_model_name_or_path = args.base
    return model


class PairBatches(Dataset):
    """Item i is batch number i: source and target pictures of the same subjects, the same at every call."""

    def __init__(self, source: FaceSet, target: FaceSet, pairs: IdentityBalancedPairs, augment: bool) -> None:
        self.source, self.target, self.pairs, self.augment = source, target, pairs, augment

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        source_index, target_index, subjects = self.pairs.batch(number)
        source = to_input(self.source.pixels[torch.from_numpy(source_index)])  # (B, 3, H, W)
        target = to_input(self.target.pixels[torch.from_numpy(target_index)])  # (B, 3, H, W)
        if self.augment:
            generator = torch.Generator().manual_seed(hash((self.pairs.seed, number, self.pairs.rank)))
            source, target = augment_faces(torch.cat([source, target]), generator).chunk(2)
        return {
            "source": source,
            "target": target,
            "source_index": torch.from_numpy(source_index),
            "subjects": torch.from_numpy(subjects),
        }


@dataclass
class SelectiveTuning:
    """The method as a `Task` of the training loop."""

    model: PeftModel
    batches: PairBatches
    args: SelectiveTuningArguments
    base_sha256: str
    evaluation: FaceSet | None = None
    skipped: tuple[str, ...] = ()
    resized: int = 0
    best_metric: str = "eer"
    _teacher_cache: torch.Tensor | None = field(default=None, repr=False)

    @classmethod
    def prepare(
        cls,
        args: SelectiveTuningArguments,
        accelerator: Accelerator,
        adapt: Callable[[EdgeFaceModel, SelectiveTuningArguments], Any] = add_adapter,
    ) -> SelectiveTuning:
        """Load model and pictures and check that they can be trained on, before anything is written.

        `adapt` turns the base into the network to train: a `PeftModel`, or a module that, like one, gives the untouched
        base under `disable_adapter()`, writes what was trained with `save_pretrained`, and has a `device`.
        """
        base, processor = load_base(args.base)
        if not isinstance(base, EdgeFaceModel):
            raise InputError(f"{args.base} is a {type(base).__name__}: selective tuning adapts EdgeFace models")
        faces = FaceSet.decode(load_faces(args.data, args.split), processor, args.skip_bad)
        source, target = faces.of_modality(args.source_modality), faces.of_modality(args.target_modality)
        pairs = IdentityBalancedPairs(
            source.subjects, target.subjects, args.batch_size, args.seed,
            accelerator.num_processes, accelerator.process_index,
        )  # fmt: skip
        fingerprint = weights_fingerprint(base)
        model = adapt(base, args)
        evaluation = _load_evaluation(args, processor, pairs.subjects) if args.eval_data else None
        batches = PairBatches(source, target, pairs, args.augment)
        return cls(model, batches, args, fingerprint, evaluation, faces.skipped, faces.resized)

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.pairs.batches_per_epoch

    @property
    def subjects(self) -> list[str]:
        """The subjects that are trained on."""
        return self.batches.pairs.subjects

    def loss(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(1 - distill_weight) x alignment + distill_weight x self-distillation, and the two alone."""
        images = torch.cat([batch["source"], batch["target"]])  # (2B, 3, H, W)
        source, target = model(pixel_values=images).embeddings.chunk(2)  # (B, D) each
        alignment = contrastive_alignment_loss(source, target, batch["subjects"], self.args.margin)
        distillation = self_distillation_loss(source, self._teacher(batch))
        weight = self.args.distill_weight
        total = (1 - weight) * alignment + weight * distillation
        return total, {"alignment": alignment, "distillation": distillation}

    def evaluate(self) -> dict[str, float] | None:
        """EER, AUC, TAR and Rank-1 of target probes against source templates on the evaluation subjects."""
        if self.evaluation is None:
            return None
        embeddings = torch.cat([self._embed(batch) for batch in self.evaluation.pixels.split(64)])
        return quick_metrics(
            embeddings.cpu().numpy(), self.evaluation.subjects, self.evaluation.modalities,
            gallery_modality=self.args.source_modality, probe_modality=self.args.target_modality,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write adapter_model.safetensors and adapter_config.json."""
        self.model.save_pretrained(str(folder))
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's card is a form to fill in; ours comes with a push

    def fingerprints(self) -> dict[str, str]:
        """What a resumed run must find unchanged: base weights and pictures."""
        return {
            "base_sha256": self.base_sha256,
            "source_sha256": self.batches.source.fingerprint(),
            "target_sha256": self.batches.target.fingerprint(),
        }

    @torch.no_grad()
    def _embed(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=to_input(pixels).to(self.model.device)).embeddings.float()

    @torch.no_grad()
    def _teacher(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embeddings (B, D) of the untouched base; without augmentation computed once per picture."""
        with self.model.disable_adapter():
            if self.batches.augment:
                return self.model(pixel_values=batch["source"]).embeddings
            if self._teacher_cache is None:
                pictures = self.batches.source.pixels.split(64)
                self._teacher_cache = torch.cat([self._embed(part) for part in pictures])
        return self._teacher_cache[batch["source_index"]]


def _load_evaluation(args: SelectiveTuningArguments, processor: Any, trained: list[str]) -> FaceSet:
    """The evaluation pictures of both modalities; subjects must be new."""
    faces = FaceSet.decode(load_faces(str(args.eval_data), args.eval_split), processor, args.skip_bad)
    refuse_shared_subjects(faces.subjects, trained)
    for modality in (args.source_modality, args.target_modality):
        faces.of_modality(modality)
    return faces
