"""Train the three networks of a hallucinator, each apart, and put them together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import Dataset

from hf_crossspec.data.pixels import refuse_shared_subjects, to_input
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.runner import hashed_subjects
from hf_crossspec.files import copy_files, read_json, refuse_foreign_directory, write_json
from hf_crossspec.methods.hallucination.auto import CrossSpectralHallucinator, HallucinatorConfig
from hf_crossspec.methods.hallucination.config import HallucinationArguments
from hf_crossspec.methods.hallucination.configuration_hallucination import CHANNELS
from hf_crossspec.methods.hallucination.modeling_hallucination import ChannelNetwork, rgb_to_ycbcr
from hf_crossspec.methods.hallucination.pairs import SpectralPairs, load_pairs, subject_folds
from hf_crossspec.methods.hallucination.pictures import picture_processor
from hf_crossspec.training.loop import make_accelerator, run_task

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class HallucinationResult:
    """What a run made.

    Args:
        model_dir: Model folder, complete once all three channels are trained; else `None`.
        best: Per channel trained, step and value (mean squared error) of the best evaluation.
        subjects, pairs: What was trained on.
        evaluated_subjects: The subjects that the best weights were chosen by.
        parameters: Number of parameters of the channels trained.
        seconds: Training time of this process, resumed parts excluded.
        skipped: One line for each picture that could not be read.
    """

    model_dir: Path | None
    best: dict[str, dict[str, float]]
    subjects: int
    pairs: int
    evaluated_subjects: int
    parameters: int
    seconds: float
    skipped: tuple[str, ...] = ()


def train_hallucinator(args: HallucinationArguments) -> HallucinationResult:
    """Train the networks of `args.channels`, each in a folder of its own below the output folder.

    When all three are there, the output folder is a model folder for `AutoModel.from_pretrained`.

    Raises:
        InputError: unusable arguments, data or output folder, shared subjects, or a loss that is not finite.
    """
    args.check()
    folder = Path(args.output_dir)
    if not any((folder / name / "run.json").exists() for name in CHANNELS):
        refuse_foreign_directory(folder)
    training, evaluation = load_training_and_evaluation(args)
    config = HallucinatorConfig.for_variant(args.config, **_input_scale(training))
    results, parameters = {}, 0
    for name in args.channel_names:
        results[name], count = _train_channel(name, config, args, training, evaluation)
        parameters += count
    complete = all((folder / name / "result.json").exists() for name in CHANNELS)
    if complete:
        _assemble(folder, config, training)
    return HallucinationResult(
        model_dir=folder if complete else None,
        best={name: result["best"] for name, result in results.items()},
        subjects=len(set(training.subjects)),
        pairs=len(training),
        evaluated_subjects=len(set(evaluation.subjects)),
        parameters=parameters,
        seconds=sum(result["seconds"] for result in results.values()),
        skipped=training.skipped,
    )


def load_training_and_evaluation(args: HallucinationArguments) -> tuple[SpectralPairs, SpectralPairs]:
    """The pairs to train on, and those of other subjects that choose the best weights."""
    pairs = load_pairs(args.data, args.split, args.modality, args.skip_bad)
    if args.eval_data is None:
        fold = subject_folds(pairs.subjects, args.folds)
        training, evaluation = (pairs.select(np.flatnonzero(side)) for side in (fold != args.fold, fold == args.fold))
    else:
        training, evaluation = pairs, load_pairs(args.eval_data, args.eval_split, args.modality, args.skip_bad)
        if training.reference != evaluation.reference:
            raise InputError(
                "training and evaluation patches were normalised to different references: mine them as one"
            )
    refuse_shared_subjects(evaluation.subjects, sorted(set(training.subjects)))
    return training, evaluation


def _train_channel(
    name: str,
    config: HallucinatorConfig,
    args: HallucinationArguments,
    training: SpectralPairs,
    evaluation: SpectralPairs,
) -> tuple[dict[str, Any], int]:
    own = replace(args, channels=name, output_dir=str(Path(args.output_dir) / name))
    accelerator = make_accelerator(own)
    if accelerator.num_processes > 1:
        raise InputError(
            "a hallucinator is trained by one process; three can train --channels y, cb and cr side by side"
        )
    torch.manual_seed(args.seed)
    network = CrossSpectralHallucinator(config).networks[name].to(memory_format=torch.channels_last)  # faster on CPUs
    assert isinstance(network, ChannelNetwork)
    task = ChannelTask(name, network, PairBatches(training, name, own), evaluation)
    fingerprints = {"training_sha256": training.fingerprint(), "evaluation_sha256": evaluation.fingerprint()}
    result = run_task(task, own, accelerator, fingerprints, {})
    return result, sum(parameter.numel() for parameter in network.parameters())


def _input_scale(pairs: SpectralPairs) -> dict[str, float]:
    """The reference of normalised patches on the networks' scale of [-1, 1]."""
    if pairs.reference is None:
        return {}
    mean, std = pairs.reference
    return {"input_mean": mean / 127.5 - 1, "input_std": std / 127.5}


def _assemble(folder: Path, config: HallucinatorConfig, training: SpectralPairs) -> None:
    """The three best networks as one model folder; what is in the folder stays."""
    runs = [read_json(folder / name / "run.json") for name in CHANNELS]
    for fact in ("config", "modality", "training_sha256"):
        if len({run[fact] for run in runs}) > 1:
            raise InputError(f"the channels in {folder} differ in {fact}: train them with the same data and networks")
    model = CrossSpectralHallucinator(config)
    for name in CHANNELS:
        model.networks[name].load_state_dict(load_file(folder / name / WEIGHTS))
    with TemporaryDirectory(dir=folder, prefix=".model.") as temporary:
        model.save_pretrained(temporary)
        picture_processor().save_pretrained(temporary)
        copy_files(Path(temporary), folder)
    channels = {name: read_json(folder / name / "result.json") for name in CHANNELS}
    facts = {"trained_subjects": hashed_subjects(training.subjects), "pairs": len(training), "channels": channels}
    write_json(folder / "result.json", facts)


def channel_of(visible: torch.Tensor, name: str) -> torch.Tensor:
    """uint8 RGB (B, 3, H, W) -> one channel (B, 1, H, W) in [-1, 1]."""
    number = CHANNELS.index(name)
    return rgb_to_ycbcr(to_input(visible))[:, number : number + 1]


class PairBatches(Dataset):
    """Item i is batch number i: pairs in an order drawn anew for every epoch, the same at every call.

    The last batch of an epoch is filled up from the epoch's beginning. Pictures are cropped and mirrored at random;
    patches are taken as they are.
    """

    def __init__(self, pairs: SpectralPairs, channel: str, args: HallucinationArguments) -> None:
        self.pairs, self.channel, self.size, self.seed = pairs, channel, args.batch_size, args.seed
        sides = pairs.pictures.shape[2:]
        whole = args.picture_crop is None or pairs.patches
        self.crop = None if whole else [min(int(args.picture_crop or 0), side) for side in sides]
        self.per_epoch = math.ceil(len(pairs) / self.size)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        epoch, position = divmod(number, self.per_epoch)
        start = position * self.size
        rows = self._order(epoch)[torch.arange(start, start + self.size) % len(self.pairs)]
        both = torch.cat([self.pairs.pictures[rows], self.pairs.visible[rows]], dim=1)  # (B, 4, H, W)
        if not self.pairs.patches:
            both = self._vary(both, torch.Generator().manual_seed(hash((self.seed, number))))
        return {"picture": to_input(both[:, :1]), "target": channel_of(both[:, 1:], self.channel)}

    def _vary(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if self.crop is not None:
            starts = [
                torch.randint(side - crop + 1, (len(pixels),), generator=generator).tolist()
                for side, crop in zip(pixels.shape[2:], self.crop, strict=True)
            ]
            places = zip(pixels, *starts, strict=True)
            pixels = torch.stack([each[:, y : y + self.crop[0], x : x + self.crop[1]] for each, y, x in places])
        mirrored = torch.rand(len(pixels), generator=generator) < 0.5
        return torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)

    def _draw_order(self, epoch: int) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(len(self.pairs)))


@dataclass
class ChannelTask:
    """One channel's network as a `Task` of the training loop."""

    name: str
    model: ChannelNetwork
    batches: PairBatches
    evaluation: SpectralPairs
    best_metric: str = "mse"

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.per_epoch

    def loss(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean squared error per pixel, on the scale of [-1, 1]."""
        return mse_loss(model(batch["picture"]), batch["target"]), {}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Mean squared error on the evaluation subjects, and that of the picture itself or of no colour (`trivial`)."""
        device = next(self.model.parameters()).device
        errors = np.zeros(2)
        for pictures, visible in zip(
            self.evaluation.pictures.split(64), self.evaluation.visible.split(64), strict=True
        ):
            picture, target = to_input(pictures).to(device), channel_of(visible, self.name).to(device)
            trivial = picture if self.model.skip else torch.zeros_like(picture)
            errors += [float(mse_loss(each, target)) * len(picture) for each in (self.model(picture), trivial)]
        mse, trivial_mse = errors / len(self.evaluation)
        return {"mse": float(mse), "trivial_mse": float(trivial_mse)}

    def save(self, folder: Path) -> None:
        """Write the network's weights."""
        save_file({name: value.contiguous() for name, value in self.model.state_dict().items()}, folder / WEIGHTS)
