"""`prepare pictures --detect`: a folder of raw pictures, some of them bad, becomes a data set and an honest count."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage

from hf_crossspec import InputError, load_faces, prepare_pictures
from hf_crossspec.data.images import decode_image
from tests.cli.conftest import Runner, assert_refused, crossspec  # noqa: F401
from tests.faces.conftest import ToldDetector, face_at
from tests.faces.test_acquisition import HEIC, JPEG, huge_png

DAMAGED = {"text.jpg": b"a letter", "half.jpg": JPEG[: len(JPEG) // 2], "bomb.png": huge_png(), "phone.heic": HEIC}


def write_metadata(folder: Path, names: list[str]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "subject_id", "modality"])
        writer.writerows([name, name.split(".")[0], "vis"] for name in names)


def test_detection_where_there_are_no_landmarks(tmp_path: Path) -> None:
    pictures = [PILImage.fromarray(np.random.default_rng(n).integers(0, 256, (90, 90), dtype=np.uint8)) for n in (0, 1)]
    own = face_at(40, 40, 50).landmarks.tolist()
    rows = {"image": pictures, "subject_id": ["a", "b"], "modality": ["nir"] * 2, "landmarks": [own, None]}
    Dataset.from_dict(rows).save_to_disk(str(tmp_path / "raw"))
    detector = ToldDetector((face_at(45, 45, 60), face_at(20, 20, 30)))
    report = prepare_pictures(tmp_path / "raw", tmp_path / "out", detector=detector)["train"]
    assert (report.kept, report.several_faces, len(detector.seen)) == (2, 1, 1)
    assert "landmarks" not in load_faces(tmp_path / "out").column_names


def test_failures_are_counted_by_reason_or_stop_it(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(29_000, 31_000, (80, 80)).astype(np.uint16)
    PILImage.fromarray(deep).save(tmp_path / "deep.tiff")
    PILImage.new("L", (1, 1)).save(tmp_path / "one.png")
    contents = [(tmp_path / "deep.tiff").read_bytes(), (tmp_path / "one.png").read_bytes(), *DAMAGED.values(), b""]
    rows = [
        {"image": {"bytes": content, "path": None}, "subject_id": "a", "modality": "thermal", "key": f"key{number}"}
        for number, content in enumerate(contents)
    ]
    text = Value("string")
    features = Features({"image": Image(), "subject_id": text, "modality": text, "key": text})
    Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "raw.parquet"))
    detector = ToldDetector((face_at(40, 40, 50),))
    with pytest.raises(InputError, match=r"key1: 1 x 1 .*--skip-bad"):
        prepare_pictures(tmp_path / "raw.parquet", tmp_path / "out", detector=detector)
    assert not (tmp_path / "out").exists()
    report = prepare_pictures(tmp_path / "raw.parquet", tmp_path / "out", skip_bad=True, detector=detector)["train"]
    assert report.kept == 1
    assert dict(report.reasons) == {"too_small": 1, "unreadable": 5}
    assert len(report.skipped) == 6
    (row,) = load_faces(tmp_path / "out")
    crop = np.asarray(decode_image(row["image"]))
    assert crop.dtype == np.uint8
    assert crop.std() > 40


def test_not_one_face(tmp_path: Path) -> None:
    rows = {"image": [PILImage.new("L", (90, 90))] * 2, "subject_id": ["a", "b"], "modality": ["thermal"] * 2}
    Dataset.from_dict(rows).save_to_disk(str(tmp_path / "raw"))
    with pytest.raises(InputError, match="no usable picture in split train: no_face 2"):
        prepare_pictures(tmp_path / "raw", tmp_path / "out", skip_bad=True, detector=ToldDetector())
    assert not (tmp_path / "out").exists()


def test_the_command(crossspec: Runner, yunet_file: Path, sample: list[Path], tmp_path: Path) -> None:  # noqa: F811
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in (*sample[:2], sample[9]):  # two people, the third picture with bystanders
        shutil.copyfile(path, raw / path.name)
    for name in ("text.jpg", "half.jpg"):
        (raw / name).write_bytes(DAMAGED[name])
    PILImage.effect_noise((200, 200), 60).save(raw / "noise.png")
    write_metadata(raw, sorted(path.name for path in raw.iterdir()))
    arguments = ("prepare", "pictures", raw, tmp_path / "out", "--detect", "--detector-path", yunet_file)
    assert_refused(crossspec(*arguments), "or leave bad pictures out with --skip-bad")
    code, output, errors = crossspec(*arguments, "--skip-bad")
    assert (code, errors) == (0, "")
    assert "train: 3 faces aligned, 3 skipped" in output
    assert "several faces, of which the most prominent was taken: 1" in output
    assert "failures to acquire: unreadable 2, no_face 1" in output
    assert {decode_image(row["image"]).size for row in load_faces(tmp_path / "out")} == {(112, 112)}


def test_options_that_contradict(crossspec: Runner, tmp_path: Path) -> None:  # noqa: F811
    place = ("prepare", "pictures", tmp_path, tmp_path / "out")
    assert_refused(crossspec(*place, "--detect", "--eyes", "1,2,3,4"), "give one of them")
    assert_refused(crossspec(*place, "--detector-path", "x.onnx"), "--detector-path needs --detect")
    assert_refused(crossspec(*place, "--detect", "--detector-path", "x.onnx"), "x.onnx does not exist")
