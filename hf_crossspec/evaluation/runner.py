"""A model and a data set -> an evaluation: who is compared with whom, and the report of it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset

from hf_crossspec.data.pixels import require_modality
from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.evaluation.identification import evaluate_identification
from hf_crossspec.evaluation.metrics import SortedScores, rank_of_mate, verification_rates
from hf_crossspec.evaluation.scores import (
    Comparisons,
    ScoreMatrix,
    cosine_pair_scores,
    cosine_score_matrix,
    encode_subjects,
    make_templates,
)
from hf_crossspec.evaluation.verification import evaluate_verification
from hf_crossspec.files import read_json

# One entry per package whose version can move a number.
PACKAGES = ("hf-crossspec", "torch", "timm", "transformers", "peft", "datasets", "numpy")


def evaluate_model(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    adapter: str | Path | None = None,
    low_rank: str | Path | None = None,
    split: str | None = None,
    gallery_modality: str | None = None,
    probe_modality: str | None = None,
    pairs: str | Path | None = None,
    skip_bad: bool = False,
    same_ids_are_others: bool = False,
    batch_size: int = 64,
    seed: int = 0,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Embed a data set and evaluate the comparisons of two modalities, or of a pair list.

    Args:
        model, adapter, low_rank: As `FaceEmbedder.from_pretrained` takes them.
        data, split: As `load_faces` takes them.
        gallery_modality, probe_modality: Compare all probes with a template of each gallery subject.
        pairs: Instead of the modalities: CSV with key1, key2, same and optionally fold.
        skip_bad: Leave out unreadable pictures; they are counted as failures to acquire.
        same_ids_are_others: Allow subject identifiers that adapter or low-rank embedding were trained on; they are
            counted.
        seed: Of the bootstrap.

    Returns:
        The report (`metrics`, `counts`, `curves`, `protocol`, `model`, `versions`, `seed`) and the skipped pictures.

    Raises:
        InputError: unusable input, or evaluation on subjects that were trained on.
    """
    if (pairs is None) == (gallery_modality is None or probe_modality is None):
        raise InputError("give either a gallery and a probe modality, or a list of pairs")
    faces, pair_list = load_faces(data, split), None if pairs is None else read_pairs(pairs)
    if pair_list is None:
        faces = of_modalities(faces, str(gallery_modality), str(probe_modality))
    else:
        faces = _named_in(faces, pair_list, str(pairs))
    subject_ids = faces["subject_id"][:]
    shared = {
        subject
        for trained in (adapter, low_rank)
        for subject in shared_with_training(trained, subject_ids, same_ids_are_others)
    }
    embedder = FaceEmbedder.from_pretrained(model, adapter, low_rank)
    embeddings = embedder.embed_dataset(faces, batch_size, skip_bad)
    if pair_list is None:
        subjects, modalities = (np.array(faces[column])[embeddings.rows] for column in ("subject_id", "modality"))
        comparisons: Comparisons | ScoreMatrix = compare_modalities(
            embeddings.values, subjects, modalities, str(gallery_modality), str(probe_modality)
        )
    else:
        comparisons = compare_pairs(embeddings.values, faces, embeddings.rows, pair_list)
    result = evaluate_comparisons(comparisons, seed)
    result["counts"] |= {
        "pictures": len(faces),
        "failures_to_acquire": len(embeddings.skipped),
        "resized": embeddings.resized,
        "subject_ids_shared_with_training": len(shared),
    }
    source = str(data) if not isinstance(data, Dataset) else "datasets.Dataset"
    result["protocol"] = {
        "data": source,
        "split": split,
        "gallery_modality": gallery_modality,
        "probe_modality": probe_modality,
        "pairs": None if pairs is None else str(pairs),
    }
    return result | {"model": embedder.describe(), "seed": seed, "versions": versions()}, embeddings.skipped


def shared_with_training(
    trained: str | Path | None, subjects: Sequence[str], same_ids_are_others: bool = False
) -> list[str]:
    """Evaluated subjects that the own record of a local adapter or low-rank embedding names as trained on.

    Raises:
        InputError: there are such subjects, unless `same_ids_are_others` says that they are other people.
    """
    record = None if trained is None else Path(trained) / "result.json"
    if record is None or not record.is_file():
        return []
    shared = shared_subjects(subjects, read_json(record).get("trained_subjects", []))
    if shared and not same_ids_are_others:
        raise InputError(
            f"{len(shared)} of the evaluated subjects were trained on, the first is {shared[0]}; evaluate on others "
            "(or, if they are other people under the same identifiers, add --same-ids-are-others)"
        )
    return shared


def compare_modalities(
    embeddings: np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    modalities: Sequence[str] | np.ndarray,
    gallery_modality: str,
    probe_modality: str,
) -> ScoreMatrix:
    """Every probe against one template per gallery subject.

    With one modality on both sides, each subject's first picture is enrolled and the others are probes.

    Args:
        embeddings: (N, D), of all pictures.
        subjects, modalities: (N,) of each picture.

    Raises:
        InputError: a modality that no picture has.
    """
    subjects = np.asarray(subjects)
    gallery, probes = gallery_and_probes(subjects, modalities, gallery_modality, probe_modality)
    probe_codes, gallery_codes = encode_subjects(subjects[probes].tolist(), subjects[gallery].tolist())
    templates, template_codes = make_templates(embeddings[gallery], gallery_codes)
    return ScoreMatrix(cosine_score_matrix(embeddings[probes], templates), probe_codes, template_codes)


def gallery_and_probes(
    subjects: Sequence[str] | np.ndarray,
    modalities: Sequence[str] | np.ndarray,
    gallery_modality: str,
    probe_modality: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the enrolled pictures and of the probes, as `compare_modalities` takes them.

    Raises:
        InputError: a modality that no picture has, or no picture left as a probe.
    """
    subjects, modalities = np.asarray(subjects), np.asarray(modalities)
    for modality in (gallery_modality, probe_modality):
        require_modality(modalities, modality)
    gallery = np.flatnonzero(modalities == gallery_modality)
    probes = np.flatnonzero(modalities == probe_modality)
    if gallery_modality == probe_modality:
        gallery = gallery[np.unique(subjects[gallery], return_index=True)[1]]
        probes = np.setdiff1d(probes, gallery)
        if not len(probes):
            raise InputError(f"every subject has a single {probe_modality} picture: none is left as a probe")
    return gallery, probes


def compare_pairs(embeddings: np.ndarray, dataset: Dataset, rows: np.ndarray, pairs: pd.DataFrame) -> Comparisons:
    """The comparisons of a pair list as `read_pairs` gives it; its keys are the data set's column `key`.

    A pair of which a picture was skipped is left out: the failure to acquire is counted, not scored.

    Args:
        embeddings: (N, D) of the data set's rows `rows` (N,).

    Raises:
        InputError: flags that contradict the subjects.
    """
    keys, subjects = dataset["key"], dataset["subject_id"]
    position = {str(keys[row]): number for number, row in enumerate(rows.tolist())}
    pairs = pairs[pairs.key1.isin(position) & pairs.key2.isin(position)]
    left, right = (np.array([position[key] for key in pairs[side]]) for side in ("key1", "key2"))
    names = [subjects[row] for row in rows.tolist()]
    left_codes, right_codes = encode_subjects([names[i] for i in left], [names[i] for i in right])
    fold = pairs["fold"].to_numpy() if "fold" in pairs else None
    same = pairs["same"].to_numpy()
    return Comparisons(cosine_pair_scores(embeddings[left], embeddings[right]), left_codes, right_codes, fold, same)


def of_modalities(faces: Dataset, *modalities: str) -> Dataset:
    """The pictures of these modalities, each of which must be there."""
    present = faces["modality"][:]
    for modality in modalities:
        require_modality(present, modality)
    return faces.select(np.flatnonzero(np.isin(present, modalities)))


def _named_in(faces: Dataset, pairs: pd.DataFrame, name: str) -> Dataset:
    """The pictures that a pair list names, each of which must be there."""
    if "key" not in faces.column_names:
        raise InputError("pairs need a column `key` in the data set, which names each picture")
    wanted = set(pairs.key1) | set(pairs.key2)
    keys = [str(key) for key in faces["key"]]
    missing = sorted(wanted - set(keys))
    if missing:
        raise InputError(f"{len(missing)} pictures of {name} are not in the data set; the first is {missing[0]}")
    return faces.select([row for row, key in enumerate(keys) if key in wanted])


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Read a pair list; keys stay text."""
    try:
        pairs = pd.read_csv(path, dtype={"key1": str, "key2": str})
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path} is not readable as CSV: {one_line(error)}") from None
    missing = [column for column in ("key1", "key2", "same") if column not in pairs]
    if missing or pairs.empty:
        raise InputError(f"{path} needs rows with columns key1, key2, same and optionally fold; it lacks {missing}")
    if pairs[["key1", "key2"]].isna().any().any():
        raise InputError(f"{path} has rows without a key")
    return pairs


def evaluate_comparisons(comparisons: Comparisons | ScoreMatrix, seed: int = 0) -> dict[str, Any]:
    """Verification, and for a matrix identification too, as one result with `metrics`, `counts` and `curves`."""
    result = evaluate_verification(comparisons, seed=seed)
    if isinstance(comparisons, ScoreMatrix):
        identification = evaluate_identification(comparisons)
        result["metrics"] = {**identification["metrics"], **result["metrics"]}
        result["curves"] = {**result["curves"], **identification["curves"]}
    return result


def quick_metrics(
    embeddings: np.ndarray, subjects: np.ndarray, modalities: np.ndarray, gallery_modality: str, probe_modality: str
) -> dict[str, float]:
    """EER, AUC, TARs and Rank-1 without intervals, for the evaluations during training."""
    matrix = compare_modalities(embeddings, subjects, modalities, gallery_modality, probe_modality)
    mated, non_mated = (
        SortedScores.of(name, side) for name, side in zip(("mated", "non-mated"), matrix.split(), strict=True)
    )
    rank_1 = float(np.mean(rank_of_mate(matrix) == 1))
    return {**verification_rates(mated, non_mated, (1e-2, 1e-3)), "rank_1": rank_1}


def hashed_subjects(subjects: Iterable[str]) -> list[str]:
    """Subject identifiers as short hashes: enough to find shared subjects, without naming anybody."""
    return sorted({hashlib.sha256(subject.encode()).hexdigest()[:16] for subject in subjects})


def shared_subjects(subjects: Iterable[str], trained: Iterable[str]) -> list[str]:
    """Those of `subjects` whose hash is in `trained`."""
    known = set(trained)
    return sorted(subject for subject in set(subjects) if hashed_subjects([subject])[0] in known)


def versions() -> dict[str, str]:
    """Versions that a number depends on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
