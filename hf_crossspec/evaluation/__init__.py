"""Measure face recognition: scores, metrics, intervals, and whole evaluations. Needs numpy alone at import."""

from hf_crossspec.evaluation.identification import evaluate_identification
from hf_crossspec.evaluation.intervals import subject_bootstrap, wilson_interval
from hf_crossspec.evaluation.scores import (
    Comparisons,
    ScoreMatrix,
    cosine_pair_scores,
    cosine_score_matrix,
    encode_subjects,
    l2_normalise,
    make_templates,
)
from hf_crossspec.evaluation.verification import evaluate_verification

__all__ = [
    "Comparisons",
    "ScoreMatrix",
    "cosine_pair_scores",
    "cosine_score_matrix",
    "encode_subjects",
    "evaluate_identification",
    "evaluate_verification",
    "l2_normalise",
    "make_templates",
    "subject_bootstrap",
    "wilson_interval",
]
