"""Arguments that every training run shares."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hf_crossspec.errors import InputError


def option(default: Any, text: str) -> Any:
    """A dataclass field with its help text; the command line shows the same text."""
    return field(default=default, metadata={"help": text})


def required(text: str) -> Any:
    """A dataclass field without a default, with its help text."""
    return field(metadata={"help": text})


@dataclass(kw_only=True)
class LoopArguments:
    """How to train: length, optimiser, numerics, checkpoints. Methods add their own fields by subclassing."""

    output_dir: str = required("New folder for the run; with --resume the folder of the run to go on with.")
    epochs: int = option(110, "Passes over the training data.")
    batch_size: int = option(32, "Items in a batch of one process.")
    learning_rate: float = option(3e-3, "Highest learning rate of AdamW.")
    warmup_ratio: float = option(0.1, "Part of the steps over which the rate rises; afterwards it falls as a cosine.")
    weight_decay: float = option(0.0, "Weight decay of AdamW.")
    max_grad_norm: float = option(10.0, "Gradients are scaled down to this norm.")
    gradient_accumulation: int = option(1, "Batches that make one optimiser step.")
    mixed_precision: str = option("no", "no, bf16 or fp16.")
    seed: int = option(0, "Seed of batches, augmentation and initial values.")
    checkpoint_every: int = option(100, "Optimiser steps between two checkpoints.")
    evaluate_every: int = option(5, "Epochs between two evaluations, where evaluation data are given.")
    workers: int = option(0, "Processes that prepare batches beside the training.")
    tracker: str | None = option(None, "Also log to this tracker of Accelerate (tensorboard, wandb, ...).")
    resume: bool = option(False, "Go on from the last checkpoint of output_dir.")

    def lasting(self) -> dict[str, Any]:
        """The arguments that decide the result of a run; a resumed run must agree in them."""
        passing = ("output_dir", "resume", "workers", "tracker", "checkpoint_every")
        return {name: value for name, value in asdict(self).items() if name not in passing}

    def check(self) -> None:
        """Raise `InputError` for values that no run can have."""
        for name in ("epochs", "batch_size", "gradient_accumulation", "checkpoint_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf") or self.max_grad_norm <= 0:
            raise InputError("learning_rate and max_grad_norm must be positive")
        if not 0 <= self.warmup_ratio < 1 or self.weight_decay < 0 or self.workers < 0 or self.seed < 0:
            raise InputError("warmup_ratio must lie in [0, 1); weight_decay, workers and seed must not be negative")
        if self.mixed_precision not in ("no", "bf16", "fp16"):
            raise InputError(f"mixed_precision must be no, bf16 or fp16, not {self.mixed_precision!r}")
