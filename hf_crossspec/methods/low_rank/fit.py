"""Fit a low-rank embedding for a saved network: pictures of training subjects in, one linear layer out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.runner import hashed_subjects, of_modalities, quick_metrics, versions
from hf_crossspec.files import new_directory, refuse_foreign_directory, write_json
from hf_crossspec.methods.low_rank.config import LowRankArguments
from hf_crossspec.methods.low_rank.loading import LowRankConfig, LowRankEmbedding
from hf_crossspec.methods.low_rank.projection import Projection, projections


@dataclass(frozen=True)
class FittedLowRank:
    """What a fit made.

    Args:
        output_dir: Folder of the low-rank embedding; give it to `--low-rank` or `FaceEmbedder.from_pretrained`.
        iterations: Iterations of the embedding that was kept.
        subjects, pictures: What it was fitted on.
        history: Objective by iteration of the final fit; the first is PCA alone.
        validation: `history`, EER, AUC, TARs and Rank-1 by iteration, each the mean over parts of the subjects that a
            fit on the other parts has not seen, and the `best` iteration; `None` without validation.
        skipped: One line for each picture that could not be read.
        resized: How many pictures had another size than the model's.
    """

    output_dir: Path
    iterations: int
    subjects: int
    pictures: int
    history: list[dict[str, float]]
    validation: dict[str, Any] | None
    skipped: tuple[str, ...]
    resized: int


@dataclass(frozen=True)
class _Pictures:
    """Embeddings (N, D) of pictures with their subjects and modalities (N,)."""

    embeddings: np.ndarray
    subjects: np.ndarray
    modalities: np.ndarray

    def of(self, subjects: Iterable[str]) -> _Pictures:
        chosen = np.isin(self.subjects, list(subjects))
        return _Pictures(self.embeddings[chosen], self.subjects[chosen], self.modalities[chosen])


def fit_low_rank(args: LowRankArguments) -> FittedLowRank:
    """Fit PCA and low-rank transform on the embeddings of subjects seen in both modalities.

    With validation, fits without a part of the subjects say how many iterations serve people best that were not
    fitted on (by EER), and the final fit takes as many on all subjects.

    Raises:
        InputError: unusable arguments, model, data or output folder.

    Example:
        >>> fit_low_rank(LowRankArguments(  # doctest: +SKIP
        ...     model="edgeface-xxs", data="pairs", target_modality="nir", output_dir="edgeface-xxs-nir-low-rank"))
    """
    args.check()
    refuse_foreign_directory(Path(args.output_dir))
    embedder = FaceEmbedder.from_pretrained(args.model, args.adapter)
    sides = (args.source_modality, args.target_modality)
    faces = of_modalities(load_faces(args.data, args.split), *sides)
    found = embedder.embed_dataset(faces, args.batch_size, args.skip_bad)
    subjects, modalities = (np.array(faces[column])[found.rows] for column in ("subject_id", "modality"))
    pictures, names = _seen_in_both(_Pictures(found.values, subjects, modalities), sides)
    validation, iterations = None, args.iterations
    if args.validation_folds:
        validation = _validate(pictures, names, args)
        iterations = validation["best"]
    path = _first(projections(pictures.embeddings, pictures.subjects, args), iterations)
    fitted = FittedLowRank(
        Path(args.output_dir), path[-1].iterate.number, len(names), len(pictures.subjects),
        [_numbers(projection) for projection in path], validation, found.skipped, found.resized,
    )  # fmt: skip
    _save(_as_model(path[-1], args, embedder), args, fitted, names)
    return fitted


def _save(low_rank: LowRankEmbedding, args: LowRankArguments, fitted: FittedLowRank, names: list[str]) -> None:
    """The layer with its code, how it was made (run.json), and what it was made from (result.json)."""
    network_sha256 = low_rank.config.network_sha256
    facts = {name: getattr(fitted, name) for name in ("iterations", "pictures", "history", "validation")}
    with new_directory(args.output_dir) as folder:
        low_rank.save_pretrained(folder)
        write_json(folder / "run.json", {"arguments": asdict(args), "network_sha256": network_sha256})
        write_json(
            folder / "result.json", {"trained_subjects": hashed_subjects(names), **facts, "versions": versions()}
        )


def _seen_in_both(pictures: _Pictures, sides: tuple[str, str]) -> tuple[_Pictures, list[str]]:
    """The pictures of the subjects that both modalities show, and those subjects."""
    source, target = (set(pictures.subjects[pictures.modalities == side]) for side in sides)
    both = sorted(map(str, source & target))
    if len(both) < 2:
        raise InputError(f"{len(both)} subjects have pictures in both {sides[0]} and {sides[1]}: two are the least")
    return pictures.of(both), both


def _validate(pictures: _Pictures, names: list[str], args: LowRankArguments) -> dict[str, Any]:
    """Metrics of unseen subjects by iteration, mean over the folds, and the `best` iteration."""
    folds = [_Fold.of(pictures, names, part, args) for part in _parts(names, args)]
    history: list[dict[str, float]] = []
    while sum(fold.advance(args) for fold in folds):
        metrics = [fold.metrics for fold in folds]
        history.append({name: float(np.mean([each[name] for each in metrics])) for name in metrics[0]})
        best = best_iteration([entry["eer"] for entry in history])
        if len(history) - 1 - best >= args.patience:
            break
    return {"folds": len(folds), "best": best, "history": history}


def _parts(names: list[str], args: LowRankArguments) -> list[np.ndarray]:
    if len(names) < 2 * args.validation_folds:
        raise InputError(
            f"{len(names)} subjects are too few for {args.validation_folds} validation folds: two in each are the "
            "least (validation_folds 0 does without)"
        )
    return np.array_split(np.random.default_rng(args.seed).permutation(names), args.validation_folds)


@dataclass
class _Fold:
    """Subjects set apart, and a fit on the others that goes on by one iteration at a time."""

    held: _Pictures
    path: Iterator[Projection]
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pictures: _Pictures, names: list[str], apart: np.ndarray, args: LowRankArguments) -> _Fold:
        rest = pictures.of(set(names) - set(apart))
        return cls(pictures.of(apart), projections(rest.embeddings, rest.subjects, args))

    def advance(self, args: LowRankArguments) -> bool:
        """Go on; a fit at its end keeps its last metrics."""
        projection = next(self.path, None)
        if projection is None:
            return False
        self.metrics = quick_metrics(
            projection.apply(self.held.embeddings), self.held.subjects, self.held.modalities,
            args.source_modality, args.target_modality,
        )  # fmt: skip
        return True


def best_iteration(errors: list[float]) -> int:
    """Index of the smallest error; of equals the last, whose objective is the lowest."""
    return len(errors) - 1 - int(np.argmin(errors[::-1]))


def _first(path: Iterable[Projection], iterations: int) -> list[Projection]:
    kept = []
    for projection in path:
        kept.append(projection)
        if projection.iterate.number == iterations:
            break
    return kept


def _numbers(projection: Projection) -> dict[str, float]:
    iterate = projection.iterate
    return {"objective": iterate.objective, "low_rank": iterate.low_rank, "ratio": iterate.ratio}


def _as_model(projection: Projection, args: LowRankArguments, embedder: FaceEmbedder) -> LowRankEmbedding:
    output_size, input_size = projection.weight.shape
    config = LowRankConfig(
        input_size, output_size, embedder.describe()["weights_sha256"], args.source_modality, args.target_modality,
        getattr(embedder.model.config, "weights_license", None),
    )  # fmt: skip
    low_rank = LowRankEmbedding(config)
    with torch.no_grad():
        low_rank.linear.weight.copy_(projection.weight)
        low_rank.linear.bias.copy_(projection.bias)
    return low_rank
