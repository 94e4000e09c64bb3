"""Every form of a data set loads to the same rows; wrong forms are refused in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, load_dataset

from hf_crossspec import EdgeFaceImageProcessor, InputError, load_faces
from hf_crossspec.data.images import decode_image
from hf_crossspec.data.pixels import FaceSet
from tests.conftest import simulated_pairs

ROWS = simulated_pairs(range(3), images=1)


def content(faces: Dataset) -> list[tuple[str, str, bytes]]:
    """Subject, modality and pixels of every row, sorted."""
    return sorted((row["subject_id"], row["modality"], decode_image(row["image"]).tobytes()) for row in faces)


EXPECTED = content(load_faces(ROWS))


def as_imagefolder(folder: Path) -> None:
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "subject_id", "modality"])
        for number, row in enumerate(ROWS):
            row["image"].save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", row["subject_id"], row["modality"]])


def as_paired_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["vis_file_name", "nir_file_name", "subject_id"])
        for subject in sorted(set(ROWS["subject_id"])):
            for row in ROWS:
                if row["subject_id"] == subject:
                    row["image"].save(folder / f"{subject}_{row['modality']}.png")
            writer.writerow([f"{subject}_vis.png", f"{subject}_nir.png", subject])


@pytest.mark.parametrize(
    "form", ["imagefolder", "paired folder", "parquet file", "parquet folder", "on disk", "memory"]
)
def test_all_forms_hold_the_same_rows(tmp_path: Path, form: str) -> None:
    source: object = tmp_path / "data"
    if form == "imagefolder":
        as_imagefolder(tmp_path / "data")
    elif form == "paired folder":
        as_paired_folder(tmp_path / "data")
    elif form == "parquet file":
        source = tmp_path / "rows.parquet"
        ROWS.to_parquet(str(source))
    elif form == "parquet folder":
        (tmp_path / "data").mkdir()
        ROWS.to_parquet(str(tmp_path / "data" / "train.parquet"))
    elif form == "on disk":
        DatasetDict({"train": ROWS}).save_to_disk(str(tmp_path / "data"))
    else:
        source = ROWS
    assert content(load_faces(source)) == EXPECTED  # type: ignore[arg-type]


def test_splits_are_chosen_by_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        as_imagefolder(tmp_path / "data" / split)
    assert content(load_faces(tmp_path / "data", "test")) == EXPECTED
    with pytest.raises(InputError, match="choose one of train, test"):
        load_faces(tmp_path / "data")
    with pytest.raises(InputError, match="no split 'dev'; there are train, test"):
        load_faces(tmp_path / "data", "dev")


def test_numbers_as_subjects_become_text() -> None:
    rows = ROWS.remove_columns("subject_id").add_column("subject_id", [7] * len(ROWS))
    assert set(load_faces(rows)["subject_id"]) == {"7"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.remove_columns("subject_id"), "no column subject_id"),
        (lambda rows: rows.remove_columns("modality"), "no column modality"),
        (lambda rows: rows.remove_columns("image"), "no picture column"),
        (lambda rows: rows.remove_columns("subject_id").add_column("subject_id", [None] * len(rows)), "6 rows have an"),
    ],
)
def test_rows_outside_the_schema_are_refused(change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_faces(change(ROWS))  # type: ignore[operator]


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("a,b\n")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    (tmp_path / "empty").mkdir()
    for name, message in [
        ("nothing here", "does not exist"),
        ("text.csv", "not a data set"),
        ("broken.parquet", "not readable"),
        ("empty", "not readable"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            load_faces(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_metadata_row_without_its_file_is_refused(tmp_path: Path) -> None:
    as_imagefolder(tmp_path / "data")
    (tmp_path / "data" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png: the file does not exist"):
        FaceSet.decode(load_faces(tmp_path / "data"), EdgeFaceImageProcessor())


def test_rows_are_what_datasets_itself_reads(tmp_path: Path) -> None:
    as_imagefolder(tmp_path / "data")
    plain = load_dataset("imagefolder", data_dir=str(tmp_path / "data"), split="train")
    assert len(plain) == len(EXPECTED)
