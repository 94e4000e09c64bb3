"""A gallery that leaves nothing behind: it lives in memory, as long as the visit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from hf_crossspec.recognition.gallery import Gallery, Images, NetworkStamp


class MemoryGallery(Gallery):
    """Templates of a few people in a dictionary; nothing is written anywhere."""

    def __init__(self, stamp: NetworkStamp) -> None:
        self.location = "this visit's gallery"
        self.stamp = stamp
        self._sums: dict[str, Any] = {}
        self._images: dict[str, Counter[str | None]] = {}

    def remove(self, subject_id: str) -> None:
        """Remove a subject; its embeddings are gone with it."""
        if subject_id not in self._sums:
            raise self._unknown(subject_id)
        del self._sums[subject_id], self._images[subject_id]

    def images(self, subject_id: str) -> dict[str | None, int]:
        """How many images of each modality stand behind a subject's template."""
        if subject_id not in self._images:
            raise self._unknown(subject_id)
        return dict(self._images[subject_id])

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return sorted(self._sums)

    def __len__(self) -> int:
        return len(self._sums)

    def __contains__(self, subject_id: object) -> bool:
        return subject_id in self._sums

    def _add(self, images: Images) -> None:
        every = zip(images.subject_ids, images.modalities, images.embeddings, strict=True)
        for name, modality, embedding in every:
            self._sums[name] = self._sums.get(name, 0.0) + embedding.astype(np.float64)
            self._images.setdefault(name, Counter())[modality] += 1

    def _search(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        names = np.array(self.subjects(), dtype=object)
        if not len(names):
            return np.empty((len(queries), 0), object), np.empty((len(queries), 0), np.float32)
        templates = np.stack([self._sums[name] for name in names])
        templates /= np.linalg.norm(templates, axis=1, keepdims=True)
        scores = (queries @ templates.T).astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]  # equal scores stay in the order of the names
        return names[order], np.take_along_axis(scores, order, axis=1)
