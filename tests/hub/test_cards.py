"""Cards: complete, true to the reports, valid front matter, and deaf to markup in what they quote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_crossspec import Calibration, EdgeFaceConfig, InputError
from hf_crossspec.hub.card import model_card, plain
from hf_crossspec.hub.evidence import Evaluation, collect_evidence, read_reports
from tests.local_hub.cards import check_card

ADAPTER = {
    "source_modality": "vis", "target_modality": "nir", "scope": "ln+stem", "trainable": "4,504", "bytes": "23,264",
    "epochs": 110, "steps": 330, "batch_size": 32, "learning_rate": 3e-3, "distill_weight": 0.85, "margin": 0.2,
    "seed": 0, "subjects": 88,
}  # fmt: skip
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{%|TODO|TBD|More Information|\bNone\b|\bnan\b|undefined", re.IGNORECASE)


def front_matter(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def card_of(kind: str, evaluations: list[Evaluation], source: str = "x.pt", **changes: object) -> str:
    facts: dict[str, object] = {"data": "CUFS, CUHK student part, research only."}
    if kind != "base":
        facts |= {"base": ("org/base", COMMIT), "adapter": ADAPTER}
    config = EdgeFaceConfig(weights_source=source)
    return model_card(
        kind, "org/name", config, 1_244_744, "cc-by-nc-sa-4.0", evaluations, **{**facts, **changes}  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluations(reports: dict[str, Path]) -> list[Evaluation]:
    return evidence(reports, "before", "after", "kept")


def fingerprints(reports: dict[str, Path]) -> tuple[str, str]:
    base, own = (
        json.loads(reports[name].read_text())["model"]["weights_sha256"] for name in ("before", "after")
    )  # fmt: skip
    return base, own


def evidence(reports: dict[str, Path], *names: str) -> list[Evaluation]:
    return collect_evidence(read_reports([reports[name] for name in names]), *fingerprints(reports))


@pytest.mark.parametrize("kind", ["base", "adapter", "merged"])
@pytest.mark.parametrize("evaluated", [True, False])
@pytest.mark.parametrize("data", ["My pictures.", None])
def test_no_field_is_left_open(kind: str, evaluated: bool, data: str | None, evaluations: list[Evaluation]) -> None:
    card = card_of(kind, evaluations if evaluated else [], data=data)
    assert not PLACEHOLDER.search(card)
    assert not re.search(r"\n#+ [^\n]+\n+(?=#|$)", card), "a section is empty"
    assert check_card(card, "model") == ([], [])
    assert ("model-index" in front_matter(card)) == evaluated


def test_front_matter_says_what_the_hub_needs(evaluations: list[Evaluation]) -> None:
    data = front_matter(card_of("adapter", evaluations))
    assert data["base_model"] == "org/base"
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft"
    assert data["license"] == "cc-by-nc-sa-4.0"
    assert front_matter(card_of("merged", []))["library_name"] == "transformers"


def test_an_unlisted_licence_is_named(evaluations: list[Evaluation]) -> None:
    card = model_card("base", "org/name", EdgeFaceConfig(), 1, "my-own-terms", [])
    assert (front_matter(card)["license"], front_matter(card)["license_name"]) == ("other", "my-own-terms")


def test_the_model_index_holds_the_reports_figures(reports: dict[str, Path], evaluations: list[Evaluation]) -> None:
    index = front_matter(card_of("adapter", evaluations))["model-index"]
    results = {result["dataset"]["config"]: result["metrics"] for result in index[0]["results"]}  # type: ignore[index]
    assert list(results) == ["nir against vis", "vis against vis"]
    for name, comparison in (("after", "nir against vis"), ("kept", "vis against vis")):
        report = json.loads(reports[name].read_text())["metrics"]
        shown = {metric["type"]: metric["value"] for metric in results[comparison]}
        assert shown["rank_1"] == round(100 * report["rank_1"]["value"], 2)
        assert shown["eer"] == round(100 * report["eer"]["value"], 2)
        assert "tar_at_fmr_1e-3" not in shown  # too few comparisons to be published as a figure


def test_tables_show_before_after_and_retention(reports: dict[str, Path], evaluations: list[Evaluation]) -> None:
    card = card_of("adapter", evaluations)
    before, after = (json.loads(reports[name].read_text())["metrics"]["rank_1"] for name in ("before", "after"))
    row = next(line for line in card.splitlines() if line.startswith("| Rank-1"))
    for metric in (before, after):
        assert f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]" in row
    assert "### Retention: vis against vis (pairs, split test)" in card
    assert "not measured" in card  # nobody measured the base on vis against vis
    threshold = json.loads(reports["after"].read_text())["metrics"]["tar_at_fmr_1e-2"]["threshold"]
    assert f"| nir, vis | pairs | 1 % | {threshold:.4f} |" in card


def test_calibrated_thresholds_come_first(run: Path, evaluations: list[Evaluation]) -> None:
    calibration = Calibration.load(run / "calibration.json")
    entry = calibration.threshold("vis", "nir", 0.1)
    card = card_of("adapter", evaluations, calibration=calibration)
    assert f"| nir, vis | development subjects | 10 % | {entry.threshold:.4f} |" in card
    assert "flatter" not in card
    assert not PLACEHOLDER.search(card)


def test_reports_of_other_weights_are_refused(reports: dict[str, Path]) -> None:
    base, _ = fingerprints(reports)
    with pytest.raises(InputError, match=r"after\.json reports on other weights"):
        collect_evidence(read_reports([reports["after"]]), base, base)


def test_the_bases_figures_are_not_passed_off_as_the_adapters(reports: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="measures the base"):
        evidence(reports, "before")


def test_a_repeated_report_is_refused(reports: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="repeats"):
        evidence(reports, "after", "after")


def test_files_without_a_report_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"metrics": 1}')
    with pytest.raises(InputError, match="no evaluation report"):
        read_reports([tmp_path / "x.json"])
    with pytest.raises(InputError, match="does not exist"):
        read_reports([tmp_path / "y.json"])


def test_local_paths_stay_local(reports: dict[str, Path], evaluations: list[Evaluation], tiny_pairs: Path) -> None:
    assert str(tiny_pairs) in reports["after"].read_text()
    assert str(tiny_pairs.parent) not in card_of("adapter", evaluations)


HOSTILE = [
    "<script>alert(1)</script>", "x\n---\nlicense: mit\n---", "](javascript:alert(1))", "a | b | c", "`rm -rf ~`",
    "{{ 7 * 7 }}{% raw %}", '"quoted": [yaml', "# heading\n## another", "<img src=x onerror=alert(1)>", "a: b\n- c",
]  # fmt: skip


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60)))
@settings(max_examples=60)
def test_hostile_text_stays_text(text: str) -> None:
    calm = card_of("adapter", [], data="words")
    card = card_of("adapter", [], text, data=text or "-", adapter={**ADAPTER, "target_modality": text})
    assert front_matter(card) == front_matter(calm)
    assert len(card.splitlines()) == len(calm.splitlines())
    for mark in ("<script", "<img", "](", "{{", "{%"):
        assert card.count(mark) <= calm.count(mark)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        line for line in calm.splitlines() if line.startswith("#")
    ]


@given(st.text(max_size=80))
def test_plain_text_is_one_line_without_markup(text: str) -> None:
    result = plain(text)
    assert not set("<>`|{}\n\r") & set(result)
    assert len(result.splitlines()) <= 1
