"""Protocols as data sets: what is written is what was listed, and the evaluation makes exactly its comparisons."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_crossspec import InputError, evaluate_model, load_faces
from hf_crossspec.data.images import decode_image
from hf_crossspec.data.protocols import PROTOCOLS, build_protocol, get_protocol, prepare_protocol
from hf_crossspec.evaluation.runner import gallery_and_probes, read_pairs
from hf_crossspec.faces.alignment import align_face
from tests.cli.conftest import Runner, assert_refused
from tests.data.protocols import trees

OTHER = {"allow_count_mismatch": True}


@pytest.fixture
def casia(tmp_path: Path) -> Path:
    root = tmp_path / "casia"
    trees.put_all(root, trees.casia(root))
    return root


def test_the_data_set_refers_to_the_files(casia: Path) -> None:
    splits = build_protocol("casia-nir-vis-2", casia, 1, **OTHER)
    assert {name: len(split) for name, split in splits.items()} == {"train": 15, "test": 12}
    test = splits["test"]
    assert "Counts differ from the protocol: test gallery subjects expected 358 found 4" in test.info.description
    roles = test.to_pandas().groupby(["role", "modality"]).size().to_dict()
    assert roles == {("gallery", "vis"): 4, ("probe", "nir"): 8}
    row = test.cast_column("image", test.features["image"].__class__(decode=False))[0]
    assert row["image"] == {"bytes": None, "path": str(casia / "s2/VIS/10000/003.jpg")}
    assert (row["key"], row["session"]) == ("s2/VIS/10000/003", "s2")
    assert test[0]["image"].size == (8, 8)


def test_parquet_holds_the_files_byte_for_byte(casia: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_crossspec.data.protocols.build._BATCH_ROWS", 4)  # several batches a split
    done = prepare_protocol("casia-nir-vis-2", casia, tmp_path / "out", 1, **OTHER)
    splits = tuple(f"data/{split}-00000-of-00001.parquet" for split in ("test", "train"))
    assert done.files == ("README.md", *splits, "protocol.json")
    kept = 0
    for split in ("train", "test"):
        faces = load_faces(tmp_path / "out", split)
        for row in faces:
            file = next(casia.glob(f"{row['key']}.*"))
            assert row["image"] == {"bytes": file.read_bytes(), "path": file.name}
            kept += 1
    assert kept == len(done.checked.rows.pictures) == 27
    record = json.loads((tmp_path / "out/protocol.json").read_text())
    assert (record["protocol"], record["fold"], record["version"]) == ("casia-nir-vis-2", 1, "1")
    assert record["counts"]["expected"]["test probe pictures"] == 6208
    assert record["counts"]["found"]["test probe pictures"] == 8
    assert record["differences"][0] == "test gallery subjects expected 358 found 4"
    assert set(record["lists_sha256"]) == {
        f"{name}_1.txt" for name in ("vis_train", "nir_train", "vis_gallery", "nir_probe")
    }
    readme = (tmp_path / "out/README.md").read_text()
    assert "Counts differ" in readme
    assert "--gallery-modality vis --probe-modality nir" in readme


@pytest.mark.parametrize(
    ("name", "fold", "variant", "build"),
    [
        ("casia-nir-vis-2", 1, None, trees.casia),
        ("lamp-hq", 1, None, lambda root: trees.lamp(root, train=2, test=3, probes=7)),
        ("mcxface", None, None, lambda root: trees.labelled(root, "thermal", [3, 2, 2], [2, 1], 2)),
        ("cufs-students", None, None, lambda root: trees.cufs_students(root, 3, 4)),
    ],
)
def test_the_evaluation_makes_the_protocols_comparisons(
    name: str, fold: int | None, variant: str | None, build: object, tiny_base: Path, tmp_path: Path
) -> None:
    rows = build(tmp_path)  # type: ignore[operator]
    trees.put_all(tmp_path, rows)
    done = prepare_protocol(name, tmp_path, tmp_path / "out", fold, variant=variant, **OTHER)
    options = done.checked.evaluate_options("out").split()
    gallery, probe = options[options.index("--gallery-modality") + 1], options[options.index("--probe-modality") + 1]
    faces = load_faces(tmp_path / "out", "test")
    enrolled, probes = gallery_and_probes(faces["subject_id"], faces["modality"], gallery, probe)
    keys = np.array(faces["key"])
    for found, role in ((enrolled, "gallery"), (probes, "probe")):
        listed = {row.path.rsplit(".", 1)[0] for row in rows if (row.split, row.role) == ("test", role)}
        assert sorted(keys[found]) == sorted(listed)
    report, skipped = evaluate_model(
        tiny_base, tmp_path / "out", split="test", gallery_modality=gallery, probe_modality=probe
    )
    subjects = {row.subject for row in rows if row.role == "gallery"}
    assert skipped == ()
    assert report["counts"]["mated"] + report["counts"]["non_mated"] == len(probes) * len(subjects)


def test_pairs_are_evaluated_as_listed(tiny_base: Path, tmp_path: Path) -> None:
    trees.put_all(tmp_path, trees.lfw(tmp_path, folds=2, size=6))
    done = prepare_protocol("lfw", tmp_path, tmp_path / "out", **OTHER)
    assert "pairs.csv" in done.files
    pairs = read_pairs(tmp_path / "out/pairs.csv")
    lines = (tmp_path / "pairs.txt").read_text().splitlines()[1:]
    assert len(pairs) == len(lines) == 24
    for line, pair in zip(lines, pairs.itertuples(), strict=True):
        fields = line.split("\t")
        assert pair.key1 == f"{fields[0]}_{int(fields[1]):04d}"
        assert pair.key2 == f"{fields[-2] if len(fields) == 4 else fields[0]}_{int(fields[-1]):04d}"
        assert pair.same == (len(fields) == 3)
    assert pairs["fold"].tolist() == [0] * 12 + [1] * 12
    report, _ = evaluate_model(tiny_base, tmp_path / "out", split="test", pairs=tmp_path / "out/pairs.csv")
    assert (report["counts"]["mated"], report["counts"]["non_mated"]) == (12, 12)


def test_insightface_sets_are_written_with_their_pairs(tiny_base: Path, tmp_path: Path) -> None:
    contents, flags = trees.insightface_bin(tmp_path / "mine.bin", 20)
    with pytest.raises(InputError, match=r"calfw\.bin does not exist"):
        prepare_protocol("calfw", tmp_path, tmp_path / "out", **OTHER)
    prepare_protocol("calfw", tmp_path, tmp_path / "out", lists=tmp_path / "mine.bin", **OTHER)
    faces = load_faces(tmp_path / "out", "test")
    assert [row["image"]["bytes"] for row in faces] == contents
    with (tmp_path / "out/pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["same"] == "1" for row in rows] == flags
    assert [int(row["fold"]) for row in rows] == [fold for fold in range(10) for _ in range(2)]
    report, _ = evaluate_model(tiny_base, tmp_path / "out", split="test", pairs=tmp_path / "out/pairs.csv")
    assert report["counts"]["mated"] + report["counts"]["non_mated"] == 20
    assert len(build_protocol("calfw", tmp_path, lists=tmp_path / "mine.bin", **OTHER)["test"]) == 40


def test_pictures_that_are_missing_take_their_pairs_along(tmp_path: Path) -> None:
    rows = trees.lfw(tmp_path, folds=1, size=3)
    trees.put_all(tmp_path, rows)
    (tmp_path / rows[0].path).unlink()
    done = prepare_protocol("lfw", tmp_path, tmp_path / "out", **OTHER)
    pairs = read_pairs(tmp_path / "out/pairs.csv")
    there = set(load_faces(tmp_path / "out", "test")["key"])
    assert 0 < len(pairs) < 6
    assert set(pairs.key1) | set(pairs.key2) <= there
    assert done.checked.missing == 1


def test_alignment_by_the_databases_eyes(tmp_path: Path) -> None:
    rows = trees.cufs_students(tmp_path, 1, 1)
    generator = np.random.default_rng(0)
    for row in rows:
        trees.put(tmp_path, row.path)
        Image.fromarray(generator.integers(0, 256, (250, 200, 3), dtype=np.uint8)).save(tmp_path / row.path)
    prepare_protocol("cufs-students", tmp_path, tmp_path / "out", align=True, **OTHER)
    faces = load_faces(tmp_path / "out", "test")
    assert "landmarks" not in faces.column_names
    for row in faces:
        original = decode_image(str(tmp_path / f"{row['key']}.jpg"))
        expected = align_face(original, np.array([[75, 125], [125, 125]]))
        assert np.array_equal(np.asarray(decode_image(row["image"])), np.asarray(expected))
    prepare_protocol("cufs-students", tmp_path, tmp_path / "raw", **OTHER)
    assert load_faces(tmp_path / "raw", "test")[0]["landmarks"] == [[75.0, 125.0], [125.0, 125.0]]


def test_alignment_needs_eyes(casia: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pictures without eye coordinates"):
        prepare_protocol("casia-nir-vis-2", casia, tmp_path / "out", 1, align=True, **OTHER)
    assert not (tmp_path / "out").exists()


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    for row in trees.polathermal(tmp_path):
        if row.subject in ("A01", "A06"):
            trees.put(tmp_path, row.path, mode="I;16")
    prepare_protocol("polathermal", tmp_path, tmp_path / "out", 2, **OTHER)
    faces = load_faces(tmp_path / "out", "test")
    assert {decode_image(row["image"]).mode for row in faces} == {"I;16"}
    prepare_protocol("polathermal", tmp_path, tmp_path / "aligned", 2, align=True, **OTHER)
    row = load_faces(tmp_path / "aligned", "test")[0]
    face = decode_image(row["image"])
    assert (face.mode, face.size) == ("I;16", (112, 112))


def test_nothing_half_written(casia: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="is not as the protocol says"):
        prepare_protocol("casia-nir-vis-2", casia, out, 1)
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(InputError, match="not empty"):
        prepare_protocol("casia-nir-vis-2", casia, out, 1, **OTHER)
    assert [file.name for file in out.iterdir()] == ["mine"]


def test_the_command_prints_the_counts_and_how_to_evaluate(
    crossspec: Runner,
    casia: Path,
    tmp_path: Path,
) -> None:
    refused = crossspec("prepare", "casia-nir-vis-2", casia, tmp_path / "out", "--fold", 1)
    assert_refused(refused, "test probe pictures expected 6,208 found 8")
    assert_refused(crossspec("prepare", "casia-nir-vis-2", casia, tmp_path / "out"), "give --fold, one of 1 to 10")
    code, output, _ = crossspec(
        "prepare", "casia-nir-vis-2", casia, tmp_path / "out", "--fold", 1, "--allow-other-counts"
    )
    assert code == 0
    words = " ".join(output.split())
    assert "test probe pictures │ 6,208 │ 8" in words
    assert "train nir pictures │ not asserted │ 9" in words
    assert "warning: not as the protocol says: test gallery subjects expected 358 found 4" in words
    assert f"--data {tmp_path / 'out'} --split test --gallery-modality vis --probe-modality nir" in words


def test_each_protocol_is_a_command_with_the_options_it_has(crossspec: Runner) -> None:
    listed = crossspec("prepare", "--help")[1]
    for name, protocol in PROTOCOLS.items():
        assert name in listed
        code, output, _ = crossspec("prepare", name, "--help")
        assert code == 0
        for option, offered in (
            ("--fold", protocol.folds), ("--variant", protocol.variants), ("--list", protocol.has_lists),
            ("--align", protocol.has_eyes), ("--allow-other-counts", True),
        ):  # fmt: skip
            assert (f"│ {option} " in output) == bool(offered), (name, option)
    assert "pictures" in listed
    assert "spectralfaces" in listed


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from hf_crossspec.cli import app;"
        "assert 'lamp-hq' in CliRunner().invoke(app, ['prepare', '--help']).output;"
        "print({'torch', 'datasets', 'numpy', 'PIL', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_real_lfw_pairs(real_data: Path, tmp_path: Path) -> None:
    """The first 40 + 40 kept pairs of each of five folds, with the real pictures under LFW's own names."""
    with (real_data / "lfw/pairs_folds0-4.csv").open() as file:
        listed = list(csv.DictReader(file))
    chosen = []
    for fold in range(5):
        for same in ("1", "0"):
            chosen += [row for row in listed if (row["fold"], row["same"]) == (str(fold), same)][:40]
    lines = ["5\t40"]
    for row in chosen:
        (name1, i), (name2, j) = (row[key].rsplit("_", 1) for key in ("key1", "key2"))
        lines.append(
            "\t".join(
                [name1, str(int(i)), str(int(j))] if row["same"] == "1" else [name1, str(int(i)), name2, str(int(j))]
            )
        )
    trees.write_list(tmp_path / "pairs.txt", lines)
    needed = {row[key] for row in chosen for key in ("key1", "key2")}
    for face in load_faces(real_data / "lfw/lfw_aligned112_folds0-4.parquet"):
        if face["key"] in needed:
            person = tmp_path / face["key"].rsplit("_", 1)[0]
            person.mkdir(exist_ok=True)
            (person / f"{face['key']}.jpg").write_bytes(face["image"]["bytes"])
    with pytest.raises(InputError, match="pairs expected 6,000 found 400"):
        prepare_protocol("lfw", tmp_path, tmp_path / "out")
    done = prepare_protocol("lfw", tmp_path, tmp_path / "out", **OTHER)
    assert done.checked.missing == 0
    assert read_pairs(tmp_path / "out/pairs.csv").astype(str).to_dict("records") == chosen
    assert set(load_faces(tmp_path / "out", "test")["key"]) == needed


def test_real_cufs_students(real_data: Path, tmp_path: Path) -> None:
    """All 188 students: linked under names of the owner's form, and by lists under their own."""
    source, links = real_data / "cufs_cuhk_student", tmp_path / "owner"
    lists: dict[str, list[str]] = {}
    for split, part in (("train", "training"), ("test", "testing")):
        with (source / split / "metadata.csv").open() as file:
            for row in csv.DictReader(file):
                sketch = row["modality"] == "sketch"
                role = "train" if split == "train" else "probe" if sketch else "gallery"
                lists.setdefault(f"{role}_{row['modality']}.txt", []).append(
                    f"{split}/{row['file_name']} {row['subject_id']}"
                )
                number, series = row["subject_id"][-3:], {"train": "f1", "test": "m1"}[split]
                plural = "sketches" if sketch else "photos"
                link = (
                    links
                    / f"CUHK_{part}_cropped_{plural}/{plural}"
                    / (f"{series.upper()}-{number}-01-sz1.jpg" if sketch else f"{series}-{number}-01.jpg")
                )
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source / split / row["file_name"])
    done = prepare_protocol("cufs-students", links, tmp_path / "out", align=True)
    assert done.checked.differences == []
    assert done.checked.found["test probe subjects"] == 100
    for name, lines in lists.items():
        trees.write_list(tmp_path / "lists" / name, lines)
    with pytest.raises(InputError, match="train subjects expected 268 found 88"):
        build_protocol("cufs", source, lists=tmp_path / "lists")
    splits = build_protocol("cufs", source, lists=tmp_path / "lists", **OTHER)
    assert {name: len(split) for name, split in splits.items()} == {"train": 176, "test": 200}
    assert get_protocol("cufs").counts(None, None)["test probe pictures"] == 338
