"""A whole comparison on tiny stand-ins: subjects, budgets, resuming, refusals, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from hf_crossspec import InputError, load_faces
from hf_crossspec.cli.compare import compare
from hf_crossspec.compare import run as comparison
from hf_crossspec.compare.config import CompareArguments
from hf_crossspec.embedding import load_base, weights_fingerprint
from hf_crossspec.evaluation.runner import hashed_subjects
from tests.compare.conftest import arguments


def here(function: Any, *values: Any) -> Any:
    """In place of a fresh process, whose start takes seconds; the command line's test starts them."""
    return function(*values)


@pytest.fixture(scope="module")
def finished(
    tiny_base: Path, tiny_pairs: Path, retention: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CompareArguments, dict[str, Any]]:
    args = arguments(tiny_base, tiny_pairs, retention, tmp_path_factory.mktemp("compare") / "out", seeds="0,1")
    before = weights_fingerprint(load_base(tiny_base)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "in_fresh_process", here)
        report = comparison.compare(args, say=lambda text: None)
    assert weights_fingerprint(load_base(tiny_base)[0]) == before
    return args, report


def test_the_search_never_sees_test_subjects(finished: tuple[CompareArguments, dict[str, Any]]) -> None:
    args, report = finished
    trained = set(hashed_subjects(load_faces(args.data, "train")["subject_id"]))
    tested = set(hashed_subjects(load_faces(args.data, "test")["subject_id"]))
    assert not trained & tested
    for rows in report["search"].values():
        for row in rows:
            seen = [(set(run["trained_subjects"]), set(run["held_out_subjects"])) for run in row["folds"]]
            assert all(not train & held_out and train | held_out == trained for train, held_out in seen)
            assert set.union(*(held_out for _, held_out in seen)) == trained
    for run in report["runs"][1:]:
        assert set(run["trained_subjects"]) == trained


def test_every_method_has_the_same_budget(finished: tuple[CompareArguments, dict[str, Any]]) -> None:
    _, report = finished
    for part in ("steps", "fold", "seed"):
        spent = {tuple(sorted(run[part] for row in rows for run in row["folds"])) for rows in report["search"].values()}
        assert len(spent) == 1
    assert {len(rows) for rows in report["search"].values()} == {3}
    finals = [(run["method"], run["seed"], run["steps"]) for run in report["runs"][1:]]
    assert finals == [(method, seed, 3) for seed in (0, 1) for method in ("ln+stem", "linear-probe")]


def test_the_report_is_complete(finished: tuple[CompareArguments, dict[str, Any]]) -> None:
    args, report = finished
    folder = Path(args.output_dir)
    assert json.loads((folder / "compare.json").read_text()) == report
    for run in report["runs"]:
        assert run["target"]["metrics"]["rank_1"]["n"] == 16
        counted = {folds: run[f"retention {folds}"]["metrics"]["accuracy"]["n"] for folds in ("selection", "all")}
        assert counted == {"selection": 16, "all": 32}
    for run in report["runs"][1:]:
        assert run["peak_resident_bytes"] > 10_000_000
        assert run["shipped_bytes"] >= 4 * run["trainable_parameters"] > 0
        chosen = report["chosen"][run["method"]]
        assert (run["rate"], run["weight"]) == (chosen["rate"], chosen["weight"])
    text = (folder / "compare.md").read_text()
    assert all(f"| {method} |" in text for method in ("unadapted", "ln+stem", "linear-probe"))
    assert "Every method: 6 search runs" in text
    assert (folder / "pareto.png").stat().st_size > 1000
    assert not list(folder.rglob("checkpoint.pt"))


def test_resuming_repeats_nothing_that_is_finished(
    finished: tuple[CompareArguments, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    args, report = finished
    trained: list[str] = []

    def counting(method: str, training: Any) -> Any:
        trained.append(Path(training.output_dir).name)
        return original(method, training)

    original = comparison.train_method
    monkeypatch.setattr(comparison, "train_method", counting)
    monkeypatch.setattr(comparison, "in_fresh_process", here)
    with pytest.raises(InputError, match="add --resume"):
        comparison.compare(args, say=lambda text: None)
    args.resume = True
    assert comparison.compare(args, say=lambda text: None) == report
    assert trained == []
    lost = sorted((Path(args.output_dir) / "results").glob("search-ln+stem-*"))[0]
    lost.unlink()
    again = comparison.compare(args, say=lambda text: None)
    assert trained == [lost.stem]
    assert again["runs"] == report["runs"]
    args.epochs = 2
    with pytest.raises(InputError, match="differs in epochs"):
        comparison.compare(args, say=lambda text: None)
    args.epochs = 1


def test_what_cannot_be_compared_is_refused(tiny_base: Path, tiny_pairs: Path, retention: Path, tmp_path: Path) -> None:
    def refused(message: str, **changes: object) -> None:
        with pytest.raises(InputError, match=message):
            comparison.compare(arguments(tiny_base, tiny_pairs, retention, tmp_path / "out", **changes))
        assert not (tmp_path / "out").exists()

    refused("unknown methods magic", methods="ln,magic")
    refused("seeds must be numbers", seeds="one")
    refused("distill_weights", distill_weights="1.5")
    refused("two folds or more", selection_folds="0")
    refused("leave two or more for the test", selection_folds="0,1,2")
    refused("are also trained on", test_split="train")
    pairs = pd.read_csv(retention / "pairs.csv")
    pairs.drop(columns="fold").to_csv(tmp_path / "no-folds.csv", index=False)
    refused("needs a column fold", retention_pairs=str(tmp_path / "no-folds.csv"))
    renamed = {f"s{200 + number}": f"s{100 + number}" for number in range(8)}
    pairs.replace({"key1": renamed, "key2": renamed}, regex=True).to_csv(tmp_path / "of-test.csv", index=False)
    pairs = pd.read_csv(tmp_path / "of-test.csv")
    known = pairs.key1.str.startswith("s10") & pairs.key2.str.startswith("s10")
    pairs[known].to_csv(tmp_path / "of-test.csv", index=False)
    of_test = {"retention_data": str(tiny_pairs), "retention_split": "test"}
    refused("must not be chosen by them", retention_pairs=str(tmp_path / "of-test.csv"), **of_test)
    refused("not in", retention_pairs=str(retention / "pairs.csv"), **of_test)


@pytest.mark.slow
def test_command_line_from_end_to_end(
    tiny_base: Path, tiny_pairs: Path, retention: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    app = typer.Typer()
    app.command()(compare)
    options = {
        "base": tiny_base, "data": tiny_pairs, "target-modality": "nir", "retention-data": retention / "lfw.parquet",
        "retention-pairs": retention / "pairs.csv", "output-dir": tmp_path / "out", "methods": "ln", "seeds": "0",
        "distill-weights": "0.9", "epochs": 1, "batch-size": 8, "json": tmp_path / "report.json",
    }  # fmt: skip
    flat = [str(text) for name, value in options.items() for text in (f"--{name}", value)]
    done = CliRunner().invoke(app, flat)
    assert done.exit_code == 0, done.output
    assert "unadapted" in done.output
    assert "pareto.png" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert [run["method"] for run in report["runs"]] == ["unadapted", "ln"]
    assert report["runs"][1]["peak_resident_bytes"] >= report["runs"][1]["resident_bytes_before"] > 0
    refused = CliRunner().invoke(app, flat)
    assert isinstance(refused.exception, InputError)
    assert "add --resume" in str(refused.exception)
    assert CliRunner().invoke(app, [*flat, "--resume"]).exit_code == 0
