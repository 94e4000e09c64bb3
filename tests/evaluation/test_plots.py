"""The ROC picture is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.plots import plot_roc

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
