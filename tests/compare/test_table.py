"""From runs to rows: means and ranges over the seeds, and the Pareto front against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_crossspec.compare.plot import plot_pareto
from hf_crossspec.compare.table import HEADER, RETENTION, cells, off_front, pareto_front, rich_table, summarise

GRID = st.integers(0, 4)


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def run(method: str, seed: int | None, rank_1: float, kept: float) -> dict[str, Any]:
    target = {name: interval(rank_1) for name in ("rank_1", "tar_at_fmr_1e-2", "tar_at_fmr_1e-3", "eer")}
    accuracy = {"metrics": {"accuracy": interval(kept)}}
    facts = {"method": method, "seed": seed, "rate": 1e-3, "weight": 0.9, "trainable_parameters": 4_504}
    measured = {
        "shipped_bytes": 23_264, "seconds": 10.0 + (seed or 0), "peak_resident_bytes": 1_500_000_000,
        "resident_bytes_before": 1_000_000_000,
    }  # fmt: skip
    reports = {f"retention {folds}": accuracy for folds in ("selection", "held-out", "all")}
    return {**facts, **measured, "target": {"metrics": target}, **reports}


def test_means_ranges_and_changes() -> None:
    runs = [run("unadapted", None, 0.5, 0.99), run("ln", 0, 0.7, 0.98), run("full", 0, 0.9, 0.97), run("ln", 1, 0.8, 1)]
    rows = {row["method"]: row for row in summarise(runs)}
    assert list(rows) == ["unadapted", "ln", "full"]
    assert rows["ln"]["seeds"] == [0, 1]
    assert (rows["ln"]["rank_1"]["low"], rows["ln"]["rank_1"]["high"]) == (0.7, 0.8)
    assert abs(rows["ln"][RETENTION]["mean"]) < 1e-12
    assert rows["ln"]["seconds"] == 10.5
    texts = dict(zip(HEADER, cells(rows["ln"]), strict=True))
    assert texts["Rank-1"] == "75.00 (70.00 - 80.00)"
    assert texts["ships"] == "23 kB"
    assert texts["peak memory"] == "1,500 MB (+500)"
    assert rows["ln"]["first"]["rank_1"] == interval(0.7)
    assert cells(rows["full"])[6] == "-2.00"
    assert rich_table(list(rows.values())).row_count == 3


@given(st.lists(st.tuples(GRID, GRID), min_size=1, max_size=8))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    rows = [
        {"method": str(number), RETENTION: {"mean": kept}, "rank_1": {"mean": gained}}
        for number, (kept, gained) in enumerate(points)
    ]
    front = {row["method"] for row in pareto_front(rows, "rank_1")}
    for number, (kept, gained) in enumerate(points):
        dominated = any(k >= kept and g >= gained and (k > kept or g > gained) for k, g in points)
        assert (str(number) in front) is not dominated


def test_who_is_behind_the_front_is_said(tmp_path: Path) -> None:
    rows = summarise([run("unadapted", None, 0.5, 0.99), run("ln", 0, 0.7, 0.98), run("full", 0, 0.9, 0.985)])
    better = "full (23 kB) is better"
    expected = f"- ln (23 kB) is behind the front in Rank-1: {better}; in TAR at FMR 0.1 %: {better}"
    assert off_front(rows) == [expected]
    plot_pareto(rows, tmp_path / "pareto.png", "nir", "vis")
    assert Image.open(tmp_path / "pareto.png").width > 500
