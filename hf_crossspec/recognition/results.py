"""What the recogniser answers: values that say what they stand on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from hf_crossspec.evaluation.calibration_file import ThresholdEntry
from hf_crossspec.faces.acquisition import AcquiredFace, FailureToAcquire


class Decision(StrEnum):
    """What a score means under a threshold."""

    MATCH = "match"
    NO_MATCH = "no match"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, eq=False)
class EmbeddedFace:
    """The face of one picture and its embedding, or why there is none.

    Args:
        name: The picture's path, or its number in the call.
        face: The aligned face, or the failure to acquire one.
        embedding: (D,) float32 of length one; `None` after a failure.
        modality: As given with the picture.
    """

    name: str
    face: AcquiredFace | FailureToAcquire
    embedding: np.ndarray | None
    modality: str | None

    @property
    def failure(self) -> FailureToAcquire | None:
        """Why there is no embedding, if there is none."""
        return self.face if isinstance(self.face, FailureToAcquire) else None


@dataclass(frozen=True)
class Threshold:
    """A threshold on the cosine, and where it comes from.

    Args:
        value: Accept when score >= value.
        low, high: 95 % interval of the value; both are the value itself for a threshold that the user chose.
        fmr: The false match rate it was calibrated for; `None` for a threshold that the user chose.
        entry: The calibration behind it, with its counts.
    """

    value: float
    low: float
    high: float
    fmr: float | None = None
    entry: ThresholdEntry | None = None

    @classmethod
    def chosen(cls, value: float) -> Threshold:
        """A threshold that the user brings."""
        return cls(value, value, value)

    @classmethod
    def calibrated(cls, entry: ThresholdEntry) -> Threshold:
        """A threshold of a calibration, whose interval says how well the development subjects determine it."""
        return cls(entry.threshold, entry.low, entry.high, entry.fmr, entry)

    def decide(self, score: float) -> tuple[Decision, str]:
        """The decision on a score and its reason; a score within the threshold's interval is uncertain."""
        side = "at or above" if score >= self.value else "below"
        position = f"{side} the threshold {self.value:.4f}"
        if min(self.low, self.value) <= score < max(self.high, self.value):
            return Decision.UNCERTAIN, f"{position}, but within its 95 % interval, {self.low:.4f} to {self.high:.4f}"
        return (Decision.MATCH if score >= self.value else Decision.NO_MATCH), position


@dataclass(frozen=True)
class Verification:
    """Whether two pictures show one person.

    Args:
        decision: `match`, `no match`, or `uncertain`: no face, no threshold, or too near to it.
        reason: One line for people.
        score: Cosine of the two embeddings; `None` where a face is missing.
        threshold: What the decision stands on, if there is one.
        log_likelihood_ratio: Natural logarithm; above 0 speaks for one person. Only with a calibrated threshold.
        modalities: Of the two pictures, as given.
        failures: One for each picture without a usable face.
    """

    decision: Decision
    reason: str
    score: float | None
    threshold: Threshold | None
    log_likelihood_ratio: float | None
    modalities: tuple[str | None, str | None]
    failures: tuple[FailureToAcquire, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "score": self.score,
            "decision": self.decision.value,
            "reason": self.reason,
            **_threshold_to_dict(self.threshold),
            "log_likelihood_ratio": self.log_likelihood_ratio,
            "modalities": list(self.modalities),
            "failures": [failure_to_dict(failure) for failure in self.failures],
        }


@dataclass(frozen=True)
class Enrollment:
    """What became of a subject's pictures.

    Args:
        subject_id: Who was to be enrolled.
        enrolled: How many pictures were; with none the gallery is as before.
        failures: One for each picture without a usable face.
    """

    subject_id: str
    enrolled: int
    failures: tuple[FailureToAcquire, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A subject of a gallery, with the cosine of its template and the probe."""

    subject_id: str
    score: float


@dataclass(frozen=True)
class Identification:
    """Whom of a gallery a probe shows.

    Args:
        decision: On the first candidate, as in `Verification`.
        reason: One line for people.
        candidates: By descending score; none where the probe has no usable face, or the gallery is empty.
        threshold: What the decision stands on, if there is one.
        enrolled: Subjects in the gallery.
        false_positive_bound: With a calibrated threshold, an upper bound of the probability that somebody who is not
            enrolled is accepted as anybody: subjects x FMR, at most 1 (the union bound).
        failures: The probe's, if it has no usable face.
    """

    decision: Decision
    reason: str
    candidates: tuple[Candidate, ...]
    threshold: Threshold | None
    enrolled: int
    false_positive_bound: float | None
    failures: tuple[FailureToAcquire, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "decision": self.decision.value,
            "reason": self.reason,
            "candidates": [asdict(candidate) for candidate in self.candidates],
            **_threshold_to_dict(self.threshold),
            "enrolled": self.enrolled,
            "false_positive_bound": self.false_positive_bound,
            "failures": [failure_to_dict(failure) for failure in self.failures],
        }


def failure_to_dict(failure: FailureToAcquire) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    return {**asdict(failure), "reason": failure.reason.value}


def _threshold_to_dict(threshold: Threshold | None) -> dict[str, Any]:
    if threshold is None:
        return {"threshold": None, "threshold_interval": None, "fmr": None, "calibration": None}
    return {
        "threshold": threshold.value,
        "threshold_interval": None if threshold.entry is None else [threshold.low, threshold.high],
        "fmr": threshold.fmr,
        "calibration": None if threshold.entry is None else asdict(threshold.entry),
    }
