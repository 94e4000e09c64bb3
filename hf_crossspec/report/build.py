"""Everything a report says, as one dict of plain Python numbers: runs and pictures -> scores -> results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.identification import RANKS, evaluate_identification
from hf_crossspec.evaluation.metrics import threshold_at_fmr
from hf_crossspec.evaluation.runner import compare_modalities, gallery_and_probes, of_modalities, versions
from hf_crossspec.evaluation.scores import ScoreMatrix
from hf_crossspec.evaluation.significance import Difference, paired_differences, paired_rank_difference
from hf_crossspec.evaluation.verification import evaluate_verification
from hf_crossspec.report.groups import group_columns, group_table
from hf_crossspec.report.operating_point import rates_at_threshold
from hf_crossspec.report.runs import UNADAPTED, Plan
from hf_crossspec.report.systems import Embedded, System, embed_with_all, load_systems

FMR_TARGETS = (1e-2, 1e-3)  # beside the one asked for
BINS = 40
Report = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How to measure: operating point, bootstrap, and what to do with difficult input."""

    split: str | None = None
    fmr: float = 1e-3
    replicates: int = 1000
    seed: int = 0
    skip_bad: bool = False
    same_ids_are_others: bool = False
    batch_size: int = 64

    @property
    def fmr_targets(self) -> list[float]:
        """Target FMRs of the TARs, from the largest down."""
        return sorted({*FMR_TARGETS, self.fmr}, reverse=True)


@dataclass(frozen=True)
class Measured:
    """A report and what it was computed from, as the pictures of it need that.

    Args:
        report: Plain Python numbers, ready for JSON; no picture, no embedding, no subject's name.
        faces: The pictures of the modalities compared.
        embedded: Their embeddings.
        processor: The model's image processor.
    """

    report: Report
    faces: Dataset
    embedded: Embedded
    processor: Any


def measure(plan: Plan, settings: Settings) -> Measured:
    """Embed the pictures once with every system and evaluate each probe modality against the gallery.

    Raises:
        InputError: unusable input, or an evaluation on subjects that a run was trained on.
    """
    faces = of_modalities(load_faces(plan.data, settings.split), plan.gallery_modality, *plan.probe_modalities)
    systems = load_systems(plan, faces["subject_id"], settings.same_ids_are_others)
    embedded = embed_with_all(systems, faces, settings.batch_size, settings.skip_bad)
    probes = list(plan.probe_modalities)
    if (
        plan.retention
        and plan.gallery_modality not in probes
        and _has_second_pictures(faces, embedded, plan.gallery_modality)
    ):
        probes.append(plan.gallery_modality)
    groups = {name: values[embedded.rows] for name, values in group_columns(faces).items()}
    comparisons = [_compare(plan, settings, systems, faces, embedded, groups, probe) for probe in probes]
    report = {
        "command": reproducing_command(plan, settings, probes),
        "data": _describe_data(plan, settings, faces, embedded),
        "gallery_modality": plan.gallery_modality,
        "probe_modalities": probes,
        "fmr": settings.fmr,
        "systems": [system.description for system in systems],
        "comparisons": comparisons,
        "replicates": settings.replicates,
        "seed": settings.seed,
        "versions": versions(),
    }
    return Measured(report, faces, embedded, systems[0].embedder.processor)


def reproducing_command(plan: Plan, settings: Settings, probes: Sequence[str]) -> str:
    """The command line that makes the same report, nothing left to be filled in from the runs."""
    options = {
        "--model": plan.model, "--data": plan.data, "--split": settings.split,
        "--gallery-modality": plan.gallery_modality, "--probe-modality": ",".join(probes),
        "--fmr": f"{settings.fmr:g}", "--replicates": settings.replicates, "--batch-size": settings.batch_size,
        "--seed": settings.seed, "--output-dir": "report",
    }  # fmt: skip
    words = ["crossspec", "report", *(run.adapter for run in plan.runs)]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    words += ["--skip-bad"] * settings.skip_bad + ["--same-ids-are-others"] * settings.same_ids_are_others
    return shlex.join(words)


def _has_second_pictures(faces: Dataset, embedded: Embedded, modality: str) -> bool:
    subjects, modalities = (np.array(faces[column])[embedded.rows] for column in ("subject_id", "modality"))
    enrolled = subjects[modalities == modality].tolist()
    return len(set(enrolled)) < len(enrolled)


def _describe_data(plan: Plan, settings: Settings, faces: Dataset, embedded: Embedded) -> dict[str, Any]:
    modality, readable = np.array(faces["modality"]), np.zeros(len(faces), bool)
    readable[embedded.rows] = True
    return {
        "source": plan.data,
        "split": settings.split,
        "sha256": embedded.sha256,
        "pictures": len(faces),
        "subjects": len(set(faces["subject_id"][:])),
        "failures_to_acquire": len(embedded.skipped),
        "resized": embedded.resized,
        "modalities": {
            name: {
                "pictures": int(np.count_nonzero(modality == name)),
                "failures_to_acquire": int(np.count_nonzero((modality == name) & ~readable)),
            }
            for name in sorted(set(modality.tolist()))
        },
    }


@dataclass(frozen=True)
class Sides:
    """Who is compared with whom, for one probe modality.

    Args:
        subjects, modalities: (N,) of the embedded pictures.
        gallery_modality, probe_modality: What is compared.
    """

    subjects: np.ndarray
    modalities: np.ndarray
    gallery_modality: str
    probe_modality: str

    @classmethod
    def of(cls, faces: Dataset, embedded: Embedded, gallery_modality: str, probe_modality: str) -> Sides:
        """The sides among the embedded pictures."""
        subjects, modalities = (np.array(faces[column])[embedded.rows] for column in ("subject_id", "modality"))
        return cls(subjects, modalities, gallery_modality, probe_modality)

    @property
    def gallery_and_probes(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the enrolled pictures and of the probes (P,) among the embedded pictures."""
        return gallery_and_probes(self.subjects, self.modalities, self.gallery_modality, self.probe_modality)

    def score(self, values: np.ndarray) -> ScoreMatrix:
        """Scores (P, G) of one system's embeddings (N, D)."""
        return compare_modalities(values, self.subjects, self.modalities, self.gallery_modality, self.probe_modality)


def _compare(
    plan: Plan,
    settings: Settings,
    systems: Sequence[System],
    faces: Dataset,
    embedded: Embedded,
    groups: Mapping[str, np.ndarray],
    probe_modality: str,
) -> dict[str, Any]:
    """All results of one probe modality against the gallery."""
    sides = Sides.of(faces, embedded, plan.gallery_modality, probe_modality)
    _, probes = sides.gallery_and_probes
    matrices = {label: sides.score(values) for label, values in embedded.values.items()}
    thresholds = {
        system.label: _operating_threshold(system, matrices[system.label], sides, settings.fmr) for system in systems
    }
    results = {label: _evaluate(matrix, settings, *thresholds[label]) for label, matrix in matrices.items()}
    bootstrap = {"replicates": settings.replicates, "seed": settings.seed}
    return {
        "gallery_modality": plan.gallery_modality,
        "probe_modality": probe_modality,
        "counts": next(iter(results.values()))["counts"],
        "systems": {
            label: {name: value for name, value in result.items() if name != "counts"}
            for label, result in results.items()
        },
        "differences": {
            label: _differences(matrices[UNADAPTED], matrix, settings)
            for label, matrix in matrices.items()
            if label != UNADAPTED
        },
        "groups": {
            column: group_table(
                matrices, {label: value for label, (value, _) in thresholds.items()}, values[probes], **bootstrap
            )
            for column, values in groups.items()
            if len(set(values[probes])) > 1
        },
    }


def _operating_threshold(system: System, matrix: ScoreMatrix, sides: Sides, fmr: float) -> tuple[float, str]:
    """The calibrated threshold for this pair of modalities and FMR, else the evaluated scores' own; and its origin."""
    if system.calibration is not None:
        try:
            entry = system.calibration.threshold(sides.gallery_modality, sides.probe_modality, fmr)
            pair = next(pair for pair in system.calibration.pairs if pair.modalities == entry.modalities)
            split = pair.setting.get("development", {}).get("split")
            return entry.threshold, "calibration.json" + (f", split {split}" if split else "")
        except InputError:  # calibrated, but not for this
            pass
    return threshold_at_fmr(matrix.split()[1], fmr), "evaluated scores"


def _evaluate(matrix: ScoreMatrix, settings: Settings, threshold: float, source: str) -> dict[str, Any]:
    bootstrap = {"replicates": settings.replicates, "seed": settings.seed}
    verification = evaluate_verification(matrix, fmr_targets=settings.fmr_targets, **bootstrap)
    identification = evaluate_identification(matrix)
    mated, non_mated = matrix.split()
    return {
        "metrics": {**identification["metrics"], **verification["metrics"]},
        "counts": verification["counts"],
        "curves": {**verification["curves"], **identification["curves"]},
        "operating_point": {
            "threshold": threshold,
            "source": source,
            **rates_at_threshold(matrix, threshold, **bootstrap),
        },
        "histogram": score_histogram(mated, non_mated),
    }


def score_histogram(mated: np.ndarray, non_mated: np.ndarray) -> dict[str, list[float]]:
    """Counts of mated and non-mated scores in 40 bins of equal width: `edges` (41,), `mated`, `non_mated`."""
    low = float(min(mated.min(), non_mated.min()))
    high = float(max(mated.max(), non_mated.max()))
    edges = np.linspace(low, high if high > low else low + 1e-6, BINS + 1)
    sides = {name: np.histogram(side, edges)[0].tolist() for name, side in (("mated", mated), ("non_mated", non_mated))}
    return {"edges": edges.tolist(), **sides}


def _differences(before: ScoreMatrix, after: ScoreMatrix, settings: Settings) -> dict[str, Any]:
    """Paired differences of every metric, and McNemar's test of Rank-1."""
    bootstrap = {"replicates": settings.replicates, "seed": settings.seed}
    ranks = {rank: paired_rank_difference(before, after, rank, **bootstrap) for rank in RANKS}
    metrics = {f"rank_{rank}": _as_dict(difference) for rank, (difference, _) in ranks.items()}
    rates = paired_differences(before, after, settings.fmr_targets, **bootstrap)
    metrics |= {name: _as_dict(difference) for name, difference in rates.items()}
    return {"metrics": metrics, "mcnemar_rank_1": asdict(ranks[1][1])}


def _as_dict(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "significant": difference.significant}
