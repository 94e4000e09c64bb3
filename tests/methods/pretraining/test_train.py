"""Pretraining from random weights: it learns, resumes to the same bits, and leaves an ordinary model folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from scipy.ndimage import gaussian_filter
from transformers import AutoImageProcessor, AutoModel

import hf_crossspec
from hf_crossspec import EdgeFaceModel, InputError, evaluate_model
from hf_crossspec.data.pixels import FaceSet
from hf_crossspec.data.synthetic import load_spectralfaces
from hf_crossspec.methods.pretraining.train import (
    NETWORKS,
    PictureBatches,
    PretrainingArguments,
    network_config,
    pretrain,
)
from tests.conftest import simulated_pairs, tiny_config

NANO = Path(hf_crossspec.__file__).parent / "assets" / "edgeface-nano"


def hidden_patterns(subjects: range, images: int = 4) -> Dataset:
    """A smooth pattern per subject in the colours, under a stronger one per picture in the brightness."""
    rows = []
    for subject in subjects:
        own = smooth([subject])
        for image in range(images):
            other = 1.5 * smooth([subject, image])
            pixels = np.stack([other + own, other - own, other], axis=-1) + 128
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            rows.append({"image": picture, "subject_id": f"s{subject:03d}", "modality": "vis"})
    return Dataset.from_list(rows)


def smooth(seed: list[int]) -> np.ndarray:
    """A random pattern (112, 112) with standard deviation near 30."""
    return gaussian_filter(np.random.default_rng([7, *seed]).normal(size=(112, 112)), 9) * 960


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 24 subjects to train on and 16 others, and the configuration of a tiny network."""
    folder = tmp_path_factory.mktemp("data")
    hidden_patterns(range(24)).to_parquet(str(folder / "train.parquet"))
    hidden_patterns(range(100, 116)).to_parquet(str(folder / "test.parquet"))
    tiny_config().save_pretrained(folder)
    return folder


def arguments(faces: Path, output: Path, **changes: object) -> PretrainingArguments:
    defaults = {"epochs": 12, "batch_size": 16, "learning_rate": 5e-3, "scale": 16.0, "checkpoint_every": 3}
    files = {"data": str(faces / "train.parquet"), "config": str(faces), "output_dir": str(output)}
    return PretrainingArguments(**{**defaults, **files, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    evaluation = {"eval_data": str(faces / "test.parquet"), "evaluate_every": 1, "grey": 0.0}
    result = pretrain(arguments(faces, folder, weights_license="apache-2.0", weights_source="a test", **evaluation))
    assert (result.model_dir, result.subjects, result.pictures, result.steps) == (folder, 24, 96, 72)
    assert result.parameters == EdgeFaceModel(tiny_config()).num_parameters()
    return folder


def evaluations(folder: Path) -> list[float]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry["evaluation"]["eer"] for entry in entries if "evaluation" in entry]


def test_unseen_subjects_are_recognised_better(run: Path, faces: Path, tmp_path: Path) -> None:
    random = pretrain(arguments(faces, tmp_path / "random", epochs=1, learning_rate=1e-9)).model_dir
    sides = {"gallery_modality": "vis", "probe_modality": "vis"}
    before, _ = evaluate_model(random, faces / "test.parquet", **sides)  # type: ignore[arg-type]
    after, _ = evaluate_model(run, faces / "test.parquet", **sides)  # type: ignore[arg-type]
    errors = before["metrics"]["eer"]["value"], after["metrics"]["eer"]["value"]
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] == pytest.approx(min(evaluations(run)), abs=1e-9)  # the best is what is left in the folder


def test_the_folder_is_an_ordinary_model_folder(run: Path) -> None:
    model = AutoModel.from_pretrained(run)
    assert isinstance(model, EdgeFaceModel)
    assert (model.dtype, model.config.dims) == (torch.float32, tiny_config().dims)
    assert (model.config.weights_license, model.config.weights_source) == ("apache-2.0", "a test")
    pixels = AutoImageProcessor.from_pretrained(run)(np.zeros((112, 112, 3), np.uint8), return_tensors="pt")
    assert model(**pixels).embeddings.shape == (1, 32)
    assert {name.split(".")[0] for name in model.state_dict()} == {"net"}  # no classifier


def test_an_interrupted_run_ends_in_the_same_bits(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = {"eval_data": str(faces / "test.parquet"), "epochs": 3, "evaluate_every": 1}
    whole = pretrain(arguments(faces, tmp_path / "whole", **evaluation)).model_dir
    original = PictureBatches.__getitem__

    def break_off(batches: PictureBatches, number: int) -> dict[str, torch.Tensor]:
        if number == 7:
            raise KeyboardInterrupt
        return original(batches, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PictureBatches, "__getitem__", break_off)
        pretrain(arguments(faces, tmp_path / "cut", **evaluation))
    assert not (tmp_path / "cut" / "result.json").exists()
    torch.manual_seed(12345)
    cut = pretrain(arguments(faces, tmp_path / "cut", resume=True, **evaluation)).model_dir
    for name in ("model.safetensors", "config.json", "log.jsonl"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    steps = json.loads((cut / "result.json").read_text())["steps_run"]
    assert steps == 12  # of 18; the last checkpoint was at step 6


def test_every_epoch_shows_every_picture_once_and_processes_share_them(faces: Path, tmp_path: Path) -> None:
    count = 24
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 4, 4)
    names = np.array([f"s{row % 6}" for row in range(count)])
    args = arguments(faces, tmp_path, augment=False, grey=0.0, batch_size=4)
    parts = [PictureBatches(FaceSet(pixels, names, names), args, 2, rank) for rank in (0, 1)]
    assert parts[0].per_epoch == 3
    orders = []
    for epoch in (0, 1):
        batches = [part[3 * epoch + number] for number in range(3) for part in parts]
        seen = torch.cat([batch["pixel_values"][:, 0, 0, 0] for batch in batches])
        rows = ((seen + 1) * 127.5).round().long()
        assert sorted(rows.tolist()) == list(range(count))
        assert [f"s{code}" for code in torch.cat([batch["subjects"] for batch in batches])] == names[rows].tolist()
        orders.append(rows.tolist())
    assert orders[0] != orders[1]
    torch.testing.assert_close(parts[0][5], parts[0][5])


def test_some_pictures_lose_their_colours_and_only_those(faces: Path, tmp_path: Path) -> None:
    pixels = torch.randint(256, (40, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
    names = np.array([f"s{row}" for row in range(40)])
    kept, mixed, grey = (
        PictureBatches(FaceSet(pixels, names, names), arguments(faces, tmp_path, augment=False, grey=share), 1, 0)[0]
        for share in (0.0, 0.5, 1.0)
    )
    assert (grey["pixel_values"].amax(dim=1) == grey["pixel_values"].amin(dim=1)).all()
    luma = (kept["pixel_values"] * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=1)
    torch.testing.assert_close(grey["pixel_values"][:, 1], luma)
    same = (mixed["pixel_values"] == kept["pixel_values"]).flatten(1).all(dim=1)
    assert 0 < same.sum() < len(same)
    torch.testing.assert_close(mixed["pixel_values"][~same], grey["pixel_values"][~same])


def test_networks_by_name_size_and_file(faces: Path, tmp_path: Path) -> None:
    assert network_config(arguments(faces, tmp_path)).to_dict() == tiny_config().to_dict()
    nano = network_config(arguments(faces, tmp_path, config="nano", embedding_size=256))
    assert (nano.dims, nano.embedding_size) == (NETWORKS["nano"]["dims"], 256)
    wide = network_config(
        arguments(faces, tmp_path, config="xxs", dims="8,16,24,32", depths="1,1,1,1", heads="2,2,2,4")
    )
    assert (wide.dims, wide.depths, wide.heads) == ([8, 16, 24, 32], [1, 1, 1, 1], [2, 2, 2, 4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "tiny"}, "unknown network 'tiny': choose one of nano, xxs, xs, s, base"),
        ({"config": "nano", "dims": "8,16"}, "dims must be four positive whole numbers"),
        ({"dims": "8,16,x,32"}, "dims must be whole numbers separated by commas"),
        ({"heads": "3,3,3,3"}, "3 heads do not divide 8 channels"),
        ({"embedding_size": 0}, "embedding_size must be at least 1"),
        ({"margin_loss": "softmax"}, "unknown margin loss 'softmax'"),
        ({"margin": 2.0}, "margin must lie in"),
        ({"scale": -1.0}, "scale be positive"),
        ({"grey": 1.5}, "grey must lie in"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"modality": "thermal"}, "no picture has the modality 'thermal'; the data set has vis"),
        ({"data": "nowhere/at/all"}, "does not exist"),
    ],
)
def test_bad_arguments_are_refused(faces: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pretrain(arguments(faces, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_unusable_pictures_and_files_are_refused(faces: Path, tmp_path: Path) -> None:
    single, alone = tmp_path / "single.parquet", tmp_path / "alone.parquet"
    simulated_pairs(range(200, 203), images=1).to_parquet(str(single))
    simulated_pairs(range(200, 201)).to_parquet(str(alone))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    for changes, message in (
        ({"data": str(alone)}, "all pictures are of subject s200"),
        ({"eval_data": str(faces / "train.parquet")}, "24 evaluation subjects are also trained on"),
        ({"eval_data": str(single)}, "several pictures of some of them"),
        ({"eval_data": str(alone)}, "two subjects at least"),
        ({"config": str(tmp_path / "config.json")}, "not the configuration of an EdgeFace"),
    ):
        with pytest.raises(InputError, match=message):
            pretrain(arguments(faces, tmp_path / "run", **changes))
    with pytest.raises(InputError, match="cannot be resumed, the run differs in margin"):
        pretrain(arguments(faces, tmp_path / "done", epochs=1))
        pretrain(arguments(faces, tmp_path / "done", epochs=1, margin=0.1, resume=True))


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_spectralfaces("test", 100, 2, ("vis",), cache_dir=tmp_path_factory.mktemp("cache"))


def test_the_shipped_nano_recognises_unseen_spectral_faces(unseen: Dataset) -> None:
    files = {file.name for file in NANO.iterdir()}
    expected = {"README.md", "calibration.json", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert files == expected
    assert (NANO / "model.safetensors").stat().st_size <= 2e6
    model = AutoModel.from_pretrained(NANO)
    assert (model.dtype, model.config.weights_license) == (torch.float32, "apache-2.0")
    assert model.config.weights_source.startswith("SpectralFaces")
    assert model.num_parameters() <= 480_000
    result, _ = evaluate_model(NANO, unseen, gallery_modality="vis", probe_modality="vis")
    assert result["metrics"]["rank_1"]["value"] >= 0.9
    assert result["metrics"]["eer"]["value"] <= 0.05
