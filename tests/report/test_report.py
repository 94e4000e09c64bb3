"""The whole report: what it says is what an evaluation says, and what it shows harms nobody."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration import calibrate
from hf_crossspec.evaluation.runner import compare_modalities, evaluate_model
from hf_crossspec.evaluation.significance import paired_differences
from hf_crossspec.report import Settings, plan_report, write_report
from hf_crossspec.report.build import measure, score_histogram
from hf_crossspec.report.pictures import worst_cells
from hf_crossspec.report.tables import threshold_table
from tests.report.conftest import run_command
from tests.report.page import Page

QUICK = Settings(split="test", replicates=40)
SESSIONS = Settings(replicates=40, fmr=0.01)


@pytest.fixture(scope="module")
def plain(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report without pictures."""
    folder = tmp_path_factory.mktemp("reports") / "plain"
    write_report(plan_report([run]), folder, QUICK)
    return folder


@pytest.fixture(scope="module")
def several(run: Path, other_run: Path, sessions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters, two probe modalities, sessions and cameras, with pictures."""
    folder = tmp_path_factory.mktemp("reports") / "several"
    write_report(plan_report([run, other_run], data=sessions), folder, SESSIONS, pictures=True)
    return folder


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_the_numbers_are_those_of_evaluate(plain: Path, run: Path, tiny_base: Path, tiny_pairs: Path) -> None:
    report = read(plain)
    assert report["probe_modalities"] == ["nir", "vis"]  # gained, and kept
    for comparison in report["comparisons"]:
        sides = {"gallery_modality": "vis", "probe_modality": comparison["probe_modality"], "split": "test"}
        for label, adapter in (("unadapted", None), ("nir-run", run)):
            expected, _ = evaluate_model(tiny_base, tiny_pairs, adapter=adapter, **sides)  # type: ignore[arg-type]
            metrics = comparison["systems"][label]["metrics"]
            for name in ("rank_1", "eer", "auc", "tar_at_fmr_1e-2"):
                assert metrics[name]["value"] == pytest.approx(expected["metrics"][name]["value"], abs=1e-9)
            assert all(comparison["counts"][name] == expected["counts"][name] for name in ("mated", "non_mated"))
    assert [system["weights_sha256"] for system in report["systems"]] == [
        FaceEmbedder.from_pretrained(tiny_base, adapter).describe()["weights_sha256"] for adapter in (None, run)
    ]
    assert report["systems"][1]["training"]["target_modality"] == "nir"
    assert {"torch", "python"} <= report["versions"].keys()


def test_differences_are_paired(plain: Path, run: Path, tiny_base: Path, tiny_pairs: Path) -> None:
    faces = load_faces(tiny_pairs, "test")
    sides = [
        compare_modalities(
            FaceEmbedder.from_pretrained(tiny_base, adapter).embed_dataset(faces).values,
            faces["subject_id"][:], faces["modality"][:], "vis", "nir",
        )
        for adapter in (None, run)
    ]  # fmt: skip
    expected = paired_differences(*sides, (1e-2, 1e-3), replicates=40)
    comparison = read(plain)["comparisons"][0]
    found = comparison["differences"]["nir-run"]["metrics"]
    for name, difference in expected.items():
        assert found[name]["value"] == pytest.approx(difference.value, abs=1e-9)
        assert found[name]["p_value"] == pytest.approx(difference.p_value)
        assert (found[name]["replicates"], found[name]["significant"]) == (40, difference.significant)
    before, after = (comparison["systems"][label]["metrics"]["rank_1"] for label in ("unadapted", "nir-run"))
    assert found["rank_1"]["value"] == pytest.approx(after["value"] - before["value"])
    mcnemar = comparison["differences"]["nir-run"]["mcnemar_rank_1"]
    assert mcnemar["gained"] - mcnemar["lost"] == before["errors"] - after["errors"]


def test_the_same_seed_gives_the_same_report(plain: Path, run: Path, tmp_path: Path) -> None:
    write_report(plan_report([run]), tmp_path / "again", QUICK)
    names = sorted(path.relative_to(plain) for path in plain.rglob("*") if path.is_file())
    assert [str(name) for name in names if name.parent == Path()] == ["report.html", "report.json", "report.md"]
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (plain / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again"]


def test_the_command_makes_the_same_report(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = read(plain)["command"].split()
    assert command[:2] == ["crossspec", "report"]
    outcome = run_command(*command[2:], "--json", "copy.json")
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "report" / "report.json").read_bytes() == (plain / "report.json").read_bytes()
    assert json.loads((tmp_path / "copy.json").read_text()) == read(plain)
    assert "nir to vis" in outcome.output and "pictures of people" not in outcome.output


def test_without_pictures_nobody_is_shown_or_named(plain: Path, tiny_pairs: Path) -> None:
    subjects = set(load_faces(tiny_pairs, "test")["subject_id"])
    for path in plain.rglob("*"):
        if path.suffix == ".png":
            assert min(_size(path.read_bytes())) > 500
        elif path.is_file():
            assert not [subject for subject in subjects if subject in path.read_text()]
    sizes = [_size(picture) for picture in _pictures(plain / "report.html")]
    assert len(sizes) == 8 and min(min(size) for size in sizes) > 500  # faces have 112
    assert "pictures of people" not in (plain / "report.html").read_text()
    assert "embedding" not in (plain / "report.json").read_text()


def test_the_page_stands_alone(plain: Path, several: Path) -> None:
    for folder in (plain, several):
        text = (folder / "report.html").read_text()
        page = Page(text)
        assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
        assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.names)
        style = text[text.index("<style>") : text.index("</style>")]
        assert "url(" not in style and "@import" not in style and "http" not in style
        assert "prefers-color-scheme: dark" in style and "@media print" in style


def test_markdown_refers_to_its_figures_only(several: Path) -> None:
    text = (several / "report.md").read_text()
    figures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert sorted(figures) == sorted(f"figures/{path.name}" for path in (several / "figures").iterdir())
    assert len(figures) == 8
    assert not re.search(r"s2\d\d", text) and "data:" not in text  # no subject, no picture
    assert not re.search(r"s2\d\d", (several / "report.json").read_text())
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) > 10
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1, block


def test_several_runs_make_a_cross_sensor_matrix(several: Path) -> None:
    report, text = read(several), (several / "report.md").read_text()
    assert [system["label"] for system in report["systems"]] == ["unadapted", "nir-run", "ln-run"]
    start = text.index("Trained on one modality")
    header = next(line for line in text[start:].splitlines() if line.startswith("| trained for"))
    assert header == "| trained for | tested on nir | tested on vis |"
    rank_1 = [
        100 * comparison["systems"]["ln-run"]["metrics"]["rank_1"]["value"] for comparison in report["comparisons"]
    ]
    row = next(line for line in text[start:].splitlines() if line.startswith("| nir (ln-run)"))
    assert [cell.split()[0] for cell in row.split("|")[2:4]] == [f"{value:.2f}" for value in rank_1]


def test_groups_are_those_of_the_probes(several: Path) -> None:
    nir, vis = read(several)["comparisons"]
    assert list(nir["groups"]) == ["session", "camera", "age"]
    assert [(row["group"], row["probes"], row["subjects"]) for row in nir["groups"]["session"]] == [
        ("day 0", 24, 24), ("day 1", 24, 24)
    ]  # fmt: skip
    common, rare = nir["groups"]["camera"]
    assert (common["probes"], rare["probes"]) == (44, 4)
    assert rare["systems"] == {} and "too few" in rare["note"]
    assert list(vis["groups"]) == ["camera", "age"]  # all visible probes are of day 1: the first day is enrolled
    assert "2 subjects are too few to say anything" in (several / "report.md").read_text()


def test_groups_add_up(several: Path) -> None:
    for comparison in read(several)["comparisons"]:
        for label, system in comparison["systems"].items():
            for rows in comparison["groups"].values():
                if all(row["systems"] for row in rows):
                    for name in ("fnmr", "fmr"):
                        errors = sum(row["systems"][label][name]["errors"] for row in rows)
                        assert errors == system["operating_point"][name]["errors"]


def test_pictures_are_the_worst_errors(several: Path, run: Path, tiny_base: Path, sessions: Path) -> None:
    text = (several / "report.html").read_text()
    assert "Do not publish it." in text
    faces = load_faces(sessions)
    values = FaceEmbedder.from_pretrained(tiny_base, run).embed_dataset(faces).values
    subject, modality = np.array(faces["subject_id"]), np.array(faces["modality"])
    matrix = compare_modalities(values, subject, modality, "vis", "nir")
    probes = subject[modality == "nir"]
    names = np.unique(subject)
    point = read(several)["comparisons"][0]["systems"]["nir-run"]["operating_point"]
    wrong = [
        (float(matrix.scores[i, j]), probes[i], names[j])
        for i in range(len(probes))
        for j in range(len(names))
        if probes[i] != names[j] and matrix.scores[i, j] >= point["threshold"]
    ]
    assert len(wrong) == point["fmr"]["errors"]
    score, probe, enrolled = max(wrong)
    caption = f"{score:.4f}: probe of {probe}, enrolled {enrolled}"
    assert caption in text
    before = text[: text.index(caption)]
    shown = [_size(base64.b64decode(data)) for data in re.findall(r"base64,([^\"]*)", before)[-2:]]
    assert shown == [(112, 112), (112, 112)]


def test_worst_cells_are_sorted_errors() -> None:
    rng = np.random.default_rng(0)
    matrix = compare_modalities(rng.normal(size=(60, 4)), [f"p{i % 15}" for i in range(60)], ["a", "b"] * 30, "a", "b")
    cells = worst_cells(matrix, 0.5, count=4)
    same = matrix.probe_subject[:, None] == matrix.gallery_subject[None, :]
    matches = sorted((s for s in matrix.scores[~same].tolist() if s >= 0.5), reverse=True)[:4]
    misses = sorted(s for s in matrix.scores[same].tolist() if s < 0.5)[:4]
    assert [score for *_, score in cells["false_matches"]] == matches
    assert [score for *_, score in cells["false_non_matches"]] == misses
    assert worst_cells(matrix, 2.0)["false_matches"] == []


def test_a_calibrated_threshold_is_used_and_marked(run: Path, tiny_base: Path, sessions: Path, tmp_path: Path) -> None:
    calibrated = tmp_path / "calibrated-run"
    shutil.copytree(run, calibrated)
    calibration = calibrate(
        tiny_base, sessions, adapter=run, dev_split="train", gallery_modality="vis", probe_modality="nir", fmrs=(0.01,)
    )
    calibration.save(calibrated / "calibration.json")
    report = measure(plan_report([calibrated]), Settings("test", fmr=0.01, replicates=20)).report
    nir, vis = report["comparisons"]
    point = nir["systems"]["calibrated-run"]["operating_point"]
    assert point["threshold"] == calibration.threshold("nir", "vis", 0.01).threshold
    assert point["source"] == "calibration.json, split train"
    others = (nir["systems"]["unadapted"], vis["systems"]["calibrated-run"])
    assert [system["operating_point"]["source"] for system in others] == ["evaluated scores"] * 2
    assert threshold_table(nir).rows[1][:3] == ["calibrated-run", f"{point['threshold']:.4f}", point["source"]]
    shutil.copy(calibrated / "calibration.json", tiny_copy(tiny_base, tmp_path) / "calibration.json")
    with pytest.raises(InputError, match="other weights"):
        measure(plan_report([run], tmp_path / "base"), QUICK)


def tiny_copy(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder / "base"))


def test_histogram_counts_every_score() -> None:
    mated, non_mated = np.float32([0.3, 0.9, 0.9]), np.float32([-0.2, 0.1, 0.3, 0.3])
    histogram = score_histogram(mated, non_mated)
    assert (sum(histogram["mated"]), sum(histogram["non_mated"])) == (3, 4)
    assert histogram["edges"][0] == pytest.approx(-0.2) and histogram["edges"][-1] == pytest.approx(0.9)
    assert histogram["mated"][-1] == 2 and histogram["non_mated"][0] == 1
    assert sum(score_histogram(mated[1:], mated[1:])["mated"]) == 2


def _size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _pictures(page: Path) -> list[bytes]:
    addresses = Page(page.read_text()).addresses
    return [base64.b64decode(address.removeprefix("data:image/png;base64,")) for address in addresses]
