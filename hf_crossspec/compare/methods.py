"""The ways to adapt that are compared: a name -> which parameters of the base are trained, and what is shipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from hf_crossspec.adapters import quiet_peft
from hf_crossspec.edgeface import EdgeFaceModel
from hf_crossspec.edgeface.modeling_edgeface import EdgeFaceOutput
from hf_crossspec.errors import InputError
from hf_crossspec.methods.selective_tuning.config import SelectiveTuningArguments
from hf_crossspec.methods.selective_tuning.scopes import LINEARS, selective_tuning_config

UNADAPTED = "unadapted"
ADAPTER_FILE, TRAINED_FILE = "adapter_model.safetensors", "trained.safetensors"


@dataclass(frozen=True)
class Method:
    """A way to adapt.

    Args:
        title: What is trained, for tables.
        rates: The learning rates that are tried; as many for every method, around what its family commonly takes.
        build: Turns a loaded base into the network to train. Only what is trained requires gradients;
            `disable_adapter()` gives the untouched base, `save_pretrained(folder)` writes the one file to ship.
    """

    title: str
    rates: tuple[float, float, float]
    build: Callable[[EdgeFaceModel], Any]

    def adapt(self, base: EdgeFaceModel, args: SelectiveTuningArguments) -> Any:
        """`build` for a training run: initial values follow from the run's seed."""
        torch.manual_seed(args.seed)
        model = self.build(base)
        if isinstance(model, PeftModel):
            model.peft_config["default"].base_model_name_or_path = args.base
        return model

    def load(self, base: EdgeFaceModel, folder: Path) -> Any:
        """The trained network from a fresh base and the shipped file alone.

        Raises:
            InputError: a file that holds other parameters than this method trains.
        """
        if (folder / ADAPTER_FILE).exists():
            with quiet_peft():
                return PeftModel.from_pretrained(base, folder)
        model = self.build(base)
        model.load_trained(folder)
        return model


class Tuned(nn.Module):
    """A network that is tuned without PEFT, beside the untouched base, with PEFT's manners.

    Args:
        network: Its parameters that require gradients are trained and shipped.
        untouched: The base as it was; frozen here.
    """

    def __init__(self, network: nn.Module, untouched: EdgeFaceModel) -> None:
        super().__init__()
        self.network, self.untouched = network, untouched.requires_grad_(False)
        self.adapted = True

    def forward(self, pixel_values: torch.Tensor) -> EdgeFaceOutput:
        """Embed (B, 3, H, W); under `disable_adapter()` as the untouched base does."""
        return (self.network if self.adapted else self.untouched)(pixel_values=pixel_values)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """While it lasts, this is the untouched base."""
        self.adapted = False
        try:
            yield
        finally:
            self.adapted = True

    @property
    def device(self) -> torch.device:
        return self.untouched.device

    def trained(self) -> dict[str, torch.Tensor]:
        """The trained parameters by name."""
        return {name: value for name, value in self.network.named_parameters() if value.requires_grad}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the trained parameters; together with the base they are the whole network."""
        values = {name: value.detach().cpu().contiguous() for name, value in self.trained().items()}
        save_file(values, Path(folder) / TRAINED_FILE)

    @torch.no_grad()
    def load_trained(self, folder: Path) -> None:
        """Take over the trained parameters that `save_pretrained` wrote."""
        values, own = load_file(folder / TRAINED_FILE), self.trained()
        if values.keys() != own.keys():
            raise InputError(f"{folder / TRAINED_FILE} does not hold the {len(own)} tensors that this method trains")
        for name, parameter in own.items():
            parameter.copy_(values[name])


class LinearProbe(nn.Module):
    """A trainable linear map, at first the identity, on the frozen network's embeddings of all modalities alike."""

    def __init__(self, base: EdgeFaceModel) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        size = base.config.embedding_size
        self.map = nn.Linear(size, size, bias=False)
        nn.init.eye_(self.map.weight)

    def forward(self, pixel_values: torch.Tensor) -> EdgeFaceOutput:
        return EdgeFaceOutput(embeddings=self.map(self.base(pixel_values=pixel_values).embeddings))


def lora_config(rank: int, low_rank: bool = False) -> LoraConfig:
    """LoRA (Hu et al., arXiv 2106.09685) of scale 2 on every linear layer of EdgeFace.

    Args:
        rank: Of the update of each layer.
        low_rank: Whether the base has factorised linear layers; then both factors get their own LoRA.
    """
    leaves = [rf"stages\.\d+\.blocks\.\d+\.(?:{'|'.join(LINEARS)})", r"head\.fc"]
    inner = r"\.linear[12]" if low_rank else ""
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=rf"net\.(?:{'|'.join(leaves)}){inner}",
        task_type=TaskType.FEATURE_EXTRACTION,
    )


def _scope(name: str) -> Callable[[EdgeFaceModel], Any]:
    def build(base: EdgeFaceModel) -> PeftModel:
        with quiet_peft():
            return get_peft_model(base, selective_tuning_config(name, _is_low_rank(base)))

    return build


def _lora(rank: int) -> Callable[[EdgeFaceModel], Any]:
    def build(base: EdgeFaceModel) -> PeftModel:
        with quiet_peft():
            return get_peft_model(base, lora_config(rank, _is_low_rank(base)))

    return build


def _linear_probe(base: EdgeFaceModel) -> Tuned:
    return Tuned(LinearProbe(base), base)


def _full(base: EdgeFaceModel) -> Tuned:
    untouched = deepcopy(base)
    return Tuned(base.requires_grad_(True), untouched)


def _biases(base: EdgeFaceModel) -> Tuned:
    model = _full(base)
    for name, parameter in base.named_parameters():
        parameter.requires_grad_(name.endswith(".bias"))
    return model


def _is_low_rank(base: EdgeFaceModel) -> bool:
    return base.config.low_rank_gamma is not None


METHODS = {
    "linear-probe": Method("linear map on the embedding", (1e-4, 3e-4, 1e-3), _linear_probe),
    "ln": Method("LayerNorms", (1e-3, 3e-3, 1e-2), _scope("ln")),
    "ln+stem": Method("LayerNorms and stem", (1e-3, 3e-3, 1e-2), _scope("ln+stem")),
    "ln+stem+stage0": Method("LayerNorms, stem, stage 0", (3e-4, 1e-3, 3e-3), _scope("ln+stem+stage0")),
    "bitfit": Method("all biases (BitFit)", (1e-3, 3e-3, 1e-2), _biases),
    "lora-rank1": Method("LoRA of rank 1 on all linear layers", (3e-4, 1e-3, 3e-3), _lora(1)),
    "lora": Method("LoRA of rank 4 on all linear layers", (3e-4, 1e-3, 3e-3), _lora(4)),
    "full": Method("everything (full fine-tuning)", (3e-5, 1e-4, 3e-4), _full),
}
