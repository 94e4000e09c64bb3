"""A report as a page to read: HTML in one file, and Markdown with its figures beside it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hf_crossspec.report.figures import Figure
from hf_crossspec.report.pictures import WrongPair
from hf_crossspec.report.provenance import provenance_tables
from hf_crossspec.report.tables import (
    comparison_remarks,
    cross_sensor_tables,
    difference_table,
    group_tables,
    summary_table,
    threshold_table,
)

Errors = Sequence[dict[str, dict[str, list[WrongPair]]]]


def render_html(report: dict[str, Any], figures: Sequence[Sequence[Figure]], errors: Errors | None = None) -> str:
    """One self-contained page: figures are inline, nothing is fetched, no script runs.

    Args:
        report: As `measure` builds it.
        figures: As `draw_figures` gives them.
        errors: As `worst_errors` gives them, to be shown as pictures.
    """
    environment = _environment()
    content = _content(report, figures)
    for number, part in enumerate(content["parts"]):
        part["figures"] = [
            {"caption": figure.caption, "data_uri": _data_uri(figure), "narrow": figure.path.stem.endswith("-det")}
            for figure in figures[number]
        ]
        part["errors"] = errors[number] if errors else {}
    return environment.get_template("report.html.j2").render(**content, pictures=errors is not None)


def render_markdown(report: dict[str, Any], figures: Sequence[Sequence[Figure]]) -> str:
    """The same without pictures of people; figures are referred to by their path from the report's folder."""
    environment = _environment(finalize=lambda value: value if isinstance(value, Markup) else _markdown(value))
    content = _content(report, figures)
    for number, part in enumerate(content["parts"]):
        part["figures"] = [
            {"caption": figure.caption, "path": Markup(f"{figure.path.parent.name}/{figure.path.name}")}
            for figure in figures[number]
        ]
    # A line by itself inside a fence: nothing in it is Markdown, and nothing in it can close the fence.
    command = Markup(" ".join(report["command"].split()))
    text = environment.get_template("report.md.j2").render(**content, command=command)
    return re.sub(r"\n{3,}", "\n\n", text)


def markdown_text(text: str) -> str:
    """Any text as plain text of one line in Markdown: no markup, no HTML, no end of a table cell.

    Example:
        >>> markdown_text("a|b <i>")
        'a\\\\|b &lt;i&gt;'
    """
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_|$~]|(?<=\])\()", r"\\\1", escaped)


def _markdown(value: Any) -> Markup:
    return Markup(markdown_text(str(value)))


def _environment(finalize: Callable[[Any], Any] | None = None) -> Environment:
    return Environment(
        loader=PackageLoader("hf_crossspec", "report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _content(report: dict[str, Any], figures: Sequence[Sequence[Figure]]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {
            "title": _title(comparison),
            "remarks": comparison_remarks(comparison),
            "tables": [
                *(difference_table(comparison, label) for label in comparison["differences"]),
                threshold_table(comparison),
            ],
            "groups": group_tables(comparison),
        }
        for comparison in report["comparisons"]
    ]
    return {
        "report": report,
        "title": f"What adapters gained: {', '.join(report['probe_modalities'])} against {report['gallery_modality']}",
        "introduction": _introduction(report),
        "summary": summary_table(report),
        "cross_sensor": cross_sensor_tables(report),
        "parts": parts,
        "method": METHOD,
        "provenance": provenance_tables(report),
    }


def _title(comparison: dict[str, Any]) -> str:
    gallery, probe = comparison["gallery_modality"], comparison["probe_modality"]
    return f"{probe} against {gallery}" + (": what was kept" if gallery == probe else "")


def _introduction(report: dict[str, Any]) -> list[str]:
    data, systems = report["data"], report["systems"]
    return [
        f"{data['subjects']:,} subjects, {data['pictures']:,} pictures, "
        f"{data['failures_to_acquire']:,} of them unreadable and taking part in no comparison. "
        f"The unadapted network is {systems[0]['name']}; its weights' licence: "
        f"{systems[0]['weights_license'] or 'not recorded'}. Adapters made from it inherit that licence."
    ]


def _data_uri(figure: Figure) -> str:
    return "data:image/png;base64," + base64.b64encode(figure.path.read_bytes()).decode()


METHOD = (
    "A comparison is accepted when score >= threshold; scores are cosine similarities. FMR is the share of non-mated "
    "comparisons accepted, FNMR the share of mated ones rejected, TAR is 1 - FNMR (ISO/IEC 19795-1). The threshold at "
    "a target FMR is the lowest whose FMR does not exceed it; nothing is interpolated.",
    "The gallery holds one template per subject, the mean of its normalised embeddings. With one modality on both "
    "sides, each subject's first picture is enrolled and the others are probes.",
    "Intervals are 95 %: Wilson's for Rank-k, a percentile bootstrap over subjects for EER, AUC, TAR, FMR and FNMR "
    "(Wilson's where the bootstrap has no width).",
    "Differences are paired: each replicate draws the same subjects for both systems. p is two-sided, from the share "
    "of replicates on the other side of no difference; it cannot fall below 2 / (replicates + 1). A difference is "
    "called significant when p < 0.05 and the interval leaves out 0. For Rank-k the gallery is kept and the probes' "
    "subjects are drawn. The p-values are not corrected for their number: among twenty, one below 0.05 is expected by "
    "chance.",
    "McNemar's exact test counts the probes that only one of the two systems identifies at Rank-1; it takes probes "
    "for independent.",
    "A threshold set on the evaluated scores flatters them: its FMR is the target by construction. One from "
    "calibration.json was set on a development split and is applied as it is.",
    "A rate with fewer than 30 errors behind it is noted as such: it is known only roughly.",
)
