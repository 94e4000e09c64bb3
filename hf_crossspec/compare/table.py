"""Runs -> one row per method: means and ranges over the seeds, and which methods no other one beats on both counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from hf_crossspec.compare.methods import METHODS, UNADAPTED

if TYPE_CHECKING:
    from rich.table import Table

# name in the summary -> report of a run, metric in it
VALUES = {
    "rank_1": ("target", "rank_1"),
    "tar_at_fmr_1e-2": ("target", "tar_at_fmr_1e-2"),
    "tar_at_fmr_1e-3": ("target", "tar_at_fmr_1e-3"),
    "eer": ("target", "eer"),
    "retention_selection": ("retention selection", "accuracy"),
    "retention_held_out": ("retention held-out", "accuracy"),
    "retention_all": ("retention all", "accuracy"),
}
RETENTION = "retention_held_out_change"
GAINS = {"rank_1": "Rank-1", "tar_at_fmr_1e-3": "TAR at FMR 0.1 %"}  # with retention, what a front is drawn of
FIRST = {
    "rank_1": "Rank-1, first seed [95 %]",
    "tar_at_fmr_1e-3": "TAR at FMR 0.1 %, first seed [95 %]",
    "retention_held_out": "retention, held-out folds, first seed [95 %]",
}
Row = dict[str, Any]


def summarise(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row per method, in the order of the runs.

    Args:
        runs: Final runs; one of them is of the unadapted network.

    Returns:
        `method`, `title`, `rate`, `weight`, `seeds`, `trainable_parameters`, `shipped_bytes`, `seconds` (mean),
        `peak_resident_bytes` (highest) and `training_bytes` of that run, each metric as `mean`, `low` and `high` over
        the seeds (fractions in [0, 1]; `..._change` against the unadapted network), `first`: each metric of the first
        seed with its 95 % interval over subjects or pairs, and `front`: the gains for which the method is on the front.
    """
    unadapted = next(run for run in runs if run["method"] == UNADAPTED)
    rows = []
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == method]
        first = own[0]
        row: Row = {
            "method": method,
            "title": METHODS[method].title if method in METHODS else "nothing",
            **{name: first.get(name) for name in ("rate", "weight", "trainable_parameters", "shipped_bytes")},
            "seeds": [run["seed"] for run in own if run["seed"] is not None],
            "seconds": mean(run["seconds"] for run in own),
            **_memory(own),
        }
        row["first"] = {name: _interval(first, place) for name, place in VALUES.items()}
        for name, place in VALUES.items():
            values, before = [_value(run, place) for run in own], _value(unadapted, place)
            row[name] = _spread(values)
            if name.startswith("retention"):
                row[f"{name}_change"] = _spread([value - before for value in values])
        rows.append(row)
    for row in rows:
        row["front"] = [gain for gain in GAINS if row in pareto_front(rows, gain)]
    return rows


def pareto_front(rows: Sequence[Row], gain: str) -> list[Row]:
    """The rows that no other row equals or beats in both retention and gain while beating it in one, by their means.

    Ascending in retention.
    """
    front = [row for row in rows if not any(_beats(other, row, gain) for other in rows)]
    return sorted(front, key=lambda row: (row[RETENTION]["mean"], -row[gain]["mean"]))


HEADER = (
    "adapted", "parameters", "ships", "Rank-1", "TAR at FMR 0.1 %", "EER", "retention, held-out folds",
    "retention, all folds", "training", "peak memory", "front",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """A row as text under `HEADER`: per cent, mean and range over the seeds."""
    adapted = row["method"] != UNADAPTED
    return [
        row["method"],
        f"{row['trainable_parameters']:,}",
        _kilobytes(row) if adapted else "-",
        _per_cent(row["rank_1"]),
        _per_cent(row["tar_at_fmr_1e-3"]),
        _per_cent(row["eer"]),
        _per_cent(row[RETENTION], sign=True) if adapted else _per_cent(row["retention_held_out"]),
        _per_cent(row["retention_all_change"], sign=True) if adapted else _per_cent(row["retention_all"]),
        f"{row['seconds']:.0f} s" if adapted else "-",
        _megabytes(row),
        " and ".join(GAINS[gain] for gain in row["front"]) or "-",
    ]


def rich_table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    from rich.table import Column, Table

    table = Table(Column(HEADER[0], no_wrap=True), *HEADER[1:])
    for row in rows:
        table.add_row(*cells(row))
    return table


def markdown(report: Mapping[str, Any]) -> str:
    """The whole compare.md: the table, the chosen settings, and how they were chosen."""
    rows, protocol = report["summary"], report["protocol"]
    counts, behind = report["runs"][0]["target"]["counts"], off_front(rows)
    lines = [
        f"# Ways to adapt from {protocol['source_modality']} to {protocol['target_modality']}",
        "",
        *_grid(HEADER, [cells(row) for row in rows]),
        "",
        "Per cent: mean over the seeds (lowest - highest); retention is accuracy, of the adapted networks its change "
        f"against the unadapted one. {counts['probes']} probes, {counts['gallery']} gallery subjects, "
        f"{protocol['test_subjects']} test subjects. The front: no other row keeps and gains as much; it is of means, "
        "and one pair more or less is a difference of "
        f"{100 / report['runs'][0]['retention held-out']['metrics']['accuracy']['n']:.2f} points. "
        "Peak memory is that of the whole process that trained, libraries included (in brackets, what training added).",
        "",
        *behind,
        *([""] if behind else []),
        "Chosen settings, and the 95 % intervals of the first seed (over pairs for retention and probes for Rank-1, "
        "over subjects for TAR):",
        "",
        *_grid(
            ("adapted", "what is trained", "seeds", "rate", "distill weight", "kept in the search", *FIRST.values()),
            [_setting(row, report["chosen"].get(row["method"])) for row in rows],
        ),
        "",
        f"Every method: {protocol['search_runs_per_method']} search runs ({protocol['search_folds']} folds over "
        f"{protocol['train_subjects']} training subjects; rates x weights as in compare.json), {protocol['epochs']} "
        f"epochs in batches of {protocol['batch_size']} pairs, {protocol['threads']} thread(s). "
        f"Chosen: {protocol['criterion']}. Selection folds: {protocol['selection_folds']}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _setting(row: Row, chosen: Mapping[str, Any] | None) -> list[str]:
    """What was chosen for a row, and how uncertain its first seed is."""
    texts = ["-"] * 4
    if chosen is not None:
        keeps = "yes" if chosen["keeps"] else "no"
        texts = [", ".join(map(str, row["seeds"])), f"{row['rate']:g}", f"{row['weight']:g}", keeps]
    shown = [{end: f"{100 * value:.2f}" for end, value in row["first"][name].items()} for name in FIRST]
    return [row["method"], row["title"], *texts, *(f"{one['value']} [{one['low']}, {one['high']}]" for one in shown)]


def off_front(rows: Sequence[Row]) -> list[str]:
    """A line for each adapted network behind a front, naming the smallest file that keeps and gains as much."""
    lines = []
    for row in rows:
        behind = [gain for gain in GAINS if gain not in row["front"] and row["method"] != UNADAPTED]
        reasons = []
        for gain in behind:
            better = min(
                (other for other in rows if _beats(other, row, gain)), key=lambda other: other["shipped_bytes"]
            )
            reasons.append(f"{GAINS[gain]}: {better['method']} ({_kilobytes(better)}) is better")
        if reasons:
            lines.append(f"- {row['method']} ({_kilobytes(row)}) is behind the front in {'; in '.join(reasons)}")
    return lines


def _beats(other: Row, row: Row, gain: str) -> bool:
    """Whether the other row keeps and gains at least as much, and more in one of them, by the means."""
    more = [round(other[name]["mean"] - row[name]["mean"], 9) for name in (RETENTION, gain)]  # but for rounding
    return min(more) >= 0 and max(more) > 0


def _kilobytes(row: Row) -> str:
    return f"{row['shipped_bytes'] / 1000:,.0f} kB"


def _memory(runs: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """Of the run with the highest peak: that peak, and by how much it exceeds what was held before the first step."""
    measured = [run for run in runs if run["peak_resident_bytes"]]
    if not measured:
        return {"peak_resident_bytes": None, "training_bytes": None}
    run = max(measured, key=lambda run: run["peak_resident_bytes"])
    peak, before = run["peak_resident_bytes"], run["resident_bytes_before"]
    return {"peak_resident_bytes": peak, "training_bytes": None if before is None else peak - before}


def _megabytes(row: Row) -> str:
    if not row["peak_resident_bytes"]:
        return "-"
    text = f"{row['peak_resident_bytes'] / 1e6:,.0f} MB"
    return text if row["training_bytes"] is None else f"{text} (+{row['training_bytes'] / 1e6:,.0f})"


def _value(run: Mapping[str, Any], place: tuple[str, str]) -> float:
    return float(run[place[0]]["metrics"][place[1]]["value"])


def _interval(run: Mapping[str, Any], place: tuple[str, str]) -> dict[str, float]:
    metric = run[place[0]]["metrics"][place[1]]
    return {end: float(metric[end]) for end in ("value", "low", "high")}


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": mean(values), "low": min(values), "high": max(values)}


def _per_cent(spread: Mapping[str, float], sign: bool = False) -> str:
    text = {name: f"{100 * value:{'+' if sign else ''}.2f}" for name, value in spread.items()}
    return text["mean"] if text["low"] == text["high"] else f"{text['mean']} ({text['low']} - {text['high']})"


def _grid(header: Sequence[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
