"""Low-rank embedding: one linear layer behind any face embedding network (Lezama et al., arXiv 1611.06638)."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_low_rank import LowRankConfig


class LowRankEmbedding(PreTrainedModel):
    """PCA and low-rank transform as one affine map between two normalisations.

    Example:
        >>> low_rank = LowRankEmbedding(LowRankConfig(input_size=512, output_size=512))
        >>> low_rank(torch.randn(2, 512)).norm(dim=1)
        tensor([1., 1.], grad_fn=<LinalgVectorNormBackward0>)
    """

    config: LowRankConfig
    config_class = LowRankConfig
    base_model_prefix = "low_rank"
    main_input_name = "embeddings"

    def __init__(self, config: LowRankConfig) -> None:
        super().__init__(config)
        self.linear = nn.Linear(config.input_size, config.output_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.copy_(module.weight, torch.eye(*module.weight.shape))
            init.zeros_(module.bias)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, D) of any length -> embeddings (B, r) of length one; compare two by their cosine."""
        return nn.functional.normalize(self.linear(nn.functional.normalize(embeddings)))
