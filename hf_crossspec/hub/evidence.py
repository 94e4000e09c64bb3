"""Evaluation reports -> what a card may say of a model: only what was measured with exactly its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_crossspec.errors import InputError
from hf_crossspec.files import read_json
from hf_crossspec.hub.source import is_repo_id

# Metrics a card shows, in this order, where a report has them.
SHOWN = {
    "rank_1": "Rank-1",
    "tar_at_fmr_1e-2": "TAR at FMR 1 %",
    "tar_at_fmr_1e-3": "TAR at FMR 0.1 %",
    "eer": "EER",
    "accuracy": "Accuracy",
}
Report = dict[str, Any]


@dataclass
class Evaluation:
    """One protocol, measured with the published weights (`after`) and perhaps with the base alone (`before`)."""

    data: str
    split: str | None
    gallery_modality: str | None
    probe_modality: str | None
    pairs: str | None
    before: Report | None = None
    after: Report | None = None
    rows: list[dict[str, str]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What is compared with what, and on which data."""
        where = self.data if self.split is None else f"{self.data}, split {self.split}"
        return f"{self.comparison} ({where})"

    @property
    def comparison(self) -> str:
        """What is compared with what."""
        if self.pairs is not None:
            return f"pairs of {self.pairs}"
        return f"{self.probe_modality} against {self.gallery_modality}"

    @property
    def measured(self) -> Report:
        """The report on the published weights."""
        assert self.after is not None
        return self.after

    def concerns(self, modality: str) -> bool:
        """Whether probes or gallery are of this modality."""
        return modality in (self.probe_modality, self.gallery_modality)


def read_reports(paths: Sequence[str | Path]) -> list[tuple[str, Report]]:
    """The reports in files of `crossspec evaluate --json` or `crossspec quickstart`, each with its file's name.

    Raises:
        InputError: a file that holds no report.
    """
    found = []
    for path in paths:
        reports = list(_reports_within(read_json(path)))
        if not reports:
            raise InputError(f"{path} holds no evaluation report: give the file of `crossspec evaluate --json`")
        found += [(str(path), report) for report in reports]
    return found


def collect_evidence(reports: Sequence[tuple[str, Report]], base_sha256: str, own_sha256: str) -> list[Evaluation]:
    """Pair the reports by protocol.

    Args:
        reports: As `read_reports` gives them.
        base_sha256, own_sha256: Fingerprints of the base and of what is published; equal when a base is published.

    Raises:
        InputError: a report of other weights, two reports of the same protocol and weights, or one of the base alone.
    """
    evaluations: dict[tuple[Any, ...], Evaluation] = {}
    for path, report in reports:
        protocol, weights = report["protocol"], report["model"]["weights_sha256"]
        if weights not in (base_sha256, own_sha256):
            raise InputError(f"{path} reports on other weights than those to be published: evaluate these")
        key = tuple(protocol[name] for name in ("data", "split", "gallery_modality", "probe_modality", "pairs"))
        data, split, gallery, probe, pairs = key
        entry = evaluations.setdefault(
            key, Evaluation(_public_name(data), split, gallery, probe, pairs and Path(pairs).stem)
        )
        side = "after" if weights == own_sha256 else "before"
        if getattr(entry, side) is not None:
            raise InputError(f"{path} repeats an evaluation that another report already gives")
        setattr(entry, side, report)
    for entry in evaluations.values():
        if entry.after is None:
            raise InputError(f"a report measures the base on {entry.title}: add the one of what is to be published")
        entry.rows = list(_rows(entry))
    return list(evaluations.values())


def _reports_within(content: Any) -> Iterator[Report]:
    if isinstance(content, dict) and {"metrics", "protocol", "model", "counts"} <= content.keys():
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _reports_within(value)


def _public_name(data: str) -> str:
    """A Hub id as it is; of a local path only the last part, since the rest tells about the author's machine."""
    return data if is_repo_id(data) else Path(data).stem


def _rows(entry: Evaluation) -> Iterator[dict[str, str]]:
    for name, title in SHOWN.items():
        if name not in entry.measured["metrics"]:
            continue
        row = {"metric": title}
        for side in ("before", "after"):
            report = getattr(entry, side)
            row[side] = "not measured" if report is None else _with_interval(report["metrics"][name])
        yield row | {"n": f"{entry.measured['metrics'][name]['n']:,}", "note": _note(entry.measured["metrics"][name])}


def _with_interval(metric: dict[str, Any]) -> str:
    return f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]"


def _note(metric: dict[str, Any]) -> str:
    if not metric.get("supported", True):
        return "too few comparisons for this rate"
    return "fewer than 30 errors" if metric.get("few_errors") else ""
