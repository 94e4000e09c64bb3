"""Face verification for `evaluate`: EER, AUC, TAR at target FMRs and k-fold accuracy of comparison scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from hf_crossspec.evaluation.metrics import SortedScores, kfold_accuracy, verification_rates
from hf_crossspec.evaluation.scores import Comparisons, encode_subjects
from hf_crossspec.evaluation.verification import FMR_TARGETS, evaluate_verification

_DESCRIPTION = """\
One-to-one face comparison after ISO/IEC 19795-1: equal error rate, area under the ROC, true accept rate (1 - FNMR) at
target false match rates without interpolation, and k-fold accuracy (LFW view 2). A comparison is accepted when
score >= threshold.
"""

_KWARGS = """
Args:
    predictions: similarity scores, higher is more alike.
    references: 1 (or True) where both pictures show one person, else 0.
    probe_subjects, gallery_subjects (lists of str, optional): who is in either picture. With them every rate has a
        95 % interval by bootstrap over subjects; without them there is none, as comparisons of one person are not
        independent.
    folds (list of int, optional): the fold of each comparison; adds `accuracy`.
    fmr_targets (list of float): default 1e-1, 1e-2, 1e-3, 1e-4.
    replicates (int), seed (int): of the bootstrap.

Returns:
    `eer`, `auc`, `tar_at_fmr_...`, all in [0, 1]; with subjects also `..._low` and `..._high` of each; `accuracy` with
    folds (all correct decisions over all comparisons); the counts `mated` and `non_mated`.

Example:
    >>> metric = evaluate.load("hf_crossspec/evaluation/face_verification")  # doctest: +SKIP
    >>> metric.compute(predictions=[0.9, 0.4, 0.5, 0.1], references=[1, 1, 0, 0], fmr_targets=[0.5])  # doctest: +SKIP
    {'eer': 0.5, 'auc': 0.75, 'tar_at_fmr_5e-1': 1.0, 'mated': 2, 'non_mated': 2}
"""

_CITATION = """\
@misc{iso19795,
  title = {{ISO/IEC 19795-1:2021 Information technology -- Biometric performance testing and reporting -- Part 1}},
  year = {2021}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS)
class FaceVerification(evaluate.Metric):
    """A thin front of `hf_crossspec.evaluation`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self,
        predictions: Sequence[float],
        references: Sequence[int],
        probe_subjects: Sequence[str] | None = None,
        gallery_subjects: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
        fmr_targets: Sequence[float] = FMR_TARGETS,
        replicates: int = 1000,
        seed: int = 0,
    ) -> dict[str, Any]:
        if (probe_subjects is None) != (gallery_subjects is None):
            raise ValueError("give the subjects of both sides, or of none")
        scores, same = np.asarray(predictions), np.asarray(references)
        if probe_subjects is None or gallery_subjects is None:
            probe, gallery = 1 - same, np.zeros_like(same)  # any codes will do that agree with the flags
        else:
            probe, gallery = encode_subjects(probe_subjects, gallery_subjects)
        comparisons = Comparisons(scores, probe, gallery, same=same)
        result: dict[str, Any] = {}
        if probe_subjects is None:
            mated, non_mated = comparisons.split()
            sides = SortedScores.of("mated scores", mated), SortedScores.of("non-mated scores", non_mated)
            result |= verification_rates(*sides, fmr_targets)
        else:
            report = evaluate_verification(comparisons, fmr_targets=fmr_targets, replicates=replicates, seed=seed)
            for name, metric in report["metrics"].items():
                result |= {name: metric["value"], f"{name}_low": metric["low"], f"{name}_high": metric["high"]}
        if folds is not None:
            accuracy = kfold_accuracy(comparisons.scores, comparisons.mated, folds)
            result["accuracy"] = sum(accuracy.correct) / sum(accuracy.totals)
        mated_count = comparisons.mated_count
        return {**result, "mated": mated_count, "non_mated": comparisons.size - mated_count}
