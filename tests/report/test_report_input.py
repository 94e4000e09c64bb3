"""What a report does with hostile names, unreadable pictures and arguments that cannot be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image

from hf_crossspec.errors import InputError
from hf_crossspec.report import Settings, plan_report, write_report
from hf_crossspec.report.build import measure
from hf_crossspec.report.provenance import provenance_tables
from tests.conftest import simulated_pairs
from tests.report.conftest import run_command
from tests.report.page import Page

HOSTILE = '<script src="https://example.org/x.js">alert(1)</script>|`x`](http://example.org)$\n# "title" {{ 7 * 7 }}'


def test_hostile_names_are_only_text(run: Path, tmp_path: Path) -> None:
    hostile_adapter = tmp_path / "<img src=x onerror=alert(1)>|{{ 7*7 }}"
    shutil.copytree(run, hostile_adapter)
    faces = simulated_pairs(range(200, 212))
    columns = {
        "subject_id": [f"<b>{name}</b>" for name in faces["subject_id"]],
        "modality": [HOSTILE if name == "nir" else name for name in faces["modality"]],
        "session": [["<i>one", HOSTILE][row % 2] for row in range(len(faces))],
    }
    for name, values in columns.items():
        faces = (faces.remove_columns(name) if name in faces.column_names else faces).add_column(name, values)
    faces.to_parquet(str(tmp_path / "faces.parquet"))
    plan = plan_report([hostile_adapter], data=tmp_path / "faces.parquet", probe_modalities=[HOSTILE])
    write_report(plan, tmp_path / "out", Settings(replicates=10), pictures=True)
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page(text)
    assert not {"script", "b", "i"} & set(page.names)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert HOSTILE.split("\n")[0] in page.text and "<b>s200</b>" in page.text and "{{ 7*7 }}" in page.text
    markdown = (tmp_path / "out" / "report.md").read_text()
    outside = re.sub(r"```bash\n.*\n```", "", markdown)
    assert "<script" not in outside and "<i>" not in outside and "](http" not in outside
    assert not [line for line in markdown.splitlines() if line.startswith('# "title"')]
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {
        f"1-script-src-https-example-org-x-js-alert-{kind}.png" for kind in ("det", "roc", "cmc", "scores")
    }


def test_failures_to_acquire_are_counted(run: Path, tmp_path: Path) -> None:
    faces = simulated_pairs(range(200, 206)).cast_column("image", Image(decode=False))
    rows = [row | ({"image": {"bytes": b"no picture", "path": None}} if i == 3 else {}) for i, row in enumerate(faces)]
    Dataset.from_list(rows, features=faces.features).to_parquet(str(tmp_path / "faces.parquet"))
    plan = plan_report([run], data=tmp_path / "faces.parquet")
    with pytest.raises(InputError, match="--skip-bad"):
        write_report(plan, tmp_path / "out", Settings(replicates=10))
    assert not (tmp_path / "out").exists()
    measured = measure(plan, Settings(replicates=10, skip_bad=True))
    report = measured.report
    assert len(measured.embedded.skipped) == 1 and report["data"]["failures_to_acquire"] == 1
    assert report["data"]["modalities"] == {
        "nir": {"pictures": 12, "failures_to_acquire": 1}, "vis": {"pictures": 12, "failures_to_acquire": 0}
    }  # fmt: skip
    assert report["comparisons"][0]["counts"]["probes"] == 11
    assert "--skip-bad" in report["command"]


def assert_refused(outcome: Any, message: str) -> None:
    assert isinstance(outcome.exception, InputError), outcome.output
    assert message in str(outcome.exception)


def test_bad_input_is_refused_and_nothing_is_written(
    run: Path, tiny_base: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert_refused(run_command(run, "--output-dir", out), "several splits")
    assert_refused(
        run_command(run, "--split", "train", "--output-dir", out), "12 of the evaluated subjects were trained"
    )
    test = ("--split", "test", "--output-dir", out)
    assert_refused(run_command(run, *test, "--probe-modality", "x-ray"), "x-ray")
    assert_refused(run_command(run, *test, "--gallery-modality", "x-ray"), "x-ray")
    assert_refused(run_command(run, *test, "--fmr", "0"), "(0, 1)")
    assert_refused(run_command(run, *test, "--model", tmp_path), "not a model folder")
    shutil.copytree(run, tmp_path / "moved")
    record = json.loads((run / "run.json").read_text()) | {"base_sha256": "0" * 64}
    (tmp_path / "moved" / "run.json").write_text(json.dumps(record))
    assert_refused(run_command(tmp_path / "moved", *test), "was trained on weights 000000000000, but")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert_refused(run_command(run, *test), "not empty")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert run_command("--output-dir", out).exit_code == 2


def test_same_identifiers_of_others_are_allowed_and_said(run: Path) -> None:
    report = measure(plan_report([run]), Settings(split="train", replicates=10, same_ids_are_others=True)).report
    assert report["systems"][1]["subject_ids_shared_with_training"] == 12
    systems = provenance_tables(report)[0]
    assert ["", "trained on the evaluated subjects", "12 identifiers shared, said to be other people"] in systems.rows
