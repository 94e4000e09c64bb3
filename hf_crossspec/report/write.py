"""Runs -> a folder with the report as HTML, Markdown and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_crossspec.errors import InputError
from hf_crossspec.files import new_directory, refuse_foreign_directory, write_json
from hf_crossspec.report.build import Settings, measure
from hf_crossspec.report.figures import draw_figures
from hf_crossspec.report.pictures import worst_errors
from hf_crossspec.report.render import render_html, render_markdown
from hf_crossspec.report.runs import Plan


def write_report(
    plan: Plan,
    output_dir: str | Path,
    settings: Settings | None = None,
    pictures: bool = False,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Measure and write report.html, report.md with its figures, and report.json into a new folder.

    Args:
        plan: As `plan_report` makes it.
        output_dir: New or empty folder; it appears whole or not at all.
        settings: How to measure.
        pictures: Show the worst errors as pictures in the HTML, which is then not for publication. Without it no
            picture of a person and no subject's name is written; embeddings never are.

    Returns:
        The content of report.json, and one line for each unreadable picture.

    Raises:
        InputError: unusable input, subjects that a run was trained on, or a folder that is not empty.

    Example:
        >>> write_report(plan_report(["edgeface-xxs-sketch"]), "report", Settings(split="test"))  # doctest: +SKIP
    """
    settings = settings or Settings()
    if not 0 < settings.fmr < 1 or settings.replicates < 1:
        raise InputError("the FMR of the operating point must lie in (0, 1), and a bootstrap needs a replicate or more")
    refuse_foreign_directory(Path(output_dir))
    measured = measure(plan, settings)
    with new_directory(output_dir) as folder:
        (folder / "figures").mkdir()
        figures = draw_figures(measured.report, folder / "figures")
        errors = worst_errors(measured) if pictures else None
        page = render_html(measured.report, figures, errors)
        (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "report.md").write_text(render_markdown(measured.report, figures), encoding="utf-8")
        write_json(folder / "report.json", measured.report)
    return measured.report, measured.embedded.skipped
