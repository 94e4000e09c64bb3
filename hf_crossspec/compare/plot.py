"""What was gained over what was kept, one point per method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_crossspec.compare.methods import UNADAPTED
from hf_crossspec.compare.table import GAINS, RETENTION, pareto_front
from hf_crossspec.files import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), grey and brown; the shapes carry the difference into black and white.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#777777", "#D55E00", "#7F3F00")
SHAPES = "XvoDs^<P*"


def plot_pareto(rows: Sequence[dict[str, Any]], path: Path, target_modality: str, source_modality: str) -> None:
    """Draw each gain over the change of retention accuracy on the held-out folds, with ranges over the seeds.

    The line joins the methods on the Pareto front of the means; the markers of the others are hollow. The unadapted
    network lies far below as a rule; then the axis leaves it out, and says where it is.

    Args:
        rows: As `summarise` gives them.
        path: Picture to write, whole or not at all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (gain, title) in zip(figure.subplots(1, len(GAINS)), GAINS.items(), strict=True):
        _draw(axes, rows, gain)
        axes.set_ylabel(f"{target_modality} to {source_modality}: {title} (%)", fontsize=12)
    figure.supxlabel(
        f"Change of {source_modality} verification accuracy on held-out folds (percentage points)", fontsize=12
    )
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize=11)
    with replacing_file(path) as temporary:
        figure.savefig(temporary)


def _draw(axes: Axes, rows: Sequence[dict[str, Any]], gain: str) -> None:
    front = pareto_front(rows, gain)
    best = [(100 * row[RETENTION]["mean"], 100 * row[gain]["mean"]) for row in front]
    axes.plot(*zip(*best, strict=True), color="#888888", linewidth=1.5, drawstyle="steps-pre", zorder=1)
    for number, row in enumerate(rows):
        kept, gained = ({name: 100 * value for name, value in row[key].items()} for key in (RETENTION, gain))
        colour = COLOURS[number % len(COLOURS)]
        axes.errorbar(
            kept["mean"], gained["mean"], color=colour, fmt=SHAPES[number % len(SHAPES)], markersize=9,
            markerfacecolor=colour if row in front else "white", capsize=3, elinewidth=1.2, label=row["method"],
            xerr=[[kept["mean"] - kept["low"]], [kept["high"] - kept["mean"]]],
            yerr=[[gained["mean"] - gained["low"]], [gained["high"] - gained["mean"]]],
        )  # fmt: skip
    _fit(axes, rows, gain)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)


def _fit(axes: Axes, rows: Sequence[dict[str, Any]], gain: str) -> None:
    """Limit the axis to the adapted networks; an unadapted one below it is named at its foot."""
    adapted = [row for row in rows if row["method"] != UNADAPTED] or list(rows)
    low, high = (extreme(100 * row[gain][name] for row in adapted) for extreme, name in ((min, "low"), (max, "high")))
    margin = 0.12 * (high - low) + 0.5
    axes.set_ylim(low - 2 * margin, min(high + margin, 100.5))
    for row in rows:
        value = 100 * row[gain]["mean"]
        if value < low - 2 * margin:
            axes.annotate(
                f"{row['method']}\n{value:.1f}", (100 * row[RETENTION]["mean"], 0), xytext=(0, 26), ha="center",
                xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=11,
                arrowprops={"arrowstyle": "->"},
            )  # fmt: skip
