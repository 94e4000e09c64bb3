"""Training: pairs, subject-disjoint folds, one network a channel, the same bits after a break, and what it gains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from transformers import AutoModel

from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError
from hf_crossspec.methods.hallucination import config
from hf_crossspec.methods.hallucination.apply import hallucinate_pixels, load_hallucinator
from hf_crossspec.methods.hallucination.auto import CrossSpectralHallucinator
from hf_crossspec.methods.hallucination.configuration_hallucination import CHANNELS, VARIANTS
from hf_crossspec.methods.hallucination.pairs import load_pairs, pair_pictures, subject_folds
from hf_crossspec.methods.hallucination.patches import MiningSettings, mine_patches
from hf_crossspec.methods.hallucination.quality import psnr, ssim
from hf_crossspec.methods.hallucination.train import (
    PairBatches,
    channel_of,
    load_training_and_evaluation,
    train_hallucinator,
)
from tests.conftest import simulated_pairs
from tests.methods.hallucination.conftest import arguments


def test_unseen_subjects_are_nearer_to_the_truth_than_the_replicated_picture(
    spectral: Path, hallucinator: Path
) -> None:
    pairs = load_pairs(spectral, "test", "nir-sim")
    made = hallucinate_pixels(load_hallucinator(hallucinator), list(pairs.pictures.float()), alpha=0)
    truth = pairs.visible.permute(0, 2, 3, 1).numpy()
    replicated = pairs.pictures.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    before, after = (np.mean([psnr(*both) for both in zip(side, truth, strict=True)]) for side in (replicated, made))
    assert after > before + 2


def test_the_folder_is_a_model_folder_with_a_record(spectral: Path, hallucinator: Path) -> None:
    model = AutoModel.from_pretrained(hallucinator)
    assert isinstance(model, CrossSpectralHallucinator)
    assert model.config.input_mean is None
    record = json.loads((hallucinator / "result.json").read_text())
    assert len(record["trained_subjects"]) == 9
    for name in ("y", "cb", "cr"):
        entries = [json.loads(line) for line in (hallucinator / name / "log.jsonl").read_text().splitlines()]
        errors = [entry["evaluation"]["mse"] for entry in entries if "evaluation" in entry]
        assert record["channels"][name]["best"]["value"] == min(errors)
        assert sum("loss" in entry for entry in entries) == 36


def test_folds_share_no_subject(spectral: Path, tmp_path: Path) -> None:
    subjects = np.array([f"s{number:02d}" for number in (3, 1, 1, 0, 2, 4, 5, 6, 6, 3)])
    folds = subject_folds(subjects, 3)
    for name in set(subjects):
        assert len(set(folds[subjects == name])) == 1
    assert {name: int(folds[subjects == name][0]) for name in ("s00", "s03", "s06")} == {"s00": 0, "s03": 1, "s06": 2}
    seen = []
    for fold in range(4):
        training, evaluation = load_training_and_evaluation(arguments(spectral, tmp_path, fold=fold))
        assert not set(training.subjects) & set(evaluation.subjects)
        seen += sorted(set(evaluation.subjects))
    assert len(seen) == len(set(seen)) == 12
    with pytest.raises(InputError, match="12 evaluation subjects are also trained on"):
        train_hallucinator(arguments(spectral, tmp_path / "run", eval_data=str(spectral), eval_split="train"))
    with pytest.raises(InputError, match="cannot be split into 13 folds"):
        train_hallucinator(arguments(spectral, tmp_path / "run", folds=13))


def test_an_interrupted_run_ends_in_the_same_bits(
    spectral: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"epochs": 3, "evaluate_every": 1, "checkpoint_every": 2}
    train_hallucinator(arguments(spectral, tmp_path / "whole", **short))
    original = PairBatches.__getitem__

    def break_off(batches: PairBatches, number: int) -> dict[str, torch.Tensor]:
        if batches.channel == "cb" and number == 5:
            raise KeyboardInterrupt
        return original(batches, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PairBatches, "__getitem__", break_off)
        train_hallucinator(arguments(spectral, tmp_path / "cut", **short))
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    with pytest.raises(InputError, match="holds another run"):
        train_hallucinator(arguments(spectral, tmp_path / "cut", **short))
    torch.manual_seed(12345)
    train_hallucinator(arguments(spectral, tmp_path / "cut", resume=True, **short))
    for name in ("model.safetensors", "config.json", "y/log.jsonl", "cb/log.jsonl", "cr/log.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((tmp_path / "cut" / "cb" / "result.json").read_text())["steps_run"] == 5  # of 9


def test_channels_can_be_trained_one_by_one(spectral: Path, tmp_path: Path) -> None:
    for names, complete in (("cb", False), ("y,cr", True)):
        result = train_hallucinator(arguments(spectral, tmp_path / "parts", channels=names, epochs=1))
        assert (result.model_dir is not None) == complete
    train_hallucinator(arguments(spectral, tmp_path / "whole", epochs=1))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("parts", "whole")]
    assert weights[0] == weights[1]
    train_hallucinator(arguments(spectral, tmp_path / "mixed", channels="y,cb", epochs=1))
    with pytest.raises(InputError, match="differ in training_sha256"):
        train_hallucinator(arguments(spectral, tmp_path / "mixed", channels="cr", epochs=1, fold=0))


def test_mined_patches_train_a_network_that_normalises(spectral: Path, tmp_path: Path) -> None:
    mine_patches(spectral, tmp_path / "patches", "nir-sim", "train", MiningSettings(stride=12))
    patches = load_pairs(tmp_path / "patches", None, "nir-sim")
    assert patches.patches
    assert patches.pictures.shape[1:] == (1, 20, 20)
    assert patches.visible.shape == (len(patches), 3, 20, 20)
    batch = PairBatches(patches, "y", arguments(spectral, tmp_path))[3]
    assert batch["picture"].shape == batch["target"].shape == (8, 1, 20, 20)
    train_hallucinator(arguments(tmp_path / "patches", tmp_path / "run", epochs=1, batch_size=64))
    assert patches.reference is not None
    config = AutoModel.from_pretrained(tmp_path / "run").config
    assert config.input_mean == pytest.approx(patches.reference[0] / 127.5 - 1)
    assert config.input_std == pytest.approx(patches.reference[1] / 127.5)
    with pytest.raises(InputError, match="patches of nir-sim, not of thermal"):
        load_pairs(tmp_path / "patches", None, "thermal")


def test_pairs_are_of_one_subject_and_session(spectral: Path) -> None:
    faces = load_faces(spectral, "train")
    for visible, other in pair_pictures(faces, "nir-sim").tolist():
        rows = faces[visible], faces[other]
        assert [row["modality"] for row in rows] == ["vis", "nir-sim"]
        assert rows[0]["subject_id"] == rows[1]["subject_id"]
        assert rows[0]["session"] == rows[1]["session"]
    with pytest.raises(InputError, match="several vis pictures of one session"):
        pair_pictures(load_faces(simulated_pairs(range(2))), "nir")  # no column session
    assert len(pair_pictures(load_faces(simulated_pairs(range(3), images=1)), "nir")) == 3


def test_batches_show_every_pair_once_an_epoch_cropped_alike(spectral: Path, tmp_path: Path) -> None:
    pairs = load_pairs(spectral, "train", "nir-sim")
    assert len(pairs) == 24
    whole = PairBatches(pairs, "y", arguments(spectral, tmp_path, picture_crop=None))
    batches = [whole[number] for number in range(whole.per_epoch)]
    means = torch.cat([batch["picture"] for batch in batches]).mean(dim=(1, 2, 3))  # mirrored or not
    expected = (pairs.pictures.float() / 127.5 - 1).mean(dim=(1, 2, 3))
    torch.testing.assert_close(means.sort().values, expected.sort().values)
    cropped = PairBatches(pairs, "cr", arguments(spectral, tmp_path))
    batch = cropped[4]
    assert all(torch.equal(batch[name], cropped[4][name]) for name in batch)
    targets = channel_of(pairs.visible, "cr")
    inputs = pairs.pictures.float() / 127.5 - 1
    found = 0
    for picture, target in zip(batch["picture"], batch["target"], strict=True):
        for flipped in (False, True):
            window, truth = (each.flip(2) if flipped else each for each in (picture, target))
            places = (inputs.unfold(2, 32, 1).unfold(3, 32, 1)[:, 0, :, :, 0, :4] == window[0, 0, :4]).all(dim=3)
            for number, row, column in places.nonzero().tolist():
                place = np.s_[number, :, row : row + 32, column : column + 32]
                if torch.equal(inputs[place], window):
                    assert torch.equal(targets[place], truth)
                    found += 1
    assert found >= len(batch["picture"])


def test_quality_as_scikit_image_measures_it() -> None:
    generator = np.random.default_rng(0)
    for shape in ((40, 33), (48, 40, 3)):
        truth = generator.integers(0, 256, shape, dtype=np.uint8)
        picture = np.clip(truth + generator.normal(scale=30, size=shape), 0, 255).astype(np.uint8)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        channels = {"channel_axis": 2} if len(shape) == 3 else {}
        assert ssim(picture, truth) == pytest.approx(structural_similarity(picture, truth, **options, **channels))
        assert psnr(picture, truth) == pytest.approx(peak_signal_noise_ratio(truth, picture))
    assert psnr(truth, truth) == float("inf")
    assert ssim(truth, truth) == pytest.approx(1)


def test_the_arguments_know_the_networks() -> None:
    assert set(config.NETWORKS) == set(VARIANTS)
    assert config.CHANNELS == CHANNELS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "large"}, "unknown networks 'large': choose one of paper, small"),
        ({"channels": "y,u"}, "channels must be of y, cb, cr"),
        ({"channels": ""}, "channels must be of"),
        ({"fold": 4}, "fold must lie in 0 ... 3"),
        ({"picture_crop": 4}, "picture_crop must be at least 8"),
        ({"modality": "thermal"}, "no picture has the modality 'thermal'"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(spectral: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_hallucinator(arguments(spectral, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_foreign_folder_is_not_touched(spectral: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        train_hallucinator(arguments(spectral, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
