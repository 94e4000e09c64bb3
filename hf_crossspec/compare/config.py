"""Every choice of a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hf_crossspec.errors import InputError
from hf_crossspec.training.arguments import option, required

METHOD_NAMES = ("linear-probe", "ln", "ln+stem", "ln+stem+stage0", "bitfit", "lora-rank1", "lora", "full")


@dataclass(kw_only=True)
class CompareArguments:
    """Arguments of `compare` and of `crossspec compare`."""

    base: str = required("EdgeFace to adapt: a folder or a Hub model id.")
    data: str = required("Pictures of both modalities: a folder or a Hub data set id.")
    split: str = option("train", "Split to train on; settings are chosen by cross-validation inside it.")
    test_split: str = option("test", "Split to test on, other subjects; opened after every setting is chosen.")
    source_modality: str = option("vis", "Modality that the base already knows.")
    target_modality: str = required("Modality to adapt to, as named in the data.")
    retention_data: str = required("Pictures of the old modality with a column key: folder, .parquet or Hub id.")
    retention_split: str | None = option(None, "Split of the retention data.")
    retention_pairs: str = required("CSV of retention pairs: key1, key2, same, fold.")
    selection_folds: str = option("0,1", "Retention folds to choose settings by; the other folds are the test.")
    output_dir: str = required("New folder for runs, table and plot; with --resume the folder to go on with.")
    methods: str = option(",".join(METHOD_NAMES), "Ways to adapt, separated by commas.")
    seeds: str = option("0,1,2", "Seeds of the final runs, separated by commas.")
    distill_weights: str = option("0.75,0.9", "Weights of self-distillation to try, separated by commas.")
    search_folds: int = option(2, "Folds of the training subjects in the search.")
    epochs: int = option(110, "Passes over the training data in every run.")
    batch_size: int = option(32, "Pairs in a batch.")
    resume: bool = option(False, "Go on with output_dir; finished runs are not repeated.")
    json: str | None = option(None, "Also write the result to this JSON file.")

    def lasting(self) -> dict[str, Any]:
        """The arguments that decide the result; a resumed comparison must agree in them (seeds may be added)."""
        passing = ("output_dir", "resume", "json", "seeds", "methods")
        return {name: value for name, value in asdict(self).items() if name not in passing}

    def check(self) -> None:
        """Raise `InputError` for values that no comparison can have."""
        unknown = [name for name in self.method_names if name not in METHOD_NAMES]
        if unknown or not self.method_names:
            raise InputError(f"unknown methods {', '.join(unknown) or '(none)'}: choose of {', '.join(METHOD_NAMES)}")
        if not self.seed_numbers or min(self.seed_numbers) < 0:
            raise InputError("seeds must be one or more numbers that are not negative, separated by commas")
        if not self.weights or not all(0 <= weight <= 1 for weight in self.weights):
            raise InputError("distill_weights must be one or more numbers in [0, 1], separated by commas")
        if self.search_folds < 2 or self.epochs < 1 or self.batch_size < 1:
            raise InputError("search_folds must be at least 2, epochs and batch_size at least 1")
        if len(set(self.selection)) < 2:
            raise InputError(
                "selection_folds must name two folds or more: accuracy needs a threshold from another fold"
            )

    @property
    def method_names(self) -> list[str]:
        return [name.strip() for name in self.methods.split(",") if name.strip()]

    @property
    def seed_numbers(self) -> list[int]:
        return _numbers(self.seeds, int, "seeds")

    @property
    def weights(self) -> list[float]:
        return _numbers(self.distill_weights, float, "distill_weights")

    @property
    def selection(self) -> list[int]:
        return _numbers(self.selection_folds, int, "selection_folds")


def _numbers(text: str, kind: type, name: str) -> list[Any]:
    try:
        return list(dict.fromkeys(kind(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise InputError(f"{name} must be numbers separated by commas, not {text!r}") from None
