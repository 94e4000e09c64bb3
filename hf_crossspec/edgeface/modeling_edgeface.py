"""EdgeFace: a face embedding network of 1 to 18 million parameters (George et al., arXiv 2307.01838)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from timm.models.edgenext import EdgeNeXt
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_edgeface import EdgeFaceConfig

if TYPE_CHECKING:  # transformers finds the line, so a saved model carries the file; no load pays for its import
    from .pipeline_edgeface import FaceEmbeddingPipeline  # noqa: F401


@dataclass
class EdgeFaceOutput(ModelOutput):
    """Output of `EdgeFaceModel`.

    Args:
        embeddings: Face embeddings, (B, D), not normalised; compare two by their cosine.
        hidden_states: With `output_hidden_states=True`, the feature maps after the stem and each of the four stages.
    """

    embeddings: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


class LowRankLinear(nn.Module):
    """A linear layer as the product of two thinner ones; names and rank rule as in the published checkpoints."""

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_features, rank, bias=False)
        self.linear2 = nn.Linear(rank, out_features, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # One matrix product whatever the shape: torch's batched product rounds otherwise where weights are frozen,
        # and then an adapted network, its adapter switched off, would not be its base to the bit.
        rows = x.reshape(-1, x.shape[-1])  # (..., in) -> (N, in)
        return self.linear2(self.linear1(rows)).unflatten(0, x.shape[:-1])  # (N, rank) -> (N, out) -> (..., out)


def low_rank_size(gamma: float, in_features: int, out_features: int) -> int:
    """Rank that stands for an (out, in) weight at ratio `gamma`."""
    return max(2, int(gamma * min(in_features, out_features)))


def factorise_linears(module: nn.Module, gamma: float) -> None:
    """Replace every `nn.Linear` below `module` by a `LowRankLinear`, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            rank = low_rank_size(gamma, child.in_features, child.out_features)
            low_rank = LowRankLinear(child.in_features, child.out_features, rank, bias=child.bias is not None)
            setattr(module, name, low_rank)
        else:
            factorise_linears(child, gamma)


class EdgeFacePreTrainedModel(PreTrainedModel):
    config: EdgeFaceConfig
    config_class = EdgeFaceConfig
    base_model_prefix = "edgeface"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012
    _no_split_modules: list[str] = ["EdgeNeXtStage"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.trunc_normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        for name, parameter in module.named_parameters(recurse=False):  # layer scales and attention temperatures
            if name.startswith("gamma"):
                init.constant_(parameter, self.config.layer_scale_init)
            elif name == "temperature":
                init.ones_(parameter)


class EdgeFaceModel(EdgeFacePreTrainedModel):
    """EdgeNeXt with its classifier replaced by a D-dimensional face embedding.

    There is no BatchNorm and no buffer: train and eval mode compute the same, whatever the batch.

    Example:
        >>> model = EdgeFaceModel(EdgeFaceConfig()).eval()
        >>> model(pixel_values=torch.zeros(2, 3, 112, 112)).embeddings.shape
        torch.Size([2, 512])
    """

    def __init__(self, config: EdgeFaceConfig) -> None:
        super().__init__(config)
        self.net = EdgeNeXt(
            num_classes=config.embedding_size,
            dims=tuple(config.dims),
            depths=tuple(config.depths),
            heads=tuple(config.heads),
            ls_init_value=config.layer_scale_init,
        )
        if config.low_rank_gamma is not None:
            factorise_linears(self.net, config.low_rank_gamma)
        self.post_init()

    def forward(
        self,
        pixel_values: torch.Tensor,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> EdgeFaceOutput | tuple[torch.Tensor, ...]:
        """Embed a batch of aligned faces.

        Args:
            pixel_values: (B, 3, image_size, image_size), values in [-1, 1], as `EdgeFaceImageProcessor` makes them.
            output_hidden_states: Also return the feature maps of the stem and the four stages.
            return_dict: `False` for a plain tuple, embeddings first.
            kwargs: Arguments of language models (`input_ids=None`, ...), which PEFT's wrapper always passes; ignored.
        """
        x = self.net.stem(pixel_values.to(self.dtype))  # (B, C0, H/4, W/4)
        hidden_states = [x]
        for stage in self.net.stages:
            x = stage(x)
            hidden_states.append(x)
        embeddings = self.net.forward_head(self.net.norm_pre(x))  # (B, D)
        output = EdgeFaceOutput(
            embeddings=embeddings,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
        )
        return output.to_tuple() if return_dict is False else output
