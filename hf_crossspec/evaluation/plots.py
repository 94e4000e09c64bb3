"""Pictures of an evaluation, for a README or a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_DET_TICKS = (1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98)


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


def plot_det(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: str | Path, title: str = "") -> None:
    """Draw DET curves, FNMR over FMR on normal-deviate axes (Martin et al. 1997), and write them to `path`.

    Args:
        curves: label -> (fmr, tar) as for `plot_roc`. The axes have no place for rates of 0 and 1: points at such an
            FMR are left out, and an FNMR of 0 is drawn along the lower edge.
        path, title: As for `plot_roc`.

    Raises:
        InputError: no curves, or one without a point of FMR in (0, 1) or with lengths that differ.
    """
    from matplotlib.figure import Figure
    from scipy.stats import norm

    figure = Figure(figsize=(6, 5.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    sides = {label: _inner_points(label, *points) for label, points in _some(curves).items()}
    lowest = [
        min(0.01, float(min(side[side > 0].min(initial=0.01) for side in pair)))
        for pair in zip(*sides.values(), strict=True)
    ]
    for i, (label, (fmr, fnmr)) in enumerate(sides.items()):
        drawn = norm.ppf(fmr), norm.ppf(np.clip(fnmr, lowest[1] / 2, 0.999))
        axes.plot(
            *drawn,
            _STYLES[i % len(_STYLES)],
            color=_colour(i),
            label=_plain(label),
            linewidth=2.2,
            drawstyle="steps-post",
        )
    for axis, low in ((axes.xaxis, lowest[0]), (axes.yaxis, lowest[1])):
        ticks = [tick for tick in _DET_TICKS if tick >= low / 2]
        axis.set_ticks(norm.ppf(ticks).tolist(), [f"{100 * tick:g}" for tick in ticks])
    highest = max(0.4, *(float(fnmr.max()) for _, fnmr in sides.values()))
    axes.set_xlim(norm.ppf(lowest[0] / 1.5), norm.ppf(0.6))
    axes.set_ylim(norm.ppf(lowest[1] / 2), norm.ppf(min(0.995, 1.15 * highest)))
    _dress(axes, "False match rate (FMR), %", "False non-match rate (FNMR), %", title)
    axes.legend(loc="upper right", fontsize=11, frameon=False)
    _save(figure, path)


def plot_cmc(curves: Mapping[str, Sequence[float]], path: str | Path, title: str = "") -> None:
    """Draw cumulative match characteristics, the identification rate over rank, and write them to `path`.

    Args:
        curves: label -> rates at ranks 1, 2, ..., as `cmc` gives them.
        path, title: As for `plot_roc`.

    Raises:
        InputError: no curves, or an empty one.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    if not all(len(rates) for rates in _some(curves).values()):
        raise InputError("a CMC needs the rate at rank 1 at least.")
    figure = Figure(figsize=(7, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for i, (label, rates) in enumerate(curves.items()):
        ranks = np.arange(1, len(rates) + 1)
        style = _STYLES[i % len(_STYLES)]
        axes.plot(ranks, rates, style, color=_colour(i), label=_plain(label), linewidth=2.2, marker="o", markersize=4)
    longest = max(len(rates) for rates in curves.values())
    axes.set_xticks([rank for rank in (1, 5, *range(10, 101, 10), *range(150, 1001, 50)) if rank <= longest])
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    lowest = min(min(rates) for rates in curves.values())
    margin = 0.05 * max(1 - lowest, 0.02)
    axes.set_ylim(lowest - margin, 1 + margin)
    _no_tick_above_one(axes)
    _dress(axes, "Rank", "Identification rate", title)
    axes.legend(loc="lower right", fontsize=11, frameon=False)
    _save(figure, path)


def plot_score_histograms(
    panels: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float], float]],
    path: str | Path,
    title: str = "",
) -> None:
    """Draw histograms of mated and non-mated scores, a panel per system, and write them to `path`.

    Args:
        panels: label -> (edges (B + 1), mated counts (B), non-mated counts (B), threshold). Each side is drawn as its
            share per bin, as non-mated comparisons outnumber the mated by far.
        path, title: As for `plot_roc`.

    Raises:
        InputError: no panels.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    _some(panels)
    figure = Figure(figsize=(7, 0.9 + 2.3 * len(panels)), dpi=150, layout="constrained")
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, (edges, mated, non_mated, threshold)) in zip(rows, panels.items(), strict=True):
        sides = (("non-mated", non_mated, _COLOURS[1], "////"), ("mated", mated, _COLOURS[0], ""))
        for name, counts, colour, hatch in sides:
            share = np.asarray(counts) / max(1, np.sum(counts))
            axes.stairs(share, edges, fill=True, facecolor=colour, edgecolor="white", alpha=0.45, hatch=hatch, lw=0)
            axes.stairs(share, edges, color=colour, linewidth=1.6, label=name)
        axes.axvline(threshold, color="black", linestyle="--", linewidth=1.4, label=f"threshold {threshold:.3f}")
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend above the bars
        _dress(axes, "", "Share of scores", label)
        axes.legend(loc="upper center", ncols=3, fontsize=10, edgecolor="none", framealpha=1)
    rows[-1].set_xlabel("Score (cosine similarity)", fontsize=12)
    figure.suptitle(_plain(title), fontsize=13)
    _save(figure, path)


def _some(curves: Mapping[str, Any]) -> Mapping[str, Any]:
    if not curves:
        raise InputError("there are no curves to plot.")
    return curves


def _plain(text: str) -> str:
    """Text as it is: no formulas between dollar signs, and no leading underscore, which would hide a legend entry."""
    return text.replace("$", r"\$").replace("\n", " ").removeprefix("_")


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _inner_points(label: str, fmr: Sequence[float], tar: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """FMR and FNMR of the points whose FMR a normal-deviate axis can show."""
    x, y = np.asarray(fmr, dtype=float), 1 - np.asarray(tar, dtype=float)
    shown = (x > 0) & (x < 1)
    if x.shape != y.shape or not shown.any():
        raise InputError(f"curve {label!r} needs one TAR per FMR and a point with 0 < FMR < 1.")
    return x[shown], y[shown]


def _draw_roc(axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> None:
    from matplotlib.ticker import PercentFormatter

    for i, (label, points) in enumerate(_some(curves).items()):
        fmr, tar = (np.asarray(side, dtype=float) for side in points)
        if fmr.shape != tar.shape or not (fmr > 0).any():
            raise InputError(f"curve {label!r} needs one TAR per FMR and a point with FMR > 0.")
        shown = fmr > 0
        colour, style = _colour(i), _STYLES[i % len(_STYLES)]
        # A step: between two thresholds that exist, the lower TAR is the one that was reached.
        axes.plot(
            fmr[shown], tar[shown], style, color=colour, label=_plain(label), linewidth=2.2, drawstyle="steps-post"
        )
    axes.set_xscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    axes.set_ylim(top=min(1.01, 1 + 0.06 * (1 - axes.get_ylim()[0])))
    _no_tick_above_one(axes)
    axes.margins(x=0)
    _dress(axes, "False match rate (FMR)", "True accept rate (1 − FNMR)", title)
    axes.legend(loc="lower right", fontsize=11, frameon=False)


def _no_tick_above_one(axes: Axes) -> None:
    """The limits leave room above a rate of 1, where there are no rates."""
    low = axes.get_ylim()[0]
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 1 + 1e-9])


def _dress(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """What all plots look like."""
    axes.set_xlabel(x_label, fontsize=12)
    axes.set_ylabel(y_label, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(which="major", alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(_plain(title), fontsize=13)


def _save(figure: Figure, path: str | Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with replacing_file(path) as temporary:
        figure.savefig(temporary)
