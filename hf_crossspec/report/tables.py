"""The tables of a report, as text: the HTML and the Markdown show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_crossspec.evaluation.metrics import tar_name
from hf_crossspec.report.runs import UNADAPTED

FEW_SUBJECTS = 30
LOWER_IS_BETTER = ("eer",)


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows of as many cells, and remarks below."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = field(default_factory=tuple)


def metric_title(name: str) -> str:
    """`tar_at_fmr_1e-3` -> `TAR at FMR 0.1 %`, `rank_1` -> `Rank-1`."""
    if name.startswith("tar_at_fmr_"):
        return f"TAR at FMR {100 * float(name.removeprefix('tar_at_fmr_')):g} %"
    return name.replace("rank_", "Rank-") if name.startswith("rank_") else name.upper()


def headline_metrics(report: dict[str, Any]) -> tuple[str, str, str]:
    """The metrics of the overview."""
    return "rank_1", tar_name(report["fmr"]), "eer"


def summary_table(report: dict[str, Any]) -> Table:
    """Before -> after of each adapter on each probe modality."""
    metrics = headline_metrics(report)
    rows = [
        [
            _pair_title(comparison),
            label,
            *(_before_after(comparison, label, name) for name in metrics),
        ]
        for comparison in report["comparisons"]
        for label in comparison["differences"]
    ]
    remark = "Per cent, unadapted → adapted. n.s.: the difference is not significant."
    return Table("Summary", ["probe to gallery", "adapter", *map(metric_title, metrics)], rows, [remark])


def cross_sensor_tables(report: dict[str, Any]) -> list[Table]:
    """Trained on a modality (rows), tested on a modality (columns); empty with a single probe modality."""
    if len(report["comparisons"]) < 2:
        return []
    tables = []
    for name in headline_metrics(report):
        rows = [
            [
                _trained_for(system),
                *(
                    _interval(comparison["systems"][system["label"]]["metrics"][name])
                    for comparison in report["comparisons"]
                ),
            ]
            for system in report["systems"]
        ]
        header = ["trained for", *(f"tested on {comparison['probe_modality']}" for comparison in report["comparisons"])]
        tables.append(Table(f"{metric_title(name)}, against {report['gallery_modality']} templates", header, rows))
    return tables


def difference_table(comparison: dict[str, Any], label: str) -> Table:
    """All metrics of one adapter beside the unadapted network, with the paired difference."""
    before, after = (comparison["systems"][name]["metrics"] for name in (UNADAPTED, label))
    differences = comparison["differences"][label]
    rows = [
        [
            metric_title(name), _interval(before[name]), _interval(after[name]),
            _points(difference), _p_value(difference), verdict(name, difference), _note(before[name], after[name]),
        ]
        for name, difference in differences["metrics"].items()
    ]  # fmt: skip
    header = ["metric", UNADAPTED, label, "difference (points)", "p", "verdict", "note"]
    replicates = sorted({difference["replicates"] for difference in differences["metrics"].values()})
    mcnemar = differences["mcnemar_rank_1"]
    remarks = [
        "Per cent with 95 % intervals. Difference: paired bootstrap over subjects, "
        f"{' or '.join(f'{count:,}' for count in replicates)} replicates.",
        f"McNemar's exact test on Rank-1: {mcnemar['gained']} probes gained, {mcnemar['lost']} lost, "
        f"p = {_p_text(mcnemar['p_value'])}{'' if mcnemar['p_value'] < 0.05 else ' (not significant)'}.",
    ]
    return Table(f"{label} and {UNADAPTED}", header, rows, remarks)


def threshold_table(comparison: dict[str, Any]) -> Table:
    """Each system's threshold, where it comes from, and the errors there."""
    rows = []
    for label, system in comparison["systems"].items():
        point = system["operating_point"]
        rows.append(
            [
                label,
                f"{point['threshold']:.4f}",
                point["source"],
                *(_with_counts(point[name]) for name in ("fnmr", "fmr")),
            ]
        )
    header = ["system", "threshold", "set on", "FNMR there", "FMR there"]
    return Table(
        "At the threshold",
        header,
        rows,
        ["Per cent with 95 % intervals and counts; the threshold is held fixed in the intervals."],
    )


def group_tables(comparison: dict[str, Any]) -> list[Table]:
    """One table per column of the data that sorts the probes."""
    tables = []
    for column, groups in comparison["groups"].items():
        rows = []
        for group in groups:
            start = [group["group"], f"{group['probes']:,}", f"{group['subjects']:,}"]
            if not group["systems"]:
                rows.append([*start, "", "", "", "", group["note"]])
            for label, rates in group["systems"].items():
                cells = [_with_counts(rates[name]) for name in ("rank_1", "fnmr", "fmr")]
                rows.append([*start, label, *cells, group["note"] if label == UNADAPTED else ""])
                start = ["", "", ""]
        header = [column, "probes", "subjects", "system", "Rank-1", "FNMR", "FMR", "note"]
        remark = (
            "Probes of each group against the whole gallery, at each system's one threshold; 95 % intervals and counts."
        )
        tables.append(Table(f"By {column}", header, rows, [remark]))
    return tables


def comparison_remarks(comparison: dict[str, Any]) -> list[str]:
    """Counts, and a warning where there are few subjects."""
    counts = comparison["counts"]
    remarks = [
        f"{counts['probes']:,} probes against {counts['gallery']:,} templates, {counts['subjects']:,} subjects in all: "
        f"{counts['mated']:,} mated and {counts['non_mated']:,} non-mated comparisons"
        + (f", {counts['probes_without_mate']:,} probes without a mate." if counts["probes_without_mate"] else ".")
    ]
    if counts["subjects"] < FEW_SUBJECTS:
        remarks.append(f"With {counts['subjects']} subjects, intervals and p-values are rough.")
    return remarks


def verdict(name: str, difference: dict[str, Any]) -> str:
    """`better`, `worse` or `not significant`."""
    if not difference["significant"]:
        return "not significant"
    return "better" if (difference["value"] > 0) != (name in LOWER_IS_BETTER) else "worse"


def _pair_title(comparison: dict[str, Any]) -> str:
    return f"{comparison['probe_modality']} to {comparison['gallery_modality']}"


def _before_after(comparison: dict[str, Any], label: str, name: str) -> str:
    before, after = (comparison["systems"][system]["metrics"][name]["value"] for system in (UNADAPTED, label))
    mark = "" if comparison["differences"][label]["metrics"][name]["significant"] else " (n.s.)"
    return f"{100 * before:.2f} → {100 * after:.2f}{mark}"


def _trained_for(system: dict[str, Any]) -> str:
    target = (system.get("training") or {}).get("target_modality")
    if system["label"] == UNADAPTED:
        return f"nothing ({UNADAPTED})"
    return f"{target} ({system['label']})" if target else system["label"]


def _interval(metric: dict[str, Any]) -> str:
    return _unbroken(f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]")


def _with_counts(metric: dict[str, Any] | None) -> str:
    if metric is None or not metric["n"]:
        return "no comparison"
    counts = f"{metric['errors']:,} of {metric['n']:,} wrong"
    return f"{_interval(metric)}, {_unbroken(counts)}"


def _points(difference: dict[str, Any]) -> str:
    value, low, high = (100 * difference[name] for name in ("value", "low", "high"))
    return _unbroken(f"{value:+.2f} [{low:+.2f}, {high:+.2f}]")


def _unbroken(text: str) -> str:
    """With spaces at which no line breaks."""
    return text.replace(" ", "\u00a0")


def _p_value(difference: dict[str, Any]) -> str:
    """At its floor a bootstrap's p is only an upper bound."""
    floor = 2 / (difference["replicates"] + 1)
    return ("≤ " if difference["p_value"] <= floor else "") + _p_text(difference["p_value"])


def _p_text(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= 0.0005 else f"{p_value:.1e}"


def _note(*metrics: dict[str, Any]) -> str:
    if not all(metric.get("supported", True) for metric in metrics):
        return "too few comparisons for this rate"
    return "fewer than 30 errors" if any(metric.get("few_errors") for metric in metrics) else ""
