"""`crossspec verify`, `enroll` and `identify` on raw and aligned pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Runner, assert_refused

Crops = dict[str, list[Path]]


def test_enroll_identify_remove(
    crossspec: Runner,
    tiny_base: Path,
    adapters: dict[str, Path],
    crops: Crops,
    tmp_path: Path,
) -> None:
    people = tmp_path / "people"
    for path in crops["vis"]:
        (people / path.name[:4]).mkdir(parents=True, exist_ok=True)
        (people / path.name[:4] / path.name).write_bytes(path.read_bytes())
    (people / "s000" / "broken.jpg").write_text("no picture")
    gallery, model = tmp_path / "gallery", ("--model", tiny_base, "--adapter", adapters["nir"], "--aligned")
    code, output, errors = crossspec("enroll", gallery, people, *model, "--json", tmp_path / "out.json")
    assert code == 0, errors
    assert "6 subjects enrolled with 12 pictures; 6 in" in output
    assert "skipped: " in output and "broken.jpg" in output
    assert json.loads((tmp_path / "out.json").read_text())["enrolled"] == {f"s{number:03d}": 2 for number in range(6)}

    asked = ("identify", gallery, *crops["vis"][:2], *model, "--top-k", 2, "--threshold", 0.9)
    code, output, errors = crossspec(*asked, "--json", tmp_path / "out.json")
    assert code == 0, errors
    assert "match 2, no match 0, uncertain 0, no usable face 0" in output
    first, second = json.loads((tmp_path / "out.json").read_text())["probes"].values()
    assert [first["candidates"][0]["subject_id"], second["candidates"][0]["subject_id"]] == ["s000", "s000"]
    assert len(first["candidates"]) == 2 and first["enrolled"] == 6

    code, output, _ = crossspec("enroll", gallery, "--remove", "s000")
    assert (code, "5 subjects left" in output) == (0, True)
    crossspec(*asked, "--json", tmp_path / "out.json")
    first, _ = json.loads((tmp_path / "out.json").read_text())["probes"].values()
    assert first["candidates"][0]["subject_id"] != "s000"
    assert_refused(crossspec("enroll", gallery, "--remove", "s000"), "'s000' is not enrolled")
    other = ("--model", tiny_base, "--aligned")
    assert_refused(crossspec("identify", gallery, crops["vis"][0], *other), "was made with")
    assert_refused(crossspec("identify", tmp_path / "none", crops["vis"][0], *other), "there is no gallery")
    assert_refused(crossspec("identify", gallery, tmp_path / "missing.png", *model), "no probe has a usable face")


def test_usage_errors(
    crossspec: Runner,
    tiny_base: Path,
    adapters: dict[str, Path],
    crops: Crops,
    tmp_path: Path,
) -> None:
    pictures, model = crops["vis"][:2], ("--model", tiny_base, "--aligned")
    gallery = tmp_path / "gallery"
    assert_refused(crossspec("enroll", gallery, *pictures, *model), "say whom a picture shows with --subject")
    assert_refused(crossspec("enroll", gallery, *pictures), "enrolling needs --model and pictures")
    assert_refused(crossspec("enroll", gallery, pictures[0], "--remove", "x"), "give it alone")
    assert not gallery.exists()
    assert_refused(crossspec("verify", *pictures, *model, "--modalities", "vis"), "--modalities needs two names")
    mixed = ("--adapter", adapters["nir"], "--adapter", f"nir={adapters['nir']}")
    assert_refused(crossspec("verify", *pictures, *model, *mixed), "--adapter MODALITY=ADAPTER")
    several = [value for name, path in adapters.items() for value in ("--adapter", f"{name}={path}")]
    asked = ("verify", *pictures, *model, *several, "--modalities")
    assert_refused(crossspec(*asked, "nir,thermal"), "have an adapter each")
    assert crossspec(*asked, "vis,nir", "--threshold", 0.5)[0] == 0


@pytest.mark.slow
def test_raw_photographs(
    crossspec: Runner,
    xxs: Path,
    yunet_file: Path,
    sample: list[Path],
    tmp_path: Path,
) -> None:
    model = ("--model", xxs, "--detector-path", yunet_file, "--threshold", 0.35)
    code, output, errors = crossspec("verify", *sample[:2], *model)
    assert code == 0, errors
    assert ": match (at or above the threshold 0.3500)" in output
    assert ": no match (below" in crossspec("verify", sample[0], sample[2], *model)[1]
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "blank.png")
    outcome = crossspec("verify", sample[0], tmp_path / "blank.png", *model, "--json", tmp_path / "out.json")
    assert_refused(outcome, "blank.png: no face")
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["score"], result["decision"], result["failures"][0]["reason"]) == (None, "uncertain", "no_face")
