"""crossspec train"""

from __future__ import annotations

from hf_crossspec.cli.shared import command_from, console, name_skipped, quiet_libraries, warn_of_resized
from hf_crossspec.methods.selective_tuning.config import SelectiveTuningArguments


@command_from(SelectiveTuningArguments)
def train(args: SelectiveTuningArguments) -> None:
    """Adapt a model to another modality from pairs of pictures; writes a PEFT adapter."""
    quiet_libraries()
    from hf_crossspec.methods.selective_tuning.train import train_adapter

    result = train_adapter(args)
    name_skipped(result.skipped)
    warn_of_resized(result.resized)
    console.print(
        f"{result.trainable_parameters:,} parameters trained on {result.pairs:,} pairs of {result.subjects:,} subjects "
        f"in {result.steps:,} steps ({result.seconds:.0f} s)"
    )
    if result.best is not None:
        console.print(f"best evaluation at step {result.best['step']}: EER {100 * result.best['value']:.2f} %")
    console.print(f"adapter: {result.adapter_dir}")
