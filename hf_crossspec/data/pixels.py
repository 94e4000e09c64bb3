"""Rows of a data set -> tensors: the one place where pictures are decoded and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hf_crossspec.data.images import BadImageError, decode_image
from hf_crossspec.errors import InputError


@dataclass
class PixelBatches:
    """Iterate over a data set's pictures as model input, in row order.

    Yields `(rows, pixel_values)`: row numbers (b,) and (b, 3, H, W) in [-1, 1], b at most `batch_size`. A bad picture
    ends the iteration with `BadImageError`, or is named in `skipped` with `skip_bad`. `resized` counts the pictures of
    another size than the model's, which are most likely not aligned.
    """

    dataset: Dataset
    processor: Any
    batch_size: int = 64
    skip_bad: bool = False
    skipped: list[str] = field(default_factory=list)
    resized: int = 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for start in range(0, len(self.dataset), self.batch_size):
            rows, pixels = [], []
            stop = min(start + self.batch_size, len(self.dataset))
            entries = self.dataset[start:stop]
            for row, entry in zip(range(start, stop), entries["image"], strict=True):
                name = str(entries["key"][row - start]) if "key" in entries else f"row {row}"
                try:
                    image = decode_image(entry, name)
                    pixels.append(self.processor(image, return_tensors="pt").pixel_values)
                    rows.append(row)
                    size = self.processor.size
                    self.resized += image.size != (size["width"], size["height"])
                except BadImageError as error:
                    self._skip(error)
                except ValueError as error:  # the processor's word on pixel values and channels
                    self._skip(BadImageError(f"{name}: {error}"))
            if rows:
                yield np.array(rows), torch.cat(pixels)

    def _skip(self, error: BadImageError) -> None:
        if not self.skip_bad:
            raise BadImageError(f"{error} (or leave bad pictures out with --skip-bad)") from None
        self.skipped.append(str(error))


@dataclass(frozen=True)
class FaceSet:
    """Faces of a data set, decoded once and held in memory as bytes (38 kB a picture).

    Args:
        pixels: (N, 3, H, W) uint8; `to_input` gives them back as model input.
        subjects: (N,) subject identifiers.
        modalities: (N,) modality names.
        skipped: What was left out, one line a picture.
        resized: How many pictures had another size than the model's.
    """

    pixels: torch.Tensor
    subjects: np.ndarray
    modalities: np.ndarray
    skipped: tuple[str, ...] = ()
    resized: int = 0

    @classmethod
    def decode(cls, dataset: Dataset, processor: Any, skip_bad: bool = False) -> FaceSet:
        """Decode every picture of an image-level data set."""
        batches = PixelBatches(dataset, processor, skip_bad=skip_bad)
        rows, pixels = [], []
        for batch_rows, batch_pixels in batches:
            rows.append(batch_rows)
            pixels.append((batch_pixels * 127.5 + 127.5).round().to(torch.uint8))
        if not rows:
            raise InputError("the data set has no readable picture")
        kept = np.concatenate(rows)
        subjects, modalities = np.array(dataset["subject_id"])[kept], np.array(dataset["modality"])[kept]
        return cls(torch.cat(pixels), subjects, modalities, tuple(batches.skipped), batches.resized)

    def of_modality(self, modality: str) -> FaceSet:
        """The faces of one modality; `InputError` lists the present ones when there are none."""
        chosen = np.flatnonzero(self.modalities == modality)
        require_modality(self.modalities, modality)
        return FaceSet(self.pixels[chosen], self.subjects[chosen], self.modalities[chosen], self.skipped)

    def fingerprint(self) -> str:
        """SHA-256 of subjects and pictures."""
        digest = hashlib.sha256("\n".join(self.subjects).encode())
        digest.update(self.pixels.numpy().tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.subjects)


def to_input(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pictures -> model input in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1.0)


def require_modality(present: Sequence[str] | np.ndarray, wanted: str) -> None:
    """Raise `InputError` when no picture is of the modality `wanted`."""
    names = sorted(set(present))
    if wanted not in names:
        raise InputError(f"no picture has the modality {wanted!r}; the data set has {', '.join(names) or 'none'}")


def refuse_shared_subjects(evaluated: Sequence[str] | np.ndarray, trained: Sequence[str]) -> None:
    """Raise `InputError` when a subject of an evaluation is also trained on."""
    shared = sorted(set(evaluated) & set(trained))
    if shared:
        raise InputError(
            f"{len(shared)} evaluation subjects are also trained on (the first is {shared[0]}): "
            "an evaluation needs subjects of its own"
        )
