"""What a calibration holds, and `calibration.json`, which keeps it beside the weights it holds for.

A threshold belongs to one model, one unordered pair of modalities and one FMR. The file has the fingerprint of the
weights, and names neither paths nor people.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isclose
from pathlib import Path
from typing import Any

import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.likelihood_ratio import ScoreMapping, mapping_from_dict, mapping_to_dict
from hf_crossspec.evaluation.scores import FloatArray
from hf_crossspec.files import read_json, write_json
from hf_crossspec.hub.source import fetch_files, is_repo_id

FILE_NAME = "calibration.json"
SCHEMA = {"schema": "hf_crossspec/calibration", "schema_version": 1}


@dataclass(frozen=True)
class Rate:
    """An error rate with its 95 % interval and the counts behind it."""

    value: float
    low: float
    high: float
    errors: int
    n: int
    method: str


@dataclass(frozen=True)
class ErrorRates:
    """What a threshold does on one split: false matches among non-mated, misses among mated comparisons."""

    fmr: Rate
    fnmr: Rate


@dataclass(frozen=True)
class ThresholdEntry:
    """A threshold and what it stands on.

    Args:
        modalities: the pair, in alphabetical order.
        fmr: the FMR aimed at.
        threshold: accept when score >= threshold.
        low, high: 95 % interval of the threshold, by bootstrap over the development subjects.
        method: how that interval was made.
        few_expected_false_matches: whether fewer than 30 false matches were expected at this FMR.
        non_mated_for_30: the non-mated comparisons that 30 expected false matches take.
        development, test: error rates there; `test` is None when there was no test split.
        mapping: scores -> log-likelihood ratios, the same for all thresholds of a pair.
    """

    modalities: tuple[str, str]
    fmr: float
    threshold: float
    low: float
    high: float
    method: str
    few_expected_false_matches: bool
    non_mated_for_30: int
    development: ErrorRates
    test: ErrorRates | None
    mapping: ScoreMapping

    def llr(self, scores: npt.ArrayLike) -> FloatArray:
        """Natural-log likelihood ratios, shaped as `scores`."""
        return self.mapping.llr(scores)


@dataclass(frozen=True)
class PairCalibration:
    """Everything about one pair of modalities.

    Args:
        thresholds: by descending FMR.
        mapping: scores -> log-likelihood ratios, fitted on the development split.
        calibration_error: `cllr_bits`, `minimum_cllr_bits` and `ece` of the mapping on the test split, or None.
        setting: how it came about: sides, splits, counts, seed, versions.
    """

    modalities: tuple[str, str]
    thresholds: tuple[ThresholdEntry, ...]
    mapping: ScoreMapping
    calibration_error: dict[str, float] | None
    setting: dict[str, Any]


@dataclass(frozen=True)
class Calibration:
    """Calibrated thresholds of one model, for one or more pairs of modalities.

    Example:
        >>> calibration = Calibration.load("edgeface-nir/calibration.json")  # doctest: +SKIP
        >>> entry = calibration.threshold("vis", "nir", 1e-3)  # doctest: +SKIP
        >>> entry.threshold, entry.test.fmr.value, entry.llr(0.41)  # doctest: +SKIP
    """

    weights_sha256: str
    pairs: tuple[PairCalibration, ...]

    def pair(self, modality_a: str, modality_b: str) -> PairCalibration | None:
        """What is known of an unordered pair of modalities, if anything."""
        return next((pair for pair in self.pairs if pair.modalities == unordered(modality_a, modality_b)), None)

    def threshold(self, modality_a: str, modality_b: str, fmr: float | None = None) -> ThresholdEntry:
        """The entry of an unordered pair of modalities and an FMR, by default the lowest.

        Raises:
            InputError: there is none; says which there are.
        """
        pair = self.pair(modality_a, modality_b)
        if pair is None:
            known = "; ".join(" and ".join(p.modalities) for p in self.pairs)
            raise InputError(f"{modality_a} and {modality_b} are not calibrated; there are: {known}")
        if fmr is None:
            return pair.thresholds[-1]
        for entry in pair.thresholds:
            if isclose(entry.fmr, fmr, rel_tol=1e-9):
                return entry
        known = ", ".join(f"{entry.fmr:g}" for entry in pair.thresholds)
        raise InputError(f"{modality_a} and {modality_b} are not calibrated for an FMR of {fmr:g}; there are: {known}")

    def merged_with(self, newer: Calibration) -> Calibration:
        """Both together; a pair in both is taken from `newer` whole, as its numbers belong together.

        Raises:
            InputError: they are of different weights.
        """
        _refuse_other_weights(self.weights_sha256, newer.weights_sha256, "the stored calibration")
        replaced = {pair.modalities for pair in newer.pairs}
        kept = [pair for pair in self.pairs if pair.modalities not in replaced]
        return Calibration(self.weights_sha256, tuple(sorted([*kept, *newer.pairs], key=lambda p: p.modalities)))

    def save(self, path: str | Path) -> Calibration:
        """Write to a file, merged with the calibration that is already there; returns what was written.

        Raises:
            InputError: the file is no calibration, or of other weights.
        """
        whole = Calibration.load(path).merged_with(self) if Path(path).exists() else self
        write_json(path, whole.to_dict())
        return whole

    @classmethod
    def load(cls, path: str | Path, weights_sha256: str | None = None) -> Calibration:
        """Read a file, and check that it is of the weights with this fingerprint (`FaceEmbedder.describe()`).

        Raises:
            InputError: no such file, no calibration, another version of the format, or of other weights.
        """
        return cls.from_dict(read_json(path), str(path), weights_sha256)

    @classmethod
    def from_dict(cls, content: Any, source: str, weights_sha256: str | None = None) -> Calibration:
        """The same from what `to_dict` gave; `source` is its name in messages."""
        try:
            found = {name: content[name] for name in SCHEMA}
            if found == SCHEMA:
                calibration = cls(content["weights_sha256"], tuple(map(_pair_from_dict, content["pairs"])))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{source} is not a calibration: make one with `crossspec calibrate`") from None
        if found != SCHEMA:
            raise InputError(f"{source} is {found}, but this version reads {SCHEMA}")
        if weights_sha256 is not None:
            _refuse_other_weights(calibration.weights_sha256, weights_sha256, source)
        return calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, ready for JSON."""
        return {**SCHEMA, "weights_sha256": self.weights_sha256, "pairs": [_pair_to_dict(pair) for pair in self.pairs]}


def find_calibration(model: str | Path, adapter: str | Path | None = None) -> Path:
    """The `calibration.json` of an adapter, or of a model without one; fetched when it is on the Hub.

    Raises:
        InputError: there is none.
    """
    source = model if adapter is None else adapter
    path = (fetch_files(source, (FILE_NAME,)) if is_repo_id(source) else Path(source)) / FILE_NAME
    if not path.is_file():
        raise InputError(f"{source} has no {FILE_NAME}: make one with `crossspec calibrate`")
    return path


def unordered(modality_a: str, modality_b: str) -> tuple[str, str]:
    """The pair in alphabetical order."""
    first, second = sorted((modality_a, modality_b))
    return first, second


def _refuse_other_weights(stored: str, wanted: str, name: str) -> None:
    if stored != wanted:
        raise InputError(
            f"{name} is of other weights ({stored[:12]}) than these ({wanted[:12]}): calibrate this model, or adapter"
        )


def _pair_to_dict(pair: PairCalibration) -> dict[str, Any]:
    entries = [asdict(entry) for entry in pair.thresholds]
    for entry in entries:
        del entry["modalities"], entry["mapping"]
    return {
        "modalities": list(pair.modalities),
        "thresholds": entries,
        "log_likelihood_ratio": mapping_to_dict(pair.mapping),
        "calibration_error": pair.calibration_error,
        "setting": pair.setting,
    }


def _pair_from_dict(content: dict[str, Any]) -> PairCalibration:
    modalities, mapping = unordered(*content["modalities"]), mapping_from_dict(content["log_likelihood_ratio"])
    entries = []
    for entry in content["thresholds"]:
        rates = {
            split: None
            if entry[split] is None
            else ErrorRates(*(Rate(**entry[split][kind]) for kind in ("fmr", "fnmr")))
            for split in ("development", "test")
        }
        entries.append(ThresholdEntry(**{**entry, **rates, "modalities": modalities, "mapping": mapping}))
    return PairCalibration(modalities, tuple(entries), mapping, content["calibration_error"], content["setting"])
