"""The systems of a report, unadapted and adapted, and one pass of the pictures through all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hf_crossspec.data.pixels import PixelBatches
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import Calibration, find_calibration
from hf_crossspec.evaluation.runner import shared_with_training
from hf_crossspec.report.runs import UNADAPTED, Plan, refuse_other_base


@dataclass(frozen=True)
class System:
    """A network under its name in the report.

    Args:
        label: The name.
        embedder: The network.
        description: What it is and where it comes from, for the report.
        calibration: The thresholds beside its weights, where there are any.
    """

    label: str
    embedder: FaceEmbedder
    description: dict[str, Any]
    calibration: Calibration | None


@dataclass(frozen=True)
class Embedded:
    """The readable pictures of a data set, embedded by every system.

    Args:
        values: System -> (N, D) embeddings of length 1.
        rows: (N,) row numbers in the data set, ascending.
        skipped: One line for each picture that could not be read.
        resized: How many pictures had another size than the model's.
        sha256: Over subjects, modalities and pictures, as the model sees them.
    """

    values: dict[str, np.ndarray]
    rows: np.ndarray
    skipped: tuple[str, ...]
    resized: int
    sha256: str


def load_systems(plan: Plan, subjects: Sequence[str], same_ids_are_others: bool) -> list[System]:
    """The unadapted network and one per run.

    Raises:
        InputError: a run that was trained on one of these subjects or on other base weights, a calibration of other
            weights, or what `FaceEmbedder.from_pretrained` refuses.
    """
    shared = {run.adapter: len(shared_with_training(run.adapter, subjects, same_ids_are_others)) for run in plan.runs}
    base = FaceEmbedder.from_pretrained(plan.model)
    config = base.model.config
    licence = {"weights_license": config.weights_license, "weights_source": config.weights_source}
    base_sha256 = base.describe()["weights_sha256"]
    parameters = sum(parameter.numel() for parameter in base.model.parameters())
    description = {"label": UNADAPTED, **base.describe(), **licence, "parameters": parameters}
    systems = [System(UNADAPTED, base, description, _calibration_of(plan.model, None, base_sha256))]
    for run in plan.runs:
        refuse_other_base(run, base_sha256, plan.model)
        adapted = FaceEmbedder.from_pretrained(plan.model, run.adapter)
        description = {
            "label": run.label, **adapted.describe(), **licence, **run.describe(),
            "trained_subjects_known": run.trained_subjects_known,
            "subject_ids_shared_with_training": shared[run.adapter],
        }  # fmt: skip
        calibration = _calibration_of(plan.model, run.adapter, description["weights_sha256"])
        systems.append(System(run.label, adapted, description, calibration))
    return systems


def _calibration_of(model: str, adapter: str | None, weights_sha256: str) -> Calibration | None:
    """The calibration beside the weights, `None` without one; one of other weights is refused."""
    try:
        path = find_calibration(model, adapter)
    except InputError:
        return None
    return Calibration.load(path, weights_sha256)


def embed_with_all(
    systems: Sequence[System],
    faces: Dataset,
    batch_size: int = 64,
    skip_bad: bool = False,
) -> Embedded:
    """Decode every picture once and embed it with each system.

    Raises:
        InputError: no readable picture, or an unreadable one without `skip_bad`.
    """
    batches = PixelBatches(faces, systems[0].embedder.processor, batch_size, skip_bad)
    digest, rows = hashlib.sha256(), []
    values: dict[str, list[np.ndarray]] = {system.label: [] for system in systems}
    for batch_rows, pixel_values in batches:
        rows.append(batch_rows)
        digest.update((pixel_values * 127.5 + 127.5).round().to(torch.uint8).numpy().tobytes())
        for system in systems:
            values[system.label].append(system.embedder.embed_batch(pixel_values))
    if not rows:
        raise InputError("the data set has no readable picture")
    kept = np.concatenate(rows)
    for column in ("subject_id", "modality"):
        digest.update("\n".join(np.array(faces[column])[kept]).encode())
    joined = {label: np.concatenate(parts) for label, parts in values.items()}
    return Embedded(joined, kept, tuple(batches.skipped), batches.resized, digest.hexdigest())
