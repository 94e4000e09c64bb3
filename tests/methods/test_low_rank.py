"""A low-rank embedding from fit to use: through Python and the command line, refused where it does not belong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from hf_crossspec import (
    EdgeFaceConfig,
    EdgeFaceImageProcessor,
    EdgeFaceModel,
    FaceEmbedder,
    InputError,
    calibrate,
    evaluate_model,
    load_adapters,
)
from hf_crossspec.embedding import weights_fingerprint
from hf_crossspec.files import write_json
from hf_crossspec.hub.card import model_card
from hf_crossspec.methods.low_rank.config import LowRankArguments
from hf_crossspec.methods.low_rank.fit import FittedLowRank, best_iteration, fit_low_rank
from hf_crossspec.methods.low_rank.loading import LowRankConfig, LowRankEmbedding
from hf_crossspec.methods.low_rank.projection import projections
from hf_crossspec.recognition.network import build_network
from tests.conftest import simulated_pairs, tiny_config
from tests.local_hub.cards import check_card
from tests.local_hub.fixture import LocalHub

NIR = {"split": "test", "gallery_modality": "vis", "probe_modality": "nir"}


def arguments(model: Path, data: Path, output_dir: Path, **changes: object) -> LowRankArguments:
    given = LowRankArguments(model=str(model), data=str(data), target_modality="nir", output_dir=str(output_dir))
    return replace(given, **changes)


@pytest.fixture(scope="module")
def fitted(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> FittedLowRank:
    return fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path_factory.mktemp("low-rank") / "nir"))


def test_a_fit_is_on_record(fitted: FittedLowRank, tiny_base: Path) -> None:
    objectives = [entry["objective"] for entry in fitted.history]
    assert len(objectives) == fitted.iterations + 1
    assert sorted(objectives, reverse=True) == objectives
    assert (fitted.subjects, fitted.pictures) == (12, 48)
    assert fitted.validation is not None
    assert fitted.validation["folds"] == 5
    errors = [entry["eer"] for entry in fitted.validation["history"]]
    assert errors[fitted.validation["best"]] == min(errors)
    record = json.loads((fitted.output_dir / "result.json").read_text())
    assert len(record["trained_subjects"]) == 12  # those of the validation too: they chose the iterations
    assert "s000" not in str(record)
    config = LowRankConfig.from_pretrained(fitted.output_dir)
    assert (config.input_size, config.output_size, config.target_modality) == (32, 32, "nir")
    assert config.network_sha256 == FaceEmbedder.from_pretrained(tiny_base).describe()["weights_sha256"]


def test_the_saved_layer_is_the_fitted_map(fitted: FittedLowRank, tiny_base: Path, tiny_pairs: Path) -> None:
    """Every door gives the same embeddings: the fit's map, the embedder, and the network that recognition runs."""
    from hf_crossspec import load_faces

    plain = FaceEmbedder.from_pretrained(tiny_base)
    faces = load_faces(tiny_pairs, "train")
    found, subjects = plain.embed_dataset(faces), np.array(faces["subject_id"])
    chosen = arguments(tiny_base, tiny_pairs, fitted.output_dir)
    *_, last = (p for p in projections(found.values, subjects, chosen) if p.iterate.number <= fitted.iterations)
    whole = FaceEmbedder.from_pretrained(tiny_base, low_rank=fitted.output_dir)
    values = whole.embed_dataset(faces).values
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(values, last.apply(found.values), atol=1e-5)
    assert not np.allclose(values, found.values, atol=1e-2)
    picture = simulated_pairs(range(1))[0]["image"]
    pixels = torch.from_numpy(np.array(picture)[None])
    np.testing.assert_allclose(build_network(whole)(pixels), whole.embed_images([picture]), atol=1e-5)


def test_the_fingerprint_covers_it_and_is_the_networks_without(fitted: FittedLowRank, tiny_base: Path) -> None:
    plain = FaceEmbedder.from_pretrained(tiny_base)
    whole = FaceEmbedder.from_pretrained(tiny_base, low_rank=fitted.output_dir)
    assert plain.describe()["weights_sha256"] == weights_fingerprint(plain.model)
    assert plain.describe()["low_rank"] is None
    assert whole.describe()["low_rank"] == str(fitted.output_dir)
    assert whole.describe()["weights_sha256"] not in (
        plain.describe()["weights_sha256"],
        weights_fingerprint(whole.low_rank),
    )


def test_it_belongs_to_one_network(
    fitted: FittedLowRank, tiny_base: Path, tiny_pairs: Path, adapter: Path, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    EdgeFaceModel(tiny_config()).save_pretrained(tmp_path / "other")
    EdgeFaceImageProcessor().save_pretrained(tmp_path / "other")
    for model, its_adapter in ((tmp_path / "other", None), (tiny_base, adapter)):
        with pytest.raises(InputError, match="other weights: fit one for this model and adapter"):
            FaceEmbedder.from_pretrained(model, its_adapter, fitted.output_dir)
    own = fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path / "own", adapter=str(adapter), validation_folds=0))
    assert own.validation is None
    composed = FaceEmbedder.from_pretrained(tiny_base, adapter, own.output_dir)
    network = load_adapters(AutoModel.from_pretrained(tiny_base), {"nir": adapter})
    layer = LowRankEmbedding.from_pretrained(own.output_dir)
    pictures = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = layer(network(pixel_values=pictures).embeddings)
    np.testing.assert_allclose(composed.embed_batch(pictures), expected, atol=1e-5)


def test_fitted_subjects_are_refused(fitted: FittedLowRank, tiny_base: Path, tiny_pairs: Path) -> None:
    sides = {"gallery_modality": "vis", "probe_modality": "nir"}
    with pytest.raises(InputError, match="12 of the evaluated subjects were trained on"):
        evaluate_model(tiny_base, tiny_pairs, low_rank=fitted.output_dir, split="train", **sides)
    with pytest.raises(InputError, match="12 of the evaluated subjects were trained on"):
        calibrate(tiny_base, tiny_pairs, low_rank=fitted.output_dir, dev_split="train", fmrs=(0.1,), **sides)
    report, _ = evaluate_model(
        tiny_base, tiny_pairs, low_rank=fitted.output_dir, split="train", same_ids_are_others=True, **sides
    )
    assert report["counts"]["subject_ids_shared_with_training"] == 12
    made = calibrate(tiny_base, tiny_pairs, low_rank=fitted.output_dir, dev_split="test", fmrs=(0.1,), **sides)
    whole = FaceEmbedder.from_pretrained(tiny_base, low_rank=fitted.output_dir)
    assert made.weights_sha256 == whole.describe()["weights_sha256"]


def test_the_best_iteration_is_kept(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    """The papers' objective in short steps over-fits; validation ends it early and keeps the best."""
    assert [best_iteration(errors) for errors in ([3.0, 2.0, 2.0, 5.0], [0.0], [1.0, 4.0])] == [2, 0, 0]
    plain = {"shrinkage": 0.0, "proximal": 0.02, "iterations": 40, "validation_folds": 2, "patience": 3}
    made = fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path / "plain", **plain))
    assert made.validation is not None
    errors = [entry["eer"] for entry in made.validation["history"]]
    best = made.validation["best"]
    assert best == best_iteration(errors) == made.iterations
    assert len(errors) in (best + 1 + 3, 41)  # three more iterations were tried
    again = fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path / "again", **plain))
    assert again.history == made.history
    other = fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path / "other", **plain, seed=1))
    assert other.validation is not None
    assert other.validation["history"] != made.validation["history"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_modality": "vis"}, "must differ"),
        ({"target_modality": "thermal"}, "no picture has the modality 'thermal'"),
        ({"validation_folds": 7}, "12 subjects are too few for 7 validation folds"),
        ({"validation_folds": 1}, "must be 0, 2 or more"),
        ({"patience": 0}, "at least 1"),
        ({"split": "nowhere"}, "no split 'nowhere'"),
    ],
)
def test_unusable_arguments(
    tiny_base: Path, tiny_pairs: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_low_rank(arguments(tiny_base, tiny_pairs, tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


def test_only_subjects_seen_in_both_modalities_count(tiny_base: Path, tmp_path: Path) -> None:
    rows = simulated_pairs(range(3))
    keep = [i for i, row in enumerate(rows) if row["subject_id"] != "s002" or row["modality"] == "vis"]
    rows.select(keep).to_parquet(str(tmp_path / "three.parquet"))
    options = {"split": "train", "validation_folds": 0}
    made = fit_low_rank(arguments(tiny_base, tmp_path / "three.parquet", tmp_path / "new", **options))
    assert (made.subjects, made.pictures) == (2, 8)
    one = [i for i, row in enumerate(rows) if row["subject_id"] == "s000" or row["modality"] == "vis"]
    rows.select(one).to_parquet(str(tmp_path / "one.parquet"))
    with pytest.raises(InputError, match="two are the least"):
        fit_low_rank(arguments(tiny_base, tmp_path / "one.parquet", tmp_path / "other", **options))


@pytest.mark.parametrize("spoil", ["missing", "model", "broken", "short"])
def test_what_is_no_low_rank_embedding(fitted: FittedLowRank, tiny_base: Path, tmp_path: Path, spoil: str) -> None:
    folder, message = tmp_path / "spoilt", "not loadable"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((fitted.output_dir / name).read_bytes())
    if spoil == "missing":
        (folder / "model.safetensors").unlink()
        message = r"no model\.safetensors"
    elif spoil == "model":
        folder, message = tiny_base, "is a edgeface model, not a low-rank embedding"
    elif spoil == "broken":
        (folder / "config.json").write_text("{")
    else:
        (folder / "model.safetensors").write_bytes(b"0")
    with pytest.raises(InputError, match=message) as refusal:
        FaceEmbedder.from_pretrained(tiny_base, low_rank=folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_the_command_line(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    def crossspec(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hf_crossspec.cli", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    shared = ("--model", tiny_base, "--data", tiny_pairs)
    options = ("--target-modality", "nir", "--output-dir", tmp_path / "made", "--json", tmp_path / "fit.json")
    done = crossspec("lowrank", "fit", *shared, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fitted on 48 pictures of 12 subjects" in done.stdout
    assert json.loads((tmp_path / "fit.json").read_text())["arguments"]["shrinkage"] == 0.02
    sides = ("--gallery-modality", "vis", "--probe-modality", "nir", "--low-rank", tmp_path / "made")
    done = crossspec("evaluate", *shared, "--split", "test", *sides, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"]["low_rank"] == str(tmp_path / "made")
    refused = crossspec("evaluate", *shared, "--split", "train", *sides)
    assert refused.returncode == 2
    assert "error: 12 of the evaluated subjects were trained on" in refused.stderr


@pytest.mark.slow
def test_on_real_sketches_the_error_falls(xxs: Path, cufs: Path, tmp_path: Path) -> None:
    made = fit_low_rank(
        LowRankArguments(
            model=str(xxs),
            data=str(cufs),
            target_modality="sketch",
            output_dir=str(tmp_path / "made"),
            iterations=12,
            validation_folds=0,
        )
    )
    sides = {"split": "test", "gallery_modality": "vis", "probe_modality": "sketch"}
    before, after = (
        evaluate_model(xxs, cufs, low_rank=low_rank, **sides)[0]["metrics"] for low_rank in (None, made.output_dir)
    )
    assert 1 - after["rank_1"]["value"] < 0.6 * (1 - before["rank_1"]["value"])
    assert after["eer"]["value"] < before["eer"]["value"]


@pytest.mark.parametrize("adapter", [None, ("org/adapter", "0" * 40)])
def test_the_card_is_whole(adapter: tuple[str, str] | None) -> None:
    facts = {
        "source_modality": "vis", "target_modality": "nir", "shrinkage": 0.02, "validation_folds": 5, "seed": 0,
        "iterations": 9, "subjects": 88, "input_size": 512, "output_size": 512, "adapter": adapter,
    }  # fmt: skip
    base = ("org/base", "1" * 40)
    card = model_card("low-rank", "org/name", EdgeFaceConfig(), 1_244_744, "mit", [], base=base, low_rank=facts)
    assert check_card(card, "model") == ([], [])
    assert not re.search(r"\{\{|\}\}|\{%|\bNone\b|undefined", card)
    (snippet,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    compile(snippet, "card", "exec")
    assert ("PeftModel.from_pretrained" in snippet) == (adapter is not None)


@pytest.mark.slow
def test_published_and_fetched_with_and_without_the_package(
    fitted: FittedLowRank, tiny_base: Path, tiny_pairs: Path, local_hub: LocalHub, tmp_path: Path
) -> None:
    report, _ = evaluate_model(tiny_base, tiny_pairs, low_rank=fitted.output_dir, **NIR)
    write_json(tmp_path / "report.json", report)
    code = f"""
    import sys
    from hf_crossspec import FaceEmbedder, InputError
    from hf_crossspec.cli import main
    from hf_crossspec.hub.push import Destination, Statement, push_base, push_low_rank
    run, to = {str(fitted.output_dir)!r}, Destination("org/small-low-rank")
    push_base({str(tiny_base)!r}, Destination("org/small"), Statement(licence="cc-by-nc-sa-4.0"))
    for base, statement in (("org/small", Statement(licence="mit")), (None, Statement()), ("org/nowhere", Statement())):
        try:
            push_low_rank(run, to, base, statement=statement)
        except InputError as error:
            print("refused:", error)
    sys.argv = ["crossspec", "push", "low-rank", run, "--repo-id", to.repo_id, "--base", "org/small",
                "--report", "report.json", "--trained-on", "Simulated pairs; nobody is shown."]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code
    embedder = FaceEmbedder.from_pretrained("org/small", low_rank="org/small-low-rank@main")
    print(embedder.describe()["low_rank"], embedder.describe()["weights_sha256"])
    """
    done = local_hub.run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"org/small-low-rank@main {report['model']['weights_sha256']}" in done.stdout
    for refusal in ("cannot be published under mit", "publish it with `crossspec push base`", "org/nowhere is not on"):
        assert refusal in done.stdout
    files = local_hub.repo_files("model", "org/small-low-rank")
    assert files.keys() - {".gitattributes"} == {
        "README.md", "config.json", "model.safetensors", "configuration_low_rank.py", "modeling_low_rank.py",
    }  # fmt: skip
    assert not any(str(tmp_path.parents[1]).encode() in content for content in files.values())
    card = files["README.md"].decode()
    assert check_card(card, "model") == ([], [])
    for text in ("base_model: org/small", "license: cc-by-nc-sa-4.0", "Rank-1", "1611.06638", "nobody is shown"):
        assert text in card
    for name, row in zip(("one_face.png", "other_face.png"), simulated_pairs(range(9, 10)), strict=False):
        row["image"].save(tmp_path / name)
    (snippet,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    save = 'import torch; torch.save(embeddings, "values.pt")'
    done = local_hub.run(snippet + save, tmp_path, blocked=("hf_crossspec",))
    assert done.returncode == 0, done.stderr
    pictures = [row["image"] for row in simulated_pairs(range(9, 10))][:2]
    expected = FaceEmbedder.from_pretrained(tiny_base, low_rank=fitted.output_dir).embed_images(pictures)
    np.testing.assert_allclose(torch.load(tmp_path / "values.pt").detach(), expected, atol=1e-5)
