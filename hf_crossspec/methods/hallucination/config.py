"""Arguments of training a hallucinator."""

from __future__ import annotations

from dataclasses import dataclass

from hf_crossspec.errors import InputError
from hf_crossspec.training.arguments import LoopArguments, option, required

# As in configuration_hallucination.py, which the command line must not import: it takes transformers along.
CHANNELS = ("y", "cb", "cr")
NETWORKS = ("paper", "small")


@dataclass(kw_only=True)
class HallucinationArguments(LoopArguments):
    """Arguments of `train_hallucinator`."""

    data: str = required("Folder of mined patches, or a data set of faces that are aligned to the pixel.")
    modality: str = required("Modality to hallucinate from; its counterpart is vis.")
    split: str = option("train", "Split of the faces to train on; patches have none.")
    config: str = option("small", f"Networks: {' or '.join(NETWORKS)}.")
    channels: str = option(",".join(CHANNELS), "Channels to train, separated by commas; each has a network of its own.")
    folds: int = option(6, "Subjects are split into so many folds ...")
    fold: int = option(5, "... and this one, counted from 0, is not trained on but chooses the best weights.")
    eval_data: str | None = option(None, "Other patches or faces that choose the best weights, instead of a fold.")
    eval_split: str | None = option(None, "Split of the evaluation data.")
    picture_crop: int | None = option(
        None, "Train on random crops of so many pixels; else on whole pictures or patches."
    )
    skip_bad: bool = option(False, "Leave out pictures that cannot be read, and name them.")
    epochs: int = option(10, "Passes over the training data.")
    batch_size: int = option(16, "Pictures or patches in a batch.")
    learning_rate: float = option(1e-3, "Highest learning rate of Adam; the paper has 1e-5.")
    evaluate_every: int = option(1, "Epochs between two evaluations.")

    def check(self) -> None:
        super().check()
        if self.config not in NETWORKS:
            raise InputError(f"unknown networks {self.config!r}: choose one of {', '.join(NETWORKS)}")
        unknown = [name for name in self.channel_names if name not in CHANNELS]
        if unknown or not self.channel_names:
            raise InputError(f"channels must be of {', '.join(CHANNELS)}, not {self.channels!r}")
        if self.eval_data is None and not 0 <= self.fold < self.folds:
            raise InputError(f"fold must lie in 0 ... {self.folds - 1}, not {self.fold}")
        if self.picture_crop is not None and self.picture_crop < 8:
            raise InputError(f"picture_crop must be at least 8 pixels, not {self.picture_crop}")

    @property
    def channel_names(self) -> list[str]:
        """The channels to train."""
        return [name.strip() for name in self.channels.split(",") if name.strip()]
