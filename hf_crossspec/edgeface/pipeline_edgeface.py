"""The pipeline `face-embedding`: aligned face pictures in, embeddings of length one out."""

from typing import Any

import numpy as np
import torch
from transformers import Pipeline


class FaceEmbeddingPipeline(Pipeline):
    """Embeds aligned faces; the cosine of two faces is the dot product of their embeddings.

    Args of a call:
        images: A path, a URL, a PIL picture or an array, or a list of them. Arrays as `EdgeFaceImageProcessor` takes
            them.
        batch_size: How many pictures go through the network at a time.

    Returns:
        A float32 array (D,) of length 1 per picture; for a list of pictures a list of arrays.

    Example:
        >>> embed = pipeline("face-embedding", model="org/edgeface", trust_remote_code=True)  # doctest: +SKIP
        >>> first, second = embed(["one_face.png", "other_face.png"])  # doctest: +SKIP
        >>> float(first @ second)  # doctest: +SKIP
        0.71
    """

    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = True  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if kwargs:
            raise TypeError(f"face-embedding takes pictures and batch_size, not {', '.join(sorted(kwargs))}")
        return {}, {}, {}

    def preprocess(self, input_: Any, **kwargs: Any) -> Any:
        return self.image_processor(input_, return_tensors="pt")  # type: ignore[misc]

    def _forward(self, input_tensors: Any, **kwargs: Any) -> Any:
        return self.model(**input_tensors)

    def postprocess(self, model_outputs: Any, **kwargs: Any) -> np.ndarray:
        return torch.nn.functional.normalize(model_outputs.embeddings.float())[0].numpy()  # (1, D) -> (D,)
