"""Fixtures that many tests share: a tiny EdgeFace, tiny simulated pairs, and the real data where they are present."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, Value
from hypothesis import settings
from peft import get_peft_model
from PIL import Image as PILImage
from scipy.ndimage import gaussian_filter

from hf_crossspec import (
    EdgeFaceConfig,
    EdgeFaceImageProcessor,
    EdgeFaceModel,
    convert_checkpoint,
    prepare_pictures,
    selective_tuning_config,
)
from tests.local_hub.fixture import local_hub  # noqa: F401

# A busy machine must not fail a test, and a failing example must fail for everyone.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real weights and pictures, which are not part of the project."""
    folder = Path(os.environ.get("CROSSSPEC_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set CROSSSPEC_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def xxs(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published EdgeFace-xxs, converted."""
    folder = tmp_path_factory.mktemp("models") / "xxs"
    convert_checkpoint(real_data / "weights" / "edgeface_xxs_q.pt", folder, "cc-by-nc-sa-4.0")
    return folder


@pytest.fixture(scope="session")
def cufs(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CUFS student photos and sketches, aligned by their common eye positions; splits train and test."""
    folder = tmp_path_factory.mktemp("data") / "cufs"
    prepare_pictures(real_data / "cufs_cuhk_student", folder, ("train", "test"), eyes=[[75, 125], [125, 125]])
    return folder


def tiny_config(**changes: object) -> EdgeFaceConfig:
    """An EdgeFace of about 40,000 parameters whose layer scales let every block matter."""
    sizes = {"dims": [8, 16, 24, 32], "depths": [1, 2, 1, 1], "heads": [2, 2, 2, 2], "embedding_size": 32}
    return EdgeFaceConfig(**{**sizes, "layer_scale_init": 0.5, "initializer_range": 0.2, **changes})


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny EdgeFace with random weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    EdgeFaceModel(tiny_config()).save_pretrained(folder)
    EdgeFaceImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter whose weights moved away from the base's."""
    folder = tmp_path_factory.mktemp("adapters") / "moved"
    model = get_peft_model(EdgeFaceModel.from_pretrained(tiny_base), selective_tuning_config())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    model.save_pretrained(folder)
    return folder


def simulated_pairs(subjects: range, images: int = 2, seed: int = 0) -> Dataset:
    """Simulated pairs: smooth random patterns per subject (vis) and their green channel alone (nir)."""
    rows = []
    for subject in subjects:
        generator = np.random.default_rng([seed, subject])
        pattern = gaussian_filter(generator.normal(size=(112, 112, 3)), (9, 9, 0)) * 1500 + 128
        for image in range(images):
            noise = np.random.default_rng([seed, subject, image]).normal(scale=12, size=pattern.shape)
            vis = np.clip(pattern + noise, 0, 255).astype(np.uint8)
            nir = vis[:, :, 1]
            for modality, pixels in (("vis", vis), ("nir", nir)):
                rows.append(
                    {
                        "image": PILImage.fromarray(pixels),
                        "subject_id": f"s{subject:03d}",
                        "modality": modality,
                        "key": f"s{subject:03d}_{image}_{modality}",
                    }
                )
    text = Value("string")
    return Dataset.from_list(
        rows, features=Features({"image": Image(), "subject_id": text, "modality": text, "key": text})
    )


SKETCHED = {"train": range(6), "test": range(50, 54)}


def write_sketch_pictures(folder: Path, splits: dict[str, range] = SKETCHED) -> None:
    """Simulated photos and sketches of 200 x 250 as `imagefolder`; the splits are given by their subjects."""
    for split, subjects in splits.items():
        (folder / split).mkdir(parents=True)
        with (folder / split / "metadata.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", "subject_id", "modality"])
            for number, row in enumerate(simulated_pairs(subjects, images=1)):
                row["image"].resize((200, 250)).save(folder / split / f"{number}.png")
                writer.writerow([f"{number}.png", row["subject_id"], row["modality"].replace("nir", "sketch")])


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated pairs on disk: 12 subjects to train on, 8 others to test on."""
    folder = tmp_path_factory.mktemp("data") / "pairs"
    folder.mkdir()
    simulated_pairs(range(12)).to_parquet(str(folder / "train-00000-of-00001.parquet"))
    simulated_pairs(range(100, 108)).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    return folder


def write_visible_pairs(folder: Path) -> None:
    """Visible pictures of 16 strangers (lfw.parquet) and pairs of them in folds 0 to 3 (pairs.csv), as LFW has them."""
    photos = simulated_pairs(range(200, 216)).filter(lambda row: row["modality"] == "vis")
    photos.to_parquet(str(folder / "lfw.parquet"))
    rows = ["fold,key1,key2,same"]
    for number, subject in enumerate(range(200, 216)):
        other = 200 + (number + 1) % 16
        rows.append(f"{number % 4},s{subject}_0_vis,s{subject}_1_vis,1")
        rows.append(f"{number % 4},s{subject}_0_vis,s{other}_1_vis,0")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
