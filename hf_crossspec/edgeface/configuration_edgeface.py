"""EdgeFace configuration: an EdgeNeXt backbone whose classifier is replaced by a face embedding."""

from typing import Any

from transformers import PretrainedConfig

# The four sizes of the EdgeFace paper (arXiv 2307.01838, Table 1). Only `dims`, `depths` and `heads` differ.
VARIANTS: dict[str, dict[str, list[int]]] = {
    "xxs": {"dims": [24, 48, 88, 168], "depths": [2, 2, 6, 2], "heads": [4, 4, 4, 4]},
    "xs": {"dims": [32, 64, 100, 192], "depths": [3, 3, 9, 3], "heads": [4, 4, 4, 4]},
    "s": {"dims": [48, 96, 160, 304], "depths": [3, 3, 9, 3], "heads": [8, 8, 8, 8]},
    "base": {"dims": [80, 160, 288, 584], "depths": [3, 3, 9, 3], "heads": [8, 8, 8, 8]},
}

# What a saved model tells `pipeline(model=..., trust_remote_code=True)` about the pipeline that it carries.
PIPELINES = {
    "face-embedding": {"impl": "pipeline_edgeface.FaceEmbeddingPipeline", "pt": ["AutoModel"], "type": "image"}
}


class EdgeFaceConfig(PretrainedConfig):
    """Configuration of `EdgeFaceModel`. The defaults are EdgeFace-xxs.

    Args:
        dims: Channels of the four stages.
        depths: Blocks of the four stages.
        heads: Attention heads of the four stages; each must divide its stage's channels.
        embedding_size: Length D of the face embedding.
        image_size: Side of the square input picture, in pixels.
        low_rank_gamma: `None` for dense layers. In (0, 1]: every linear layer, the embedding layer included, becomes
            two of rank `max(2, int(gamma * min(in, out)))` (EdgeFace, section 3.2; the `gamma` of `s_gamma_05`).
        layer_scale_init: Initial value of the layer scales (`gamma` parameters) of a fresh model.
        initializer_range: Standard deviation of the truncated normal that fills a fresh model's weights.
        weights_license: Licence identifier of the weights, carried along with every artefact made from them.
        weights_source: Where the weights come from, for instance the checkpoint's name and SHA-256.

    Raises:
        ValueError: a field has the wrong shape or range.

    Example:
        >>> EdgeFaceConfig.for_variant("s", low_rank_gamma=0.5).dims
        [48, 96, 160, 304]
    """

    model_type = "edgeface"

    def __init__(
        self,
        dims: tuple[int, ...] | list[int] = (24, 48, 88, 168),
        depths: tuple[int, ...] | list[int] = (2, 2, 6, 2),
        heads: tuple[int, ...] | list[int] = (4, 4, 4, 4),
        embedding_size: int = 512,
        image_size: int = 112,
        low_rank_gamma: float | None = None,
        layer_scale_init: float = 1e-6,
        initializer_range: float = 0.02,
        weights_license: str | None = None,
        weights_source: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.dims = [int(dim) for dim in dims]
        self.depths = [int(depth) for depth in depths]
        self.heads = [int(head) for head in heads]
        self.embedding_size = embedding_size
        self.image_size = image_size
        self.low_rank_gamma = low_rank_gamma
        self.layer_scale_init = layer_scale_init
        self.initializer_range = initializer_range
        self.weights_license = weights_license
        self.weights_source = weights_source
        self._check()
        if not __name__.startswith("transformers_modules."):  # installed code registers its own: no trust is needed
            kwargs.pop("custom_pipelines", None)
        super().__init__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "custom_pipelines": PIPELINES}

    @classmethod
    def for_variant(cls, name: str, **overrides: Any) -> "EdgeFaceConfig":
        """The configuration of a published size: `xxs`, `xs`, `s` or `base`."""
        if name not in VARIANTS:
            raise ValueError(f"unknown EdgeFace variant {name!r}: choose one of {', '.join(VARIANTS)}")
        return cls(**{**VARIANTS[name], **overrides})

    @property
    def variant(self) -> str | None:
        """Name of the published size these dimensions belong to, or `None` for a size of one's own."""
        mine = {"dims": self.dims, "depths": self.depths, "heads": self.heads}
        return next((name for name, sizes in VARIANTS.items() if sizes == mine), None)

    def _check(self) -> None:
        for name in ("dims", "depths", "heads"):
            values = getattr(self, name)
            if len(values) != 4 or min(values) < 1:
                raise ValueError(f"{name} must be four positive whole numbers, one per stage, not {values}")
        for dim, head in zip(self.dims, self.heads, strict=True):
            if dim % head:
                raise ValueError(f"{head} heads do not divide {dim} channels")
        if self.embedding_size < 1 or self.image_size < 32:
            raise ValueError("embedding_size must be at least 1 and image_size at least 32 pixels")
        if self.low_rank_gamma is not None and not 0 < self.low_rank_gamma <= 1:
            raise ValueError(f"low_rank_gamma must lie in (0, 1] or be None, not {self.low_rank_gamma}")
