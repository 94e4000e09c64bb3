"""Bulk embedding: every row once, the same bits however often it was interrupted and by however many processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from datasets import Dataset, load_dataset

from hf_crossspec import EdgeFaceImageProcessor, EdgeFaceModel, FaceEmbedder, InputError, load_faces
from hf_crossspec.data.images import decode_image
from hf_crossspec.errors import Interrupted
from hf_crossspec.recognition.bulk import BulkOptions, BulkSummary, embed_in_bulk
from hf_crossspec.recognition.bulk.source import walk_files
from tests.cli.conftest import Runner, assert_refused
from tests.conftest import simulated_pairs, tiny_config
from tests.local_hub.fixture import LocalHub

OPTIONS = BulkOptions(aligned=True, batch_size=3, shard_rows=5)  # 32 rows are 7 shards; batches end with a shard
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}


def contents(folder: Path) -> dict[str, bytes]:
    """The shards, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="module")
def embedder(tiny_base: Path) -> FaceEmbedder:
    return FaceEmbedder.from_pretrained(tiny_base)


@pytest.fixture(scope="module")
def data(tiny_pairs: Path) -> Path:
    return tiny_pairs / "test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def uninterrupted(data: Path, embedder: FaceEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bulk") / "whole"
    summary = embed_in_bulk(data, folder, embedder, OPTIONS)
    assert (summary.rows, summary.embedded, summary.failures, summary.rows_now) == (32, 32, {}, 32)
    return folder


def test_rows_are_those_of_the_source_in_order(uninterrupted: Path, data: Path, embedder: FaceEmbedder) -> None:
    assert len(contents(uninterrupted)) == 7
    faces = load_faces(data)
    expected = embedder.embed_images(decode_image(picture) for picture in faces["image"])
    by_pandas = pd.read_parquet(uninterrupted)
    by_datasets = load_dataset(str(uninterrupted))["train"]
    assert by_datasets.column_names == list(by_pandas.columns)
    assert by_datasets.column_names == [
        "key", "subject_id", "modality", "embedding", "status", "message", "detector_score", "faces"
    ]  # fmt: skip
    for column in ("key", "subject_id", "modality"):
        assert list(by_datasets[column]) == list(by_pandas[column]) == list(faces[column])
    assert set(by_pandas["status"]) == {"ok"}
    assert by_pandas["message"].isna().all()
    np.testing.assert_allclose(np.stack(list(by_pandas["embedding"])), expected, atol=1e-5)
    np.testing.assert_array_equal(by_datasets.with_format("numpy")["embedding"][:], np.stack(by_pandas["embedding"]))
    assert by_datasets.features["embedding"].feature.dtype == "float32"


def test_a_complete_folder_is_only_counted(uninterrupted: Path, data: Path, embedder: FaceEmbedder) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in uninterrupted.glob("*.parquet")}
    summary = embed_in_bulk(data, uninterrupted, embedder, OPTIONS, num_proc=2)
    assert (summary.embedded, summary.rows_now, summary.images_per_second) == (32, 0, None)
    assert {path.name: path.stat().st_mtime_ns for path in uninterrupted.glob("*.parquet")} == before
    assert json.loads((uninterrupted / "_manifest.json").read_text())["complete"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_and_continued(
    uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path, number: signal.Signals
) -> None:
    def stop(done: int, failed: int, total: int) -> None:
        if done == 12:
            signal.raise_signal(number)

    with pytest.raises(Interrupted, match="stopped with 22 of 32 pictures to do; the same command goes on"):
        embed_in_bulk(data, tmp_path / "out", embedder, OPTIONS, on_progress=stop)
    assert len(contents(tmp_path / "out")) == 2
    assert not json.loads((tmp_path / "out" / "_manifest.json").read_text())["complete"]
    summary = embed_in_bulk(data, tmp_path / "out", embedder, OPTIONS)
    assert (summary.embedded, summary.rows_now) == (32, 22)
    assert contents(tmp_path / "out") == contents(uninterrupted)


KILLED = """
import os, signal, sys
import psutil
from hf_crossspec import FaceEmbedder
from hf_crossspec.recognition.bulk import BulkOptions, embed_in_bulk

def kill(done, failed, total):
    if done >= 1:
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    source, output, model = sys.argv[1:]
    options = BulkOptions(aligned=True, batch_size=3, shard_rows=5)
    embed_in_bulk(source, output, FaceEmbedder.from_pretrained(model), options, num_proc=2, on_progress=kill)
"""


@pytest.mark.slow
def test_killed_and_continued(uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path) -> None:
    """The first of three processes is killed with signal 9; the others end by themselves, and nothing is lost."""
    script, out = tmp_path / "killed.py", tmp_path / "out"
    script.write_text(KILLED)
    arguments = [sys.executable, str(script), str(data), str(out), embedder.name]
    done = subprocess.run(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 120
    while any(is_running(int(pid)) for pid in done.stdout.split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not json.loads((out / "_manifest.json").read_text())["complete"]
    (out / ".train-00003-of-00007.parquet.half.parquet").write_bytes(b"PAR1")  # what a kill may leave
    (out / "train-00004-of-00007.parquet").write_bytes(b"PAR1")  # what a power failure may leave
    summary = embed_in_bulk(data, out, embedder, OPTIONS)
    assert summary.embedded == 32
    assert summary.rows_now >= 5
    assert contents(out) == contents(uninterrupted)
    assert sorted(path.name for path in out.iterdir())[0] == "_manifest.json"


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_three_processes_write_the_same_bits(
    uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    seen: list[tuple[int, int, int]] = []
    summary = embed_in_bulk(
        data, tmp_path / "out", embedder, OPTIONS, num_proc=3, on_progress=lambda *counts: seen.append(counts)
    )
    assert (summary.embedded, summary.rows_now) == (32, 32)
    assert seen[-1] == (32, 0, 32)
    assert contents(tmp_path / "out") == contents(uninterrupted)


@pytest.mark.slow
def test_accelerate_launch(uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--main_process_port", "0", "-m", "hf_crossspec.cli", "embed", str(data), str(tmp_path / "out")]
    launch += ["--model", embedder.name, "--aligned", "--batch-size", "3", "--shard-rows", "5"]
    done = subprocess.run(launch, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "process 1 of 2: 17 pictures" in done.stdout
    assert "process 2 of 2: 15 pictures" in done.stdout
    assert "32 rows: 32 embedded, 0 failures" in done.stdout
    assert contents(tmp_path / "out") == contents(uninterrupted)


def test_the_last_of_several_calls_counts(
    uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    def part(rank: int) -> BulkSummary:
        return embed_in_bulk(data, tmp_path / "out", embedder, OPTIONS, rank=rank, world_size=2)

    first, second = part(0), part(1)
    assert (first.rows_now, first.embedded, first.failures) == (17, None, None)  # shards 0, 2, 4 and the short 6
    assert (second.rows_now, second.embedded, second.failures) == (15, 32, {})
    assert contents(tmp_path / "out") == contents(uninterrupted)


def test_another_run_is_refused(
    crossspec: Runner,
    uninterrupted: Path,
    data: Path,
    tiny_base: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted, out)
    same = {"--batch-size": 3, "--shard-rows": 5, "--model": tiny_base}

    def run(source: Path, changes: dict[str, object]) -> tuple[int, str, str]:
        flat = [str(text) for pair in {**same, **changes}.items() for text in pair]
        return crossspec("embed", source, out, *flat, "--aligned")

    assert run(data, {})[0] == 0
    assert_refused(run(data, {"--batch-size": 4}), "was begun with another batch_size (3 then, 4 now)")
    torch.manual_seed(1)
    EdgeFaceModel(tiny_config()).save_pretrained(tmp_path / "other")
    EdgeFaceImageProcessor().save_pretrained(tmp_path / "other")
    assert_refused(run(data, {"--model": tmp_path / "other"}), "was begun with another weights_sha256 (")
    shutil.copy(data, tmp_path / "copy.parquet")
    assert_refused(run(tmp_path / "copy.parquet", {}), "was begun with another source_sha256 (")
    assert run(data, {"--backend": "magic"})[0] == 2
    assert contents(out) == contents(uninterrupted)


def test_bad_places_are_refused_and_left_alone(
    crossspec: Runner,
    data: Path,
    tiny_base: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("mine")
    model = ("--model", tiny_base, "--aligned")
    assert_refused(crossspec("embed", data, tmp_path / "foreign", *model), "holds something else")
    assert_refused(crossspec("embed", data, tmp_path / "foreign" / "letter.txt", *model), "is a file, not a folder")
    assert_refused(crossspec("embed", tmp_path / "pictures", tmp_path / "out", *model), "pictures has no picture")
    inside = tmp_path / "foreign" / "out"
    assert_refused(crossspec("embed", tmp_path / "foreign", inside, *model), "give another output folder")
    missing = ("--detector-path", tmp_path / "none.onnx")
    assert_refused(crossspec("embed", data, tmp_path / "out", *model[:2], *missing), "none.onnx does not exist")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "foreign", "letter.txt", "pictures"]


def test_a_folder_without_metadata(crossspec: Runner, tiny_base: Path, tmp_path: Path) -> None:
    """Frames of two clips; notes and hidden files are no pictures, and a link back up is not followed."""
    source, out = tmp_path / "video", tmp_path / "out"
    rows = simulated_pairs(range(2))
    for number, name in enumerate(("clip b/1.png", "clip b/0.png", "a/deep/0.JPG", "a/.hidden.png", "top.tiff")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        rows[number]["image"].save(source / name)
    (source / "notes.txt").write_text("no picture")
    (source / "a" / "up").symlink_to(source)
    (source / "a" / "lost.png").symlink_to(source / "nothing.png")
    arguments = ("embed", source, out, "--model", tiny_base, "--aligned", "--json", tmp_path / "out.json")
    code, output, errors = crossspec(*arguments, "--modality", "nir")
    assert (code, errors) == (0, "")
    assert "5 rows: 4 embedded, 1 failures" in output
    assert "failures to acquire: unreadable 1" in output
    table = pd.read_parquet(out)
    assert list(table["key"]) == ["a/deep/0.JPG", "a/lost.png", "clip b/0.png", "clip b/1.png", "top.tiff"]
    assert list(table.columns)[:3] == ["key", "modality", "embedding"]
    assert set(table["modality"]) == {"nir"}
    assert table["message"][1] == "a/lost.png: the file does not exist"
    assert table["embedding"][1] is None
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["counts"] == {"rows": 5, "embedded": 4, "failures": {"unreadable": 1}}
    assert report["this_run"]["pictures"] == 5
    assert_refused(crossspec(*arguments[:-2], "--split", "test"), "has no split 'test'")
    (source / "new.png").write_bytes(b"")
    assert_refused(crossspec(*arguments[:-2], "--modality", "nir"), "another rows (5 then, 6 now), source_sha256")


def test_an_imagefolder_keeps_its_metadata(embedder: FaceEmbedder, tmp_path: Path) -> None:
    rows = simulated_pairs(range(2), images=1)
    (tmp_path / "pictures" / "x").mkdir(parents=True)
    lines = ["file_name,subject_id"]
    for number, row in enumerate(rows):
        row["image"].save(tmp_path / "pictures" / "x" / f"{number}.png")
        lines.append(f"x/{number}.png,{row['subject_id']}")
    (tmp_path / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = BulkOptions(aligned=True)
    embed_in_bulk(tmp_path / "pictures", tmp_path / "out", embedder, options)
    table = pd.read_parquet(tmp_path / "out")
    assert list(table["key"]) == [f"x/{number}.png" for number in range(4)]
    assert list(table["subject_id"]) == list(rows["subject_id"])
    assert "modality" not in table.columns


def test_pairs_landmarks_and_splits(embedder: FaceEmbedder, tmp_path: Path) -> None:
    """A column per modality becomes rows; landmarks of the source make a detector needless."""
    rows = simulated_pairs(range(2), images=1)
    paired = {"vis": rows["image"][::2], "nir": rows["image"][1::2], "subject_id": ["a", "b"]}
    paired["landmarks"] = [[[30, 40], [80, 40]]] * 2
    Dataset.from_dict(paired).to_parquet(str(tmp_path / "pairs" / "test-00000-of-00001.parquet"))
    embed_in_bulk(tmp_path / "pairs", tmp_path / "out", embedder, split="test")
    table = load_dataset(str(tmp_path / "out"), split="test").to_pandas()
    assert list(table["key"]) == ["0", "1", "2", "3"]
    assert list(table["subject_id"] + table["modality"]) == ["avis", "bvis", "anir", "bnir"]
    assert list(table["status"]) == ["ok"] * 4
    with pytest.raises(InputError, match="has a modality for each picture"):
        embed_in_bulk(tmp_path / "pairs", tmp_path / "no", embedder, BulkOptions(modality="nir"), split="test")


def test_files_are_walked_in_order(tmp_path: Path) -> None:
    for name in ("b/1", "a/2", "a-b", "a/10"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [key for key, _ in walk_files(tmp_path)] == ["a/10", "a/2", "a-b", "b/1"]


@pytest.mark.slow
def test_a_data_set_on_the_hub(
    local_hub: LocalHub, uninterrupted: Path, data: Path, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    """The next process knows the source again, and finds all done."""
    code = f"""
    from huggingface_hub import HfApi
    from hf_crossspec import FaceEmbedder
    from hf_crossspec.recognition.bulk import BulkOptions, embed_in_bulk
    HfApi().create_repo("org/bulk", repo_type="dataset")
    HfApi().upload_file(path_or_fileobj={str(data)!r}, path_in_repo="test.parquet", repo_id="org/bulk",
                        repo_type="dataset")
    options = BulkOptions(aligned=True, batch_size=3, shard_rows=5)
    embedder = FaceEmbedder.from_pretrained({embedder.name!r})
    print(embed_in_bulk("org/bulk", {str(tmp_path / "out")!r}, embedder, options, split="test").rows_now)
    """
    first = local_hub.run(code, tmp_path / "home")
    assert first.stdout.split() == ["32"], first.stderr
    options = ("--model", embedder.name, "--aligned", "--split", "test", "--batch-size", 3, "--shard-rows", 5)
    second = local_hub.command("embed", "org/bulk", tmp_path / "out", *options, home=tmp_path / "home")
    assert "32 rows: 32 embedded, 0 failures" in second.stdout, second.stderr
    assert "images/s" not in second.stdout
    assert list(contents(tmp_path / "out").values()) == list(contents(uninterrupted).values())
