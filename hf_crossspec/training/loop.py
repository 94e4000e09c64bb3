"""The training loop of every method: Accelerate, exact resume, one log, the best product kept.

A run is a pure function of its arguments. Batch number i of a process is always the same batch, and torch's random
numbers are seeded anew for every batch, so a run that was killed goes on from its last checkpoint to bit-equal results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import get_cosine_schedule_with_warmup

from hf_crossspec.errors import InputError, Interrupted, one_line
from hf_crossspec.files import copy_files, read_json, write_json
from hf_crossspec.training.arguments import LoopArguments
from hf_crossspec.training.run_folder import RunFolder
from hf_crossspec.training.stopping import stop_requested

Metrics = dict[str, float]


class Task(Protocol):
    """What a method brings to the loop."""

    @property
    def model(self) -> nn.Module:
        """The network; the parameters that require gradients are trained."""

    @property
    def batches(self) -> Dataset:
        """Item i is the whole batch number i of this process."""

    @property
    def batches_per_epoch(self) -> int:
        """How many batches make an epoch."""

    @property
    def best_metric(self) -> str:
        """Name of the metric that chooses the best product; lower is better."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch and its named parts; `model` may be wrapped for several processes."""

    def evaluate(self) -> Metrics | None:
        """Metrics on evaluation data, or `None` without such data."""

    def save(self, folder: Path) -> None:
        """Write the product (an adapter, a model) into `folder`."""


class Loop:
    """Runs one `Task`. `run()` returns the result that it also writes to result.json, with the method's own `facts`.

    Raises:
        InputError: the loss stopped being finite (the last checkpoint stays).
        Interrupted: the process was asked to end; a checkpoint was written first.
    """

    def __init__(
        self, task: Task, args: LoopArguments, accelerator: Accelerator, folder: RunFolder, facts: dict[str, Any]
    ) -> None:
        self.task, self.args, self.accelerator, self.folder, self.facts = task, args, accelerator, folder, facts
        self.steps_per_epoch = -(-task.batches_per_epoch // args.gradient_accumulation)
        self.total_steps = self.steps_per_epoch * args.epochs
        self.step = 0
        self.best: dict[str, float] | None = None
        self.trained = {name: p for name, p in task.model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(
            self.trained.values(), lr=args.learning_rate, weight_decay=args.weight_decay, betas=(0.9, 0.999)
        )
        warmup = round(args.warmup_ratio * self.total_steps)
        self.scheduler = get_cosine_schedule_with_warmup(optimizer, warmup, self.total_steps)
        self.model, self.optimizer = accelerator.prepare(task.model, optimizer)

    def run(self) -> dict[str, Any]:
        """Train to the end, from the last checkpoint where there is one; a complete run is only read."""
        if self.folder.result_path.exists():
            return read_json(self.folder.result_path)
        self._restore()
        started, first = time.perf_counter(), self.step
        batches = self._batches()
        self.model.train()
        with self._progress() as advance, stop_requested() as stop:
            while self.step < self.total_steps:
                parts = self._optimiser_step(batches)
                self.step += 1
                self._log({"step": self.step, "epoch": self.step / self.steps_per_epoch, **parts})
                advance(parts)
                self._evaluate_when_due()
                stopping = self._any_process(stop())
                if stopping or self.step % self.args.checkpoint_every == 0 or self.step == self.total_steps:
                    self._checkpoint()
                if stopping and self.step < self.total_steps:
                    raise Interrupted(f"stopped at step {self.step} of {self.total_steps}; --resume goes on from there")
        return self._finish(time.perf_counter() - started, self.step - first)

    def _batches(self) -> Iterator[Any]:
        """The batches from the present step on; seeds are a function of the batch's number."""
        start = self.step * self.args.gradient_accumulation
        stop = self.total_steps * self.args.gradient_accumulation
        loader = DataLoader(
            self.task.batches, batch_size=None, sampler=range(start, stop), num_workers=self.args.workers
        )
        for number, batch in zip(range(start, stop), loader, strict=True):
            torch.manual_seed(hash((self.args.seed, number, self.accelerator.process_index)))
            yield send_to_device(batch, self.accelerator.device)

    def _optimiser_step(self, batches: Iterator[Any]) -> dict[str, float]:
        """Accumulate, clip, step; returns the mean of the loss's parts on this process."""
        sums: dict[str, torch.Tensor] = {}
        for _ in range(self.args.gradient_accumulation):
            with self.accelerator.accumulate(self.model):
                loss, parts = self.task.loss(self.model, next(batches))
                self.accelerator.backward(loss)
                for name, value in {"loss": loss, **parts}.items():
                    sums[name] = sums.get(name, 0) + value.detach()
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.trained.values(), self.args.max_grad_norm)
                    self._refuse_non_finite(norm, loss)
                self.optimizer.step()
                self.optimizer.zero_grad()
        rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        mean = {name: float(value) / self.args.gradient_accumulation for name, value in sums.items()}
        return {**mean, "grad_norm": float(norm), "learning_rate": rate}

    def _refuse_non_finite(self, norm: torch.Tensor | None, loss: torch.Tensor) -> None:
        scaled = self.accelerator.scaler is not None  # fp16 scaling skips such a step and lowers its scale
        if not torch.isfinite(loss) or not (scaled or norm is None or torch.isfinite(norm)):
            kept = "the last checkpoint is kept" if self.folder.checkpoint_path.exists() else "no checkpoint yet"
            raise InputError(
                f"the loss or its gradient is not finite at step {self.step + 1} ({kept}): lower --learning-rate"
            )

    def _evaluate_when_due(self) -> None:
        due = self.step % (self.args.evaluate_every * self.steps_per_epoch) == 0 or self.step == self.total_steps
        if not due:
            return
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        self.model.eval()
        metrics = self.task.evaluate()
        self.model.train()
        if metrics is None:
            return
        self._log({"step": self.step, "epoch": self.step / self.steps_per_epoch, "evaluation": metrics})
        value = metrics[self.task.best_metric]
        if self.best is None or value < self.best["value"]:
            self.best = {"step": self.step, "value": value}
            self._save_product(self.folder.best_path)

    def _checkpoint(self) -> None:
        """Everything the rest of the run depends on: trained values and buffers, optimiser, schedule, progress."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        self.folder.save_checkpoint(
            {
                "step": self.step,
                "best": self.best,
                "trained": {name: parameter.detach().cpu() for name, parameter in self.trained.items()},
                "buffers": dict(self.task.model.named_buffers()),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
            }
        )

    def _restore(self) -> None:
        state = self.folder.load_checkpoint()
        if state is not None:
            self.step, self.best = state["step"], state["best"]
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    parameter.copy_(state["trained"][name])
                for name, buffer in self.task.model.named_buffers():
                    buffer.copy_(state["buffers"][name])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.accelerator.is_main_process:
            self.folder.rewind_log(self.step)

    def _any_process(self, flag: bool) -> bool:
        """Whether the flag is set in any process, so that all of them act alike."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.accelerator.device)) > 0)

    def _finish(self, seconds: float, steps: int) -> dict[str, Any]:
        result: dict[str, Any] = {"steps": self.total_steps, "best": self.best, "seconds": seconds, "steps_run": steps}
        result |= self.facts
        if self.accelerator.is_main_process:
            if self.best is None:
                self._save_product(self.folder.path)
            else:
                copy_files(self.folder.best_path, self.folder.path)
            write_json(self.folder.result_path, result)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return result

    def _log(self, entry: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            self.folder.log(entry)
        values = entry.get("evaluation", entry)
        self.accelerator.log({name: value for name, value in values.items() if name != "step"}, step=entry["step"])

    def _save_product(self, folder: Path) -> None:
        """Write the product beside what is in `folder`, each file whole."""
        folder.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=self.folder.path, prefix=".product.") as temporary:
            self.task.save(Path(temporary))
            copy_files(Path(temporary), folder)

    @contextmanager
    def _progress(self) -> Iterator[Callable[[dict[str, float]], None]]:
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        # Drawing competes with the training for the processor: twice a second is enough.
        with Progress(*columns, disable=not self.accelerator.is_main_process, refresh_per_second=2) as bar:
            row = bar.add_task("training", total=self.total_steps, completed=self.step)
            yield lambda parts: bar.update(row, advance=1, description=f"loss {parts['loss']:.4f}")


def run_task(
    task: Task, args: LoopArguments, accelerator: Accelerator, fingerprints: dict[str, str], facts: dict[str, Any]
) -> dict[str, Any]:
    """Claim the output folder for this run, or find it there to be resumed, and train to the end.

    Args:
        fingerprints: What a resumed run must find unchanged, beside its arguments.
        facts: What the result should also record.

    Raises:
        InputError, Interrupted: as `Loop`; also a folder that holds something else.
    """
    folder = RunFolder(args.output_dir)
    identity = {**args.lasting(), "processes": accelerator.num_processes, **fingerprints}
    folder.check(identity, args.resume)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        folder.claim(identity)
    if args.tracker:
        accelerator.init_trackers("crossspec", {name: str(value) for name, value in identity.items()})
    return Loop(task, args, accelerator, folder, facts).run()


def make_accelerator(args: LoopArguments) -> Accelerator:
    """The Accelerator of a run.

    Raises:
        InputError: a tracker that is not installed, or another precision than this process already trains with.
    """
    try:
        return Accelerator(
            gradient_accumulation_steps=args.gradient_accumulation,
            mixed_precision=args.mixed_precision,
            log_with=args.tracker,
            project_dir=args.output_dir if args.tracker else None,
        )
    except (ValueError, ImportError) as error:
        raise InputError(f"training cannot be set up: {one_line(error)}") from error
