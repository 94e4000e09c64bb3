"""What is measured of a trained network: the target modality, the old modality, and the memory that training took."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset

from hf_crossspec.data.pixels import FaceSet, to_input
from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.metrics import kfold_accuracy
from hf_crossspec.evaluation.runner import compare_modalities, compare_pairs, evaluate_comparisons, read_pairs
from hf_crossspec.evaluation.scores import Comparisons

BATCH = 64


def embed(network: Any, processor: Any, pixels: torch.Tensor) -> np.ndarray:
    """Normalised embeddings (N, D) of pictures (N, 3, H, W) held as bytes."""
    network = network.to(memory_format=torch.channels_last).eval()
    embedder = FaceEmbedder(network, processor, "")
    return np.concatenate([embedder.embed_batch(to_input(part)) for part in pixels.split(BATCH)])


def target_report(
    network: Any, processor: Any, faces: FaceSet, source_modality: str, target_modality: str
) -> dict[str, Any]:
    """Verification and identification of target probes against source templates, with counts and intervals."""
    embeddings = embed(network, processor, faces.pixels)
    matrix = compare_modalities(embeddings, faces.subjects, faces.modalities, source_modality, target_modality)
    return evaluate_comparisons(matrix)


@dataclass(frozen=True)
class Retention:
    """Pairs of the old modality in folds, their pictures decoded once.

    Args:
        faces: Rows of the data set that the pairs name; `pixels` (N, 3, H, W) are their pictures as bytes.
        pairs: key1, key2, same, fold.
        selection: Folds that settings may be chosen by.
    """

    faces: Dataset
    pixels: torch.Tensor
    pairs: pd.DataFrame
    selection: tuple[int, ...]

    @classmethod
    def load(cls, data: str, split: str | None, path: str, selection: list[int], processor: Any) -> Retention:
        """Read pairs and pictures.

        Raises:
            InputError: pairs without folds, pictures that are not there, or folds that leave none to choose or test by.
        """
        pairs = read_pairs(path)
        if "fold" not in pairs:
            raise InputError(f"{path} needs a column fold: settings are chosen by some folds and tested on the others")
        present = set(pairs.fold)
        if not set(selection) <= present or len(present - set(selection)) < 2:
            raise InputError(
                f"{path} has the folds {', '.join(map(str, sorted(present)))}: selection_folds must be two or more of "
                "them and leave two or more for the test"
            )
        faces = load_faces(data, split)
        if "key" not in faces.column_names:
            raise InputError(f"{data} needs a column key, which names each picture in the pairs")
        wanted = set(pairs.key1) | set(pairs.key2)
        keys = [str(key) for key in faces["key"]]
        missing = sorted(wanted - set(keys))
        if missing:
            raise InputError(f"{len(missing)} pictures of {path} are not in {data}; the first is {missing[0]}")
        faces = faces.select([row for row, key in enumerate(keys) if key in wanted])
        return cls(faces, FaceSet.decode(faces, processor).pixels, pairs, tuple(selection))

    def subjects(self, folds: str) -> set[str]:
        """Subjects of the pictures in a part of the folds, as `pairs_of` names it."""
        pairs, names = self.pairs_of(folds), dict(zip(self.faces["key"], self.faces["subject_id"], strict=True))
        return {names[key] for key in (*pairs.key1, *pairs.key2)}

    def pairs_of(self, folds: str) -> pd.DataFrame:
        """The pairs of the `selection` folds, of the `held-out` ones, or `all`."""
        chosen = self.pairs.fold.isin(self.selection)
        return self.pairs[{"selection": chosen, "held-out": ~chosen, "all": chosen | ~chosen}[folds]]

    def selection_accuracy(self, network: Any, processor: Any) -> float:
        """Accuracy on the selection folds; no other picture is embedded."""
        pairs = self.pairs_of("selection")
        wanted = set(pairs.key1) | set(pairs.key2)
        rows = np.flatnonzero([str(key) in wanted for key in self.faces["key"]])
        found = self._comparisons(embed(network, processor, self.pixels[rows]), rows, pairs)
        assert found.fold is not None
        folds = kfold_accuracy(found.scores, found.mated, found.fold)
        return sum(folds.correct) / sum(folds.totals)

    def reports(self, network: Any, processor: Any) -> dict[str, dict[str, Any]]:
        """Verification with counts and intervals on the selection folds, the held-out folds, and all of them."""
        rows = np.arange(len(self.faces))
        embeddings = embed(network, processor, self.pixels)
        return {
            folds: evaluate_comparisons(self._comparisons(embeddings, rows, self.pairs_of(folds)))
            for folds in ("selection", "held-out", "all")
        }

    def _comparisons(self, embeddings: np.ndarray, rows: np.ndarray, pairs: pd.DataFrame) -> Comparisons:
        return compare_pairs(embeddings, self.faces, rows, pairs)


def peak_resident_bytes() -> int:
    """Most physical memory that this process has held at once, libraries included.

    On Linux VmHWM of /proc/self/status, which starts anew with a new program; elsewhere `getrusage`.
    """
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def resident_bytes() -> int | None:
    """Physical memory that this process holds now, or `None` where the system does not say."""
    return _status("VmRSS")


def _status(name: str) -> int | None:
    path = Path("/proc/self/status")
    if not path.exists():
        return None
    values = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(values[name].split()[0]) * 1024 if name in values else None
