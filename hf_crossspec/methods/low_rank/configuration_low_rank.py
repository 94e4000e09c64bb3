"""Configuration of a low-rank embedding: the sizes of one linear layer, and the network it belongs to."""

from typing import Any

from transformers import PretrainedConfig


class LowRankConfig(PretrainedConfig):
    """Configuration of `LowRankEmbedding`.

    Args:
        input_size: Length D of the embeddings of the network it was fitted for.
        output_size: Length r of its own embeddings, at most D.
        network_sha256: Fingerprint of that network's weights (model and adapter); the layer is of no use to another.
        source_modality, target_modality: The modalities it was fitted on.
        weights_license: Licence of the network's weights, which the layer inherits.

    Raises:
        ValueError: sizes that no layer can have.
    """

    model_type = "low_rank_embedding"

    def __init__(
        self,
        input_size: int = 512,
        output_size: int = 512,
        network_sha256: str | None = None,
        source_modality: str | None = None,
        target_modality: str | None = None,
        weights_license: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_size = input_size
        self.output_size = output_size
        self.network_sha256 = network_sha256
        self.source_modality = source_modality
        self.target_modality = target_modality
        self.weights_license = weights_license
        if not 1 <= output_size <= input_size:
            raise ValueError(f"output_size must lie between 1 and input_size ({input_size}), not be {output_size}")
        super().__init__(**kwargs)
