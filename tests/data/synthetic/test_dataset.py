"""SpectralFaces as a data set: schema, splits, alignment, files and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hf_crossspec.data.schema import load_faces
from hf_crossspec.data.synthetic import ATTRIBUTES, draw_identity, load_spectralfaces, write_spectralfaces
from hf_crossspec.errors import InputError


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def faces(cache):
    return load_spectralfaces("test", 3, 2, ("vis", "nir-sim", "thermal-sim"), cache_dir=cache)


def test_rows_are_in_the_schema_and_in_order(faces):
    assert faces.column_names == [
        "image", "subject_id", "modality", "key", "session", "landmarks", *ATTRIBUTES,
    ]  # fmt: skip
    assert len(faces) == 3 * 2 * 3 and len(set(faces["key"])) == 18
    assert faces["modality"][:4] == ["vis", "nir-sim", "thermal-sim", "vis"]
    assert faces["session"][:7] == ["0"] * 3 + ["1"] * 3 + ["0"]
    assert all(image.size == (112, 112) and image.mode == "RGB" for image in faces["image"])
    assert load_faces(faces).num_rows == 18
    for row in range(18):
        who = draw_identity("test", row // 6)
        assert faces[row]["subject_id"] == who.subject_id
        assert {name: faces[row][name] for name in ATTRIBUTES} == who.attributes


def test_a_smaller_data_set_is_the_beginning_of_a_larger(faces, cache):
    few = load_spectralfaces("test", 1, 2, ("vis", "nir-sim", "thermal-sim"), cache_dir=cache)
    for row in range(6):
        np.testing.assert_array_equal(np.array(few[row]["image"]), np.array(faces[row]["image"]))
    alone = load_spectralfaces("test", 1, 2, ("thermal-sim",), cache_dir=cache)
    np.testing.assert_array_equal(np.array(alone[1]["image"]), np.array(faces[5]["image"]))


def test_aligned_modalities_share_landmarks_and_unaligned_do_not(faces, cache):
    points = np.array(faces["landmarks"]).reshape(3, 2, 3, 68, 2)
    assert (points == points[:, :, :1]).all()
    loose = load_spectralfaces("test", 3, 2, ("vis", "nir-sim", "thermal-sim"), aligned=False, cache_dir=cache)
    points = np.array(loose["landmarks"]).reshape(3, 2, 3, 68, 2)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(points[:, :, one] - points[:, :, other]).max(axis=(2, 3)) > 0.5).all()
    assert list(loose["subject_id"]) == list(faces["subject_id"])


def test_splits_and_seeds_share_no_subject(faces, cache):
    train = load_spectralfaces("train", 3, 1, ("vis",), cache_dir=cache)
    reseeded = load_spectralfaces("test", 3, 1, ("vis",), seed=1, cache_dir=cache)
    ids = [set(part["subject_id"]) for part in (faces, train, reseeded)]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 9
    assert not np.array_equal(np.array(train[0]["image"]), np.array(faces[0]["image"]))


def test_the_second_call_reads_the_cache(faces, cache, monkeypatch):
    monkeypatch.setattr("hf_crossspec.data.synthetic.dataset.render_scene", None)
    again = load_spectralfaces("test", 3, 2, ("vis", "nir-sim", "thermal-sim"), cache_dir=cache)
    assert list(again["key"]) == list(faces["key"])


def test_written_splits_are_read_back(tmp_path, faces):
    counts = write_spectralfaces(tmp_path / "faces", 2, 3, 2, ("vis", "nir-sim", "thermal-sim"))
    assert counts == {"train": 12, "test": 18}
    test, train = load_faces(tmp_path / "faces", "test"), load_faces(tmp_path / "faces", "train")
    assert not set(test["subject_id"]) & set(train["subject_id"])
    assert list(test["key"]) == list(faces["key"])
    assert [row["bytes"] for row in test["image"]] == [row["bytes"] for row in load_faces(faces)["image"]]
    with pytest.raises(InputError, match="not empty"):
        write_spectralfaces(tmp_path / "faces", 1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "validation"}, "no split 'validation'"),
        ({"subjects": 0}, "subjects is 0"),
        ({"subjects": 2.5}, "subjects is 2.5"),
        ({"images_per_subject": -1}, "images_per_subject is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"modalities": "vis"}, "give a list"),
        ({"modalities": ()}, "give a list"),
        ({"modalities": ("vis", "vis")}, "different names"),
        ({"modalities": ("vis", "nir")}, "no modality 'nir'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, cache, tmp_path):
    with pytest.raises(InputError, match=message):
        load_spectralfaces(**{"subjects": 1, "images_per_subject": 1, "cache_dir": cache} | arguments)


def test_a_refused_write_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="subjects is 0"):
        write_spectralfaces(tmp_path / "faces", train_subjects=1, test_subjects=0)
    assert not list(tmp_path.iterdir())
