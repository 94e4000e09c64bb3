"""A saved model, with or without an adapter, that turns pictures into embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel

import hf_crossspec.edgeface  # noqa: F401  (registers EdgeFace with the Auto classes)
from hf_crossspec.adapters import load_adapters
from hf_crossspec.data.pixels import PixelBatches
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.hub.source import split_revision
from hf_crossspec.methods.low_rank.loading import LowRankEmbedding, load_low_rank


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a data set's readable pictures.

    Args:
        values: (N, D) float32, each of length 1.
        rows: (N,) row numbers in the data set, ascending.
        skipped: One line for each picture that could not be read.
        resized: How many pictures had another size than the model's.
    """

    values: np.ndarray
    rows: np.ndarray
    skipped: tuple[str, ...] = ()
    resized: int = 0


@dataclass(frozen=True)
class FaceEmbedder:
    """Model, image processor and what follows the model, as one; `name` and `adapter` say where they come from."""

    model: Any
    processor: Any
    name: str
    adapter: str | None = None
    low_rank: LowRankEmbedding | None = None

    @classmethod
    def from_pretrained(
        cls, model: str | Path, adapter: str | Path | None = None, low_rank: str | Path | None = None
    ) -> FaceEmbedder:
        """Load a model folder or Hub id, and optionally a PEFT adapter and a low-rank embedding for it.

        Raises:
            InputError: nothing to load there, not a face embedding model, or an adapter or a low-rank embedding that
                does not fit.
        """
        network: Any
        network, processor = load_base(model)
        if adapter is not None:
            network = load_adapters(network, {"default": adapter})
        layer: Any = None if low_rank is None else load_low_rank(low_rank, weights_fingerprint(network))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = network.to(device, memory_format=torch.channels_last).eval()  # a third faster on CPUs
        layer = layer if layer is None else layer.to(device)
        return cls(network, processor, str(model), None if adapter is None else str(adapter), layer)

    @torch.inference_mode()
    def embed_batch(self, pixel_values: torch.Tensor) -> np.ndarray:
        """Model input (B, 3, H, W) -> normalised embeddings (B, D)."""
        pixel_values = pixel_values.to(self.model.device, memory_format=torch.channels_last)
        embeddings = self.model(pixel_values=pixel_values).embeddings.float()
        if self.low_rank is not None:
            return self.low_rank(embeddings).cpu().numpy()
        return torch.nn.functional.normalize(embeddings).cpu().numpy()

    def embed_images(self, images: Iterable[Image.Image]) -> np.ndarray:
        """Aligned PIL pictures -> normalised embeddings (N, D)."""
        return self.embed_batch(self.processor(list(images), return_tensors="pt").pixel_values)

    def embed_dataset(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        skip_bad: bool = False,
        advance: Callable[[int], None] = lambda count: None,
    ) -> Embeddings:
        """Embed every picture of an image-level data set; `advance` is told the number of pictures after each batch."""
        batches = PixelBatches(dataset, self.processor, batch_size, skip_bad)
        rows, values = [], []
        for batch_rows, pixel_values in batches:
            rows.append(batch_rows)
            values.append(self.embed_batch(pixel_values))
            advance(len(batch_rows))
        if not rows:
            raise InputError("the data set has no readable picture")
        return Embeddings(np.concatenate(values), np.concatenate(rows), tuple(batches.skipped), batches.resized)

    def describe(self) -> dict[str, Any]:
        """Name, adapter, low-rank embedding, and a fingerprint of all weights, for reports."""
        parts = [self.model] if self.low_rank is None else [self.model, self.low_rank]
        return {
            "name": self.name,
            "adapter": self.adapter,
            "low_rank": None if self.low_rank is None else self.low_rank.name_or_path,
            "weights_sha256": weights_fingerprint(*parts),
        }


def load_base(name: str | Path) -> tuple[PreTrainedModel, Any]:
    """Model and image processor from a folder or a Hub id (`owner/name@revision` for a revision), in float32.

    Only safetensors are read, and no code that comes with the model is run.

    Raises:
        InputError: nothing to load there, or a model that gives no face embeddings.
    """
    source, revision = split_revision(name)
    if Path(source).exists() and not (Path(source) / "config.json").is_file():
        raise InputError(f"{source} is not a model folder (no config.json): make one with `crossspec convert`")
    try:
        options: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False}
        model = AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **options)
        processor = AutoImageProcessor.from_pretrained(source, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{source} is not loadable as a model: {one_line(error)}") from error
    if model.config.model_type not in FACE_MODELS:
        raise InputError(f"{source} is a {model.config.model_type} model: an EdgeFace model is needed")
    return model, processor


FACE_MODELS = ("edgeface",)


def weights_fingerprint(*parts: torch.nn.Module) -> str:
    """SHA-256 over the names and values of all weights of a network's parts, the same on every machine."""
    digest = hashlib.sha256()
    for part in parts:
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()
