"""Face identification for `evaluate`: how often the right person is among the k best of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from hf_crossspec.evaluation.identification import RANKS, evaluate_identification
from hf_crossspec.evaluation.scores import ScoreMatrix, cosine_score_matrix, encode_subjects, make_templates

_DESCRIPTION = """\
Closed-set face identification after ISO/IEC 19795-1: identification rates at ranks k (the cumulative match
characteristic), with Wilson 95 % intervals. Under equal scores the right person comes last, so a constant score cannot
look perfect. Probes whose person is not in the gallery take no part, and are counted.
"""

_KWARGS = """
Args:
    predictions: per probe, the list of its scores with every gallery template; or, with `gallery_embeddings`, the
        probe's embedding.
    references: the person in each probe (str).
    gallery_subjects (list of str): the person of each gallery template, or of each gallery embedding.
    gallery_embeddings (optional): an embedding per gallery picture. Each person's are normalised, averaged and
        normalised to one template, and scores are cosines.
    ranks (list of int): default 1, 5, 10.

Returns:
    `rank_k`, `rank_k_low`, `rank_k_high` in [0, 1] for each k; the counts `probes` (with a mate in the gallery),
    `probes_without_mate` and `gallery` (templates).

Example:
    >>> metric = evaluate.load("hf_crossspec/evaluation/face_identification")  # doctest: +SKIP
    >>> metric.compute(predictions=[[0.9, 0.2], [0.7, 0.6]], references=["al", "bo"],
    ...                gallery_subjects=["al", "bo"], ranks=[1])["rank_1"]  # doctest: +SKIP
    0.5
"""

_CITATION = """\
@misc{iso19795,
  title = {{ISO/IEC 19795-1:2021 Information technology -- Biometric performance testing and reporting -- Part 1}},
  year = {2021}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS)
class FaceIdentification(evaluate.Metric):
    """A thin front of `hf_crossspec.evaluation`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS,
            features=datasets.Features(
                {"predictions": datasets.List(datasets.Value("float64")), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[float]],
        references: Sequence[str],
        gallery_subjects: Sequence[str] = (),
        gallery_embeddings: npt.ArrayLike | None = None,
        ranks: Sequence[int] = RANKS,
    ) -> dict[str, Any]:
        if len({len(row) for row in predictions}) != 1:
            raise ValueError("every probe needs as many numbers as the others")
        probe, gallery = encode_subjects(references, gallery_subjects)
        scores: npt.ArrayLike = np.array(predictions)
        if gallery_embeddings is not None:
            templates, gallery = make_templates(gallery_embeddings, gallery)
            scores = cosine_score_matrix(scores, templates)
        report = evaluate_identification(ScoreMatrix(np.asarray(scores), probe, gallery), ranks=ranks)
        result: dict[str, Any] = {}
        for name, metric in report["metrics"].items():
            result |= {name: metric["value"], f"{name}_low": metric["low"], f"{name}_high": metric["high"]}
        counts = report["counts"]
        with_mate = counts["probes"] - counts["probes_without_mate"]
        return {
            **result,
            "probes": with_mate,
            "probes_without_mate": counts["probes_without_mate"],
            "gallery": counts["gallery"],
        }
