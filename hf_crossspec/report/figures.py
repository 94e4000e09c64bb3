"""Figures of a report, drawn from what its JSON says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_crossspec.evaluation.plots import plot_cmc, plot_det, plot_roc, plot_score_histograms


@dataclass(frozen=True)
class Figure:
    """A picture file and what it shows, in words for those who do not see it."""

    path: Path
    caption: str


def draw_figures(report: dict[str, Any], folder: Path) -> list[list[Figure]]:
    """Write DET, ROC, CMC and score histograms of every comparison as PNG files into `folder`.

    Args:
        report: As `measure` builds it.
        folder: An existing folder.

    Returns:
        The figures of each comparison.
    """
    drawn = []
    for number, comparison in enumerate(report["comparisons"], start=1):
        gallery, probe = comparison["gallery_modality"], comparison["probe_modality"]
        title = f"{probe} probes against {gallery}"
        roc = {label: _roc(system) for label, system in comparison["systems"].items()}
        cmc = {label: system["curves"]["cmc"] for label, system in comparison["systems"].items()}
        panels = {label: _panel(system) for label, system in comparison["systems"].items()}

        def path(kind: str, number: int = number, probe: str = probe) -> Path:
            return folder / f"{number}-{slug(probe)}-{kind}.png"

        plot_det(roc, path("det"), title)
        plot_roc(roc, path("roc"), title)
        plot_cmc(cmc, path("cmc"), title)
        plot_score_histograms(panels, path("scores"), title)
        captions = {
            "det": "DET: false non-matches over false matches, normal-deviate axes; lower left is better",
            "roc": "ROC: true accepts over false matches (logarithmic); upper left is better",
            "cmc": "CMC: probes whose subject is among the best so many of the gallery",
            "scores": "Scores of mated and non-mated comparisons, each side as shares, and the threshold",
        }
        drawn.append([Figure(path(kind), f"{title}. {caption}.") for kind, caption in captions.items()])
    return drawn


def slug(name: str) -> str:
    """A modality's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "modality"


def _roc(system: dict[str, Any]) -> tuple[list[float], list[float]]:
    return system["curves"]["roc"]["fmr"], system["curves"]["roc"]["tar"]


def _panel(system: dict[str, Any]) -> tuple[list[float], list[float], list[float], float]:
    histogram = system["histogram"]
    return histogram["edges"], histogram["mated"], histogram["non_mated"], system["operating_point"]["threshold"]
