"""Pictures of evaluations are written whole or not at all, whatever the names on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.plots import plot_cmc, plot_det, plot_roc, plot_score_histograms

CURVE = ([0.0, 0.001, 0.1, 1.0], [0.4, 0.6, 0.9, 1.0])


def test_a_picture_is_written(tmp_path: Path) -> None:
    plot_roc({"before": CURVE, "after": CURVE}, tmp_path / "roc.png", "title")
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]


def test_a_failure_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "roc.unknown"
    path.write_text("old")
    with pytest.raises(ValueError, match="unknown"):
        plot_roc({"before": CURVE}, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("roc.unknown", "old")]


@pytest.mark.parametrize("curves", [{}, {"a": ([0.0], [0.5])}, {"a": ([0.1, 1.0], [0.5])}])
def test_bad_curves_are_refused(curves: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        plot_roc(curves, tmp_path / "roc.png")
    assert not list(tmp_path.iterdir())


PANEL = ([0.0, 0.5, 1.0], [1, 3], [90, 10], 0.7)
DRAWERS = [(plot_roc, CURVE), (plot_det, CURVE), (plot_cmc, [0.5, 0.75, 1.0]), (plot_score_histograms, PANEL)]


@pytest.mark.parametrize(("draw", "curve"), DRAWERS)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_can_be_drawn(draw: Callable[..., None], curve: Any, tmp_path: Path) -> None:
    names = ["before", r"$\frac{", "_hidden", "a\nb", "<b>&%", "顔"]
    draw(dict.fromkeys(names, curve), tmp_path / "plot.png", " ".join(names))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("draw", "curve"), DRAWERS)
def test_the_same_curves_give_the_same_bytes(draw: Callable[..., None], curve: Any, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw({"one": curve}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_det_shows_extreme_systems(tmp_path: Path) -> None:
    curves = {
        "perfect": ([0.0, 0.5, 1.0], [1.0, 1.0, 1.0]),
        "useless": ([0.0, 0.5, 1.0], [0.0, 0.0, 1.0]),
        "one in a million": ([1e-6, 1.0], [0.5, 1.0]),
        "nearly all accepted": ([0.9, 1.0], [0.1, 1.0]),
    }
    plot_det(curves, tmp_path / "det.png")
    assert (tmp_path / "det.png").exists()


def test_a_cmc_may_have_one_rank(tmp_path: Path) -> None:
    plot_cmc({"one": [0.5]}, tmp_path / "cmc.png")
    assert (tmp_path / "cmc.png").exists()


@pytest.mark.parametrize(
    ("draw", "curves"),
    [
        (plot_det, {}),
        (plot_det, {"a": ([0.0, 1.0], [0.5, 1.0])}),
        (plot_det, {"a": ([0.1, 1.0], [0.5])}),
        (plot_cmc, {}),
        (plot_cmc, {"a": []}),
        (plot_score_histograms, {}),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[..., None], curves: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        draw(curves, tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())
