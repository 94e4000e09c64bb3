"""Every choice of a low-rank fit, with the defaults measured on training subjects only."""

from __future__ import annotations

from dataclasses import dataclass

from hf_crossspec.errors import InputError
from hf_crossspec.training.arguments import option, required


@dataclass(kw_only=True, frozen=True)
class LowRankSettings:
    """How to fit; see `hf_crossspec.methods.low_rank.transform` for the terms."""

    dimensions: int = option(1024, "Principal components to keep; the embedding's size where that is smaller.")
    shrinkage: float = option(0.02, "Pull of the transform towards the identity; 0 leaves it free.")
    proximal: float = option(0.0, "Makes iterations shorter steps; must be positive where shrinkage is 0.")
    iterations: int = option(50, "Iterations at most.")
    tolerance: float = option(1e-6, "Stop when an iteration lowers the objective by less than this part of it.")

    def check(self) -> None:
        """Raise `InputError` for values that no fit can have."""
        if self.dimensions < 1 or self.iterations < 1:
            raise InputError("dimensions and iterations must be at least 1")
        for name in ("shrinkage", "proximal", "tolerance"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be a number of at least 0, not {getattr(self, name)}")
        if self.shrinkage + self.proximal == 0:
            raise InputError("with a shrinkage of 0, proximal must be positive: 0.05 is a good start")


@dataclass(kw_only=True, frozen=True)
class LowRankArguments(LowRankSettings):
    """Arguments of `fit_low_rank` and of `crossspec lowrank fit`."""

    model: str = required("Model folder or Hub id.")
    adapter: str | None = option(None, "Adapter folder or Hub id for the model.")
    data: str = required("Faces to fit on: a folder, a .parquet file or a Hub data set id.")
    split: str = option("train", "Split of the data to fit on.")
    source_modality: str = option("vis", "Modality that the model already knows.")
    target_modality: str = required("Modality to bring to it, as named in the data (nir, thermal, sketch, ...).")
    output_dir: str = required("New folder for the low-rank embedding.")
    validation_folds: int = option(
        5, "Parts of the subjects, each set apart once to choose the number of iterations by; 0 runs to the end."
    )
    patience: int = option(10, "Stop after so many iterations without a lower validation EER.")
    skip_bad: bool = option(False, "Leave out pictures that cannot be read, and name them.")
    batch_size: int = option(64, "Pictures embedded at a time.")
    seed: int = option(0, "Seed of the validation parts.")
    json: str | None = option(None, "Also write the result to this JSON file.")

    def check(self) -> None:
        super().check()
        if self.source_modality == self.target_modality:
            raise InputError(f"source and target modality are both {self.source_modality!r}: they must differ")
        if self.validation_folds < 0 or self.validation_folds == 1:
            raise InputError(f"validation_folds must be 0, 2 or more, not {self.validation_folds}")
        if self.batch_size < 1 or self.patience < 1 or self.seed < 0:
            raise InputError("batch_size and patience must be at least 1, and seed not negative")
