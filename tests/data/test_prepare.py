"""Preparing pictures: aligned, complete, labels kept, nothing half-written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from hf_crossspec import InputError, load_faces, prepare_pictures
from hf_crossspec.data.images import decode_image
from hf_crossspec.faces.alignment import align_face

EYES = [[75.0, 125.0], [125.0, 125.0]]


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (250, 200, 3), dtype=np.uint8))


def folder_of(path: Path, broken: bool = False) -> Path:
    for split in ("train", "test"):
        (path / split).mkdir(parents=True)
        with (path / split / "metadata.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", "subject_id", "modality", "camera"])
            for number in range(3):
                picture(number).save(path / split / f"{number}.png")
                writer.writerow([f"{number}.png", f"{split}{number}", "vis", "left"])
        if broken:
            (path / split / "1.png").write_bytes(b"broken")
    return path


def test_every_split_is_aligned_and_keeps_its_columns(tmp_path: Path) -> None:
    report = prepare_pictures(folder_of(tmp_path / "raw"), tmp_path / "out", ("train", "test"), EYES)
    assert {name: split.kept for name, split in report.items()} == {"train": 3, "test": 3}
    faces = load_faces(tmp_path / "out", "test")
    assert faces["subject_id"][:] == ["test0", "test1", "test2"]
    assert faces["camera"][:] == ["left"] * 3
    for number, row in enumerate(faces):
        expected = align_face(picture(number), np.array(EYES))
        assert np.array_equal(np.asarray(decode_image(row["image"])), np.asarray(expected))


def test_landmarks_of_each_picture_are_used(tmp_path: Path) -> None:
    points = [[[70.0, 120.0], [120.0, 121.0]], [[80.0, 125.0], [130.0, 120.0]]]
    rows = {
        "image": [picture(0), picture(1)],
        "subject_id": ["a", "b"],
        "modality": ["nir", "nir"],
        "landmarks": points,
    }
    Dataset.from_dict(rows).save_to_disk(str(tmp_path / "raw"))
    prepare_pictures(tmp_path / "raw", tmp_path / "out")
    for number, row in enumerate(load_faces(tmp_path / "out")):
        expected = align_face(picture(number), np.array(points[number]))
        assert np.array_equal(np.asarray(decode_image(row["image"])), np.asarray(expected))


def test_bad_pictures_stop_it_or_are_counted(tmp_path: Path) -> None:
    raw = folder_of(tmp_path / "raw", broken=True)
    with pytest.raises(InputError, match=r"1\.png: not readable.*--skip-bad"):
        prepare_pictures(raw, tmp_path / "out", ("train",), EYES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    report = prepare_pictures(raw, tmp_path / "out", ("train",), EYES, skip_bad=True)
    assert (report["train"].kept, len(report["train"].skipped)) == (2, 1)


def test_no_landmarks_anywhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--eyes"):
        prepare_pictures(folder_of(tmp_path / "raw"), tmp_path / "out", ("train",))


def test_an_occupied_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        prepare_pictures(folder_of(tmp_path / "raw"), tmp_path / "out", ("train",), EYES)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
