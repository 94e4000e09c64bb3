"""Thresholds set on people of a development split, and seen at work on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import (
    Calibration,
    ErrorRates,
    PairCalibration,
    Rate,
    ThresholdEntry,
    unordered,
)
from hf_crossspec.evaluation.intervals import (
    MAX_COMPARISONS,
    SubjectResampler,
    draw_multiplicities,
    plan_parts,
    take_part,
    wilson_interval,
)
from hf_crossspec.evaluation.likelihood_ratio import (
    ScoreMapping,
    cllr,
    expected_calibration_error,
    fit_mapping,
    minimum_cllr,
)
from hf_crossspec.evaluation.metrics import SortedScores
from hf_crossspec.evaluation.scores import Comparisons, FloatArray, ScoreMatrix
from hf_crossspec.evaluation.verification import count_comparisons

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_crossspec.embedding import FaceEmbedder

FMRS = (1e-2, 1e-3)


def calibrate(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    adapter: str | Path | None = None,
    low_rank: str | Path | None = None,
    dev_split: str = "validation",
    test_split: str | None = None,
    gallery_modality: str,
    probe_modality: str,
    fmrs: Sequence[float] = FMRS,
    mapping: str = "logistic",
    skip_bad: bool = False,
    same_ids_are_others: bool = False,
    batch_size: int = 64,
    seed: int = 0,
) -> Calibration:
    """Calibrate a model for one pair of modalities: `calibrate_comparisons` on what `evaluate_model` would compare.

    Args:
        model, adapter, low_rank: As `FaceEmbedder.from_pretrained` takes them.
        data: As `load_faces` takes it.
        dev_split, test_split: Splits of `data` without a subject in common; without a test split nothing is tested.
        gallery_modality, probe_modality: All probes are compared with a template of each gallery subject.
        fmrs, mapping, seed: As `calibrate_comparisons` takes them.
        skip_bad: Leave out unreadable pictures; they are counted as failures to acquire.
        same_ids_are_others: Allow subject identifiers that adapter or low-rank embedding were trained on.

    Returns:
        A calibration of this one pair; `save` merges it into a file with others.

    Raises:
        InputError: unusable input, a subject in both splits or trained on, or an FMR the comparisons do not support.
    """
    from hf_crossspec.data.schema import load_faces
    from hf_crossspec.embedding import FaceEmbedder
    from hf_crossspec.evaluation.runner import of_modalities, shared_with_training, versions

    names = {"development": dev_split} | ({} if test_split is None else {"test": test_split})
    sides = gallery_modality, probe_modality
    faces = {split: of_modalities(load_faces(data, name), *sides) for split, name in names.items()}
    if test_split is not None:
        _refuse_shared(*(set(some["subject_id"]) for some in faces.values()))
    for some in faces.values():
        for trained in (adapter, low_rank):
            shared_with_training(trained, some["subject_id"], same_ids_are_others)
    embedder = FaceEmbedder.from_pretrained(model, adapter, low_rank)
    matrices, failures = {}, {}
    for split, some in faces.items():
        matrices[split], failures[split] = _compare(embedder, some, sides, batch_size, skip_bad)
    pair = calibrate_comparisons(
        matrices["development"], matrices.get("test"), sides, fmrs=fmrs, mapping=mapping, seed=seed
    )
    for split, name in names.items():
        pair.setting[split] |= {"split": name, "failures_to_acquire": failures[split]}
    pair.setting.update(gallery_modality=gallery_modality, probe_modality=probe_modality, versions=versions())
    return Calibration(embedder.describe()["weights_sha256"], (pair,))


def _refuse_shared(development: set[str], test: set[str]) -> None:
    shared = sorted(development & test)
    if shared:
        raise InputError(
            f"{len(shared)} subjects are in both the development and the test split, the first is {shared[0]}: "
            "thresholds must be tested on other people"
        )


def _compare(
    embedder: FaceEmbedder, faces: Dataset, sides: tuple[str, str], batch_size: int, skip_bad: bool
) -> tuple[ScoreMatrix, int]:
    """The comparisons of a split, and how many pictures could not be read."""
    from hf_crossspec.evaluation.runner import compare_modalities

    embeddings = embedder.embed_dataset(faces, batch_size, skip_bad)
    subjects, modalities = (np.array(faces[column])[embeddings.rows] for column in ("subject_id", "modality"))
    return compare_modalities(embeddings.values, subjects, modalities, *sides), len(embeddings.skipped)


def calibrate_comparisons(
    development: Comparisons | ScoreMatrix,
    test: Comparisons | ScoreMatrix | None,
    modalities: tuple[str, str],
    *,
    fmrs: Sequence[float] = FMRS,
    mapping: str = "logistic",
    replicates: int = 1000,
    seed: int = 0,
) -> PairCalibration:
    """Set thresholds on one list of comparisons and see what they do on another, of other people.

    A threshold is the lowest whose FMR on `development` does not exceed the target, without interpolation. Two rules of
    thumb say what the comparisons support. Rule of 3: with fewer than 3 / FMR non-mated comparisons not even a count of
    no errors shows that the FMR is that low (95 % confidence), so it is refused. Rule of 30 (Doddington et al. 2000):
    with fewer than 30 / FMR it is marked, as the FMR is known to about +-30 % at best. Both take comparisons as
    independent; as these share subjects, both are optimistic, and the intervals over subjects tell more.

    Args:
        development, test: subjects of one must not be in the other; the caller sees to it, as codes do not tell.
        modalities: names of the two sides, in any order.
        fmrs: targets in (0, 1).
        mapping: `logistic` or `isotonic`.
        replicates: bootstrap draws of subjects.
        seed: of the bootstrap.

    Raises:
        InputError: a target that the comparisons do not support, or no mated or no non-mated comparisons.
    """
    mated, non_mated = _sorted_sides("development", development)
    _refuse_unsupported(fmrs, non_mated.total)
    fmrs = sorted(set(fmrs), reverse=True)
    fitted = fit_mapping(mapping, mated.values, non_mated.values)
    thresholds = [non_mated.threshold_at_fmr(fmr) for fmr in fmrs]
    spread, method = _bootstrap(
        development, lambda _, other: [other.threshold_at_fmr(fmr) for fmr in fmrs], replicates, seed
    )
    on_development = _error_rates(development, thresholds, replicates, seed)
    on_test = [None] * len(fmrs) if test is None else _error_rates(test, thresholds, replicates, seed)
    entries = tuple(
        ThresholdEntry(
            modalities=unordered(*modalities),
            fmr=fmr,
            threshold=threshold,
            low=min(threshold, threshold + low),
            high=max(threshold, threshold + high),
            method=method,
            few_expected_false_matches=non_mated.total < _needed(30, fmr),
            non_mated_for_30=_needed(30, fmr),
            development=on_development[i],
            test=on_test[i],
            mapping=fitted,
        )
        for i, (fmr, threshold, (low, high)) in enumerate(zip(fmrs, thresholds, spread.T.tolist(), strict=True))
    )
    setting = {"seed": seed, "replicates": replicates, "development": count_comparisons(development)}
    error = None
    if test is not None:
        setting["test"] = count_comparisons(test)
        error = _calibration_error(fitted, *test.split())
    return PairCalibration(unordered(*modalities), entries, fitted, error, setting)


def _sorted_sides(name: str, comparisons: Comparisons | ScoreMatrix) -> tuple[SortedScores, SortedScores]:
    mated, non_mated = comparisons.split()
    if not len(mated) or not len(non_mated):
        raise InputError(
            f"the {name} split has {len(mated)} mated and {len(non_mated)} non-mated comparisons: both are needed"
        )
    return SortedScores(np.sort(mated)), SortedScores(np.sort(non_mated))


def _needed(errors: int, fmr: float) -> int:
    return ceil(round(errors / fmr, 6))  # 3 / 1e-5 must not become 300,001


def _refuse_unsupported(fmrs: Sequence[float], non_mated: int) -> None:
    if not fmrs or not all(0 < fmr < 1 for fmr in fmrs):
        raise InputError(f"target FMRs must lie between 0 and 1, not {', '.join(map(str, fmrs)) or 'none'}")
    for fmr in fmrs:
        if non_mated < _needed(3, fmr):
            raise InputError(
                f"an FMR of {fmr:g} needs {_needed(3, fmr):,} non-mated comparisons at least (rule of 3), and "
                f"{_needed(30, fmr):,} to be trusted (rule of 30); the development split has {non_mated:,}"
            )


def _error_rates(
    comparisons: Comparisons | ScoreMatrix, thresholds: Sequence[float], replicates: int, seed: int
) -> list[ErrorRates]:
    """FMR and FNMR at fixed thresholds, with intervals over subjects."""
    mated, non_mated = _sorted_sides("test", comparisons)

    def rates(mated: SortedScores, non_mated: SortedScores) -> FloatArray:
        return np.concatenate(
            [non_mated.at_or_above(thresholds) / non_mated.total, mated.below(thresholds) / mated.total]
        )

    spread, method = _bootstrap(comparisons, rates, replicates, seed)
    errors = np.concatenate([non_mated.at_or_above(thresholds), mated.below(thresholds)]).tolist()
    sizes = [non_mated.total] * len(thresholds) + [mated.total] * len(thresholds)
    every = [_rate(*each, method) for each in zip(errors, sizes, spread.T.tolist(), strict=True)]
    return [ErrorRates(*pair) for pair in zip(every[: len(thresholds)], every[len(thresholds) :], strict=True)]


def _rate(errors: int, n: int, spread: tuple[float, float], method: str) -> Rate:
    value = errors / n
    low, high = max(0.0, min(value, value + spread[0])), min(1.0, max(value, value + spread[1]))
    if high - low < 1e-12:
        low, high = wilson_interval(errors, n)
        method = "Wilson (the bootstrap has no width)"
    return Rate(value, low, high, errors, n, method)


def _bootstrap(
    comparisons: Comparisons | ScoreMatrix,
    statistic: Callable[[SortedScores, SortedScores], npt.ArrayLike],
    replicates: int,
    seed: int,
) -> tuple[FloatArray, str]:
    """2.5 and 97.5 % quantiles (2, k) of a statistic's (k,) deviation under draws of subjects, as `subject_bootstrap`
    draws them, and a name for it."""
    rng = np.random.default_rng(seed)
    subjects = np.union1d(comparisons.probe_subject, comparisons.gallery_subject)
    m, parts = plan_parts(comparisons.size, len(subjects), MAX_COMPARISONS)
    deviations: list[FloatArray] = []
    for number in range(parts):
        part, drawn_from = take_part(comparisons, subjects, m, MAX_COMPARISONS, rng)
        if part.mated_count in (0, part.size):
            continue
        resampler = SubjectResampler(part, drawn_from)
        own = np.asarray(statistic(*resampler.weighted(np.ones(len(drawn_from), np.int64))))
        for _ in range(replicates * number // parts, replicates * (number + 1) // parts):
            sides = resampler.weighted(draw_multiplicities(rng, len(drawn_from)))
            if all(side.total for side in sides):
                deviations.append(np.asarray(statistic(*sides)) - own)
    if not deviations:
        raise InputError("too few subjects to draw from: no draw has mated and non-mated comparisons")
    method = f"{'m-out-of-n ' if parts > 1 else ''}subject bootstrap, {len(deviations)} replicates"
    return sqrt(m / len(subjects)) * np.quantile(deviations, [0.025, 0.975], axis=0), method


def _calibration_error(mapping: ScoreMapping, mated: FloatArray, non_mated: FloatArray) -> dict[str, float]:
    llrs = mapping.llr(mated), mapping.llr(non_mated)
    return {
        "cllr_bits": cllr(*llrs),
        "minimum_cllr_bits": minimum_cllr(mated, non_mated),
        "ece": expected_calibration_error(*llrs),
    }
