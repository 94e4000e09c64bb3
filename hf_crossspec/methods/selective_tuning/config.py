"""Every choice of a selective-tuning run, with the defaults measured on training subjects only."""

from __future__ import annotations

from dataclasses import dataclass

from hf_crossspec.errors import InputError
from hf_crossspec.training.arguments import LoopArguments, option, required

SCOPES = ("ln", "ln+stem", "ln+stem+stage0", "ln+stem+stages01", "ln+stem+stages012")
DEFAULT_SCOPE = "ln+stem"


@dataclass(kw_only=True)
class SelectiveTuningArguments(LoopArguments):
    """Arguments of `train_adapter` and of `crossspec train`."""

    base: str = required("EdgeFace to adapt: a folder or a Hub model id.")
    data: str = required("Pictures to train on: a folder, a .parquet file or a Hub data set id.")
    split: str = option("train", "Split of the data to train on.")
    source_modality: str = option("vis", "Modality that the base already knows.")
    target_modality: str = required("Modality to adapt to, as named in the data (nir, thermal, sketch, ...).")
    scope: str = option(DEFAULT_SCOPE, f"Parameters to tune: {', '.join(SCOPES)}.")
    margin: float = option(0.2, "Cosine below which different subjects are far enough apart.")
    distill_weight: float = option(0.85, "Weight of self-distillation in [0, 1]; alignment gets the rest.")
    augment: bool = option(True, "Vary training pictures slightly in pose, scale, brightness and contrast.")
    eval_data: str | None = option(None, "Other subjects, to keep the best adapter by; the default is the last one.")
    eval_split: str | None = option(None, "Split of the evaluation data.")
    skip_bad: bool = option(False, "Leave out pictures that cannot be read, and name them.")

    def check(self) -> None:
        super().check()
        if self.scope not in SCOPES:
            raise InputError(f"unknown scope {self.scope!r}: choose one of {', '.join(SCOPES)}")
        if self.source_modality == self.target_modality:
            raise InputError(f"source and target modality are both {self.source_modality!r}: they must differ")
        if not 0 <= self.distill_weight <= 1 or not -1 <= self.margin < 1:
            raise InputError("distill_weight must lie in [0, 1] and margin in [-1, 1)")
