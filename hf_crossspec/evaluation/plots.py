"""Pictures of an evaluation, for a README or a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.files import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

# Okabe & Ito (2008), told apart with any colour vision; the line styles carry the difference into black and white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")


def plot_roc(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: str | Path, title: str = "") -> None:
    """Draw ROC curves as TAR over FMR (logarithmic) and write them to `path`, whole or not at all.

    Args:
        curves: label -> (fmr, tar), ascending fractions of equal length, as `roc_curve_points` gives them. Points at
            FMR 0 have no place on a logarithmic axis and are left out.
        path: picture to write; its suffix (.png, .svg, .pdf) chooses the format.
        title: above the axes.

    Raises:
        InputError: no curves, or one without a point of positive FMR or with lengths that differ.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), dpi=150, layout="constrained")
    _draw_roc(figure.add_subplot(), curves, title)
    _save(figure, path)


def plot_gain(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    pairs: Sequence[Sequence[Image]],
    path: str | Path,
    title: str = "",
) -> None:
    """ROC curves beside sample pictures: a row per pair, a column per modality.

    Args:
        curves, path, title: As for `plot_roc`.
        pairs: Pictures of equal number in each row; show people only where they agreed, or synthetic ones.

    Raises:
        InputError: as `plot_roc`, or no pairs.
    """
    from matplotlib.figure import Figure

    if not pairs:
        raise InputError("there are no sample pairs to show.")
    figure = Figure(figsize=(9.6, 4.4), dpi=150, layout="constrained")
    parts = figure.subfigures(1, 2, width_ratios=[2.4, len(pairs[0]) / len(pairs) * 1.5], squeeze=False)
    _draw_roc(parts[0, 0].add_subplot(), curves, title)
    grid = parts[0, 1].subplots(len(pairs), len(pairs[0]), squeeze=False)
    for row, pictures in zip(grid, pairs, strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(np.asarray(picture.convert("RGB")))
            axes.set_axis_off()
    _save(figure, path)


def _draw_roc(axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> None:
    from matplotlib.ticker import PercentFormatter

    if not curves:
        raise InputError("there are no curves to plot.")
    for i, (label, points) in enumerate(curves.items()):
        fmr, tar = (np.asarray(side, dtype=float) for side in points)
        if fmr.shape != tar.shape or not (fmr > 0).any():
            raise InputError(f"curve {label!r} needs one TAR per FMR and a point with FMR > 0.")
        shown = fmr > 0
        colour, style = _COLOURS[i % len(_COLOURS)], _STYLES[i % len(_STYLES)]
        # A step: between two thresholds that exist, the lower TAR is the one that was reached.
        axes.plot(fmr[shown], tar[shown], style, color=colour, label=label, linewidth=2.2, drawstyle="steps-post")
    axes.set_xscale("log")
    axes.set_xlabel("False match rate (FMR)", fontsize=12)
    axes.set_ylabel("True accept rate (1 − FNMR)", fontsize=12)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    axes.set_ylim(top=1.01)
    axes.margins(x=0)
    axes.tick_params(labelsize=11)
    axes.grid(which="major", alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=13)
    axes.legend(loc="lower right", fontsize=11, frameon=False)


def _save(figure: Figure, path: str | Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with replacing_file(path) as temporary:
        figure.savefig(temporary)
