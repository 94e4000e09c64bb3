"""What the command line says to bad input: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from hf_crossspec import EdgeFaceImageProcessor, EdgeFaceModel
from tests.cli.conftest import Runner, assert_refused
from tests.conftest import simulated_pairs, tiny_config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("convert", "missing.pt", "out"), "missing.pt does not exist"),
        (("convert", "notes.txt", "out"), "notes.txt"),
        (("verify", "missing.png", "fine.png", "--model", "BASE"), "missing.png: the file does not exist"),
        (("verify", "notes.txt", "fine.png", "--model", "BASE"), "notes.txt: not readable as a picture"),
        (("verify", "fine.png", "fine.png", "--model", "."), "no config.json"),
        (("verify", "fine.png", "fine.png", "--model", "BASE", "--adapter", "."), "no adapter_config.json"),
        (("verify", "fine.png", "fine.png", "--model", "org/none"), "org/none"),
        (("embed", "missing", "out", "--model", "BASE"), "missing does not exist"),
        (("embed", "PAIRS", "out", "--model", "BASE", "--aligned"), "has several splits: choose one of train, test"),
        (("evaluate", "--model", "BASE", "--data", "bad.parquet"), "either a gallery and a probe modality, or"),
        (("evaluate", "--model", "BASE", "--data", "PAIRS", "--split", "test", "--gallery-modality", "vis",
          "--probe-modality", "swir"), "'swir'; the data set has nir, vis"),
        (("train", "--base", "BASE", "--data", "bad.parquet", "--target-modality", "nir", "--output-dir", "out"),
         "s1_picture: the picture is damaged"),
        (("train", "--base", "BASE", "--data", "PAIRS", "--target-modality", "nir", "--output-dir", "."), "not empty"),
        (("prepare", "pictures", "bad.parquet", "out", "--eyes", "1,2,3"), "--eyes needs four numbers"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(
    crossspec: Runner, tiny_base: Path, tiny_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.new("L", (112, 112)).save("fine.png")
    Path("notes.txt").write_text("not a picture")
    damaged_dataset(tmp_path / "bad.parquet")
    before = sorted(os.listdir())  # noqa: PTH208
    replaced = [{"BASE": str(tiny_base), "PAIRS": str(tiny_pairs)}.get(text, text) for text in arguments]
    assert_refused(crossspec(*replaced), message)
    assert sorted(os.listdir()) == before  # noqa: PTH208


def damaged_dataset(path: Path) -> None:
    """Two subjects, of which one has a JPEG that ends too early."""
    Image.effect_noise((112, 112), 60).save(path.with_suffix(".jpg"))
    content = path.with_suffix(".jpg").read_bytes()
    path.with_suffix(".jpg").unlink()
    rows = []
    for subject in range(4):
        for modality in ("vis", "nir"):
            bad = subject == 1 and modality == "vis"
            name = f"s{subject}_picture"
            image = {"bytes": content[: len(content) // 2] if bad else content, "path": None}
            rows.append({"image": image, "subject_id": f"s{subject}", "modality": modality, "key": name})
    text = Value("string")
    features = Features({"image": ImageFeature(), "subject_id": text, "modality": text, "key": text})
    Dataset.from_list(rows, features=features).to_parquet(str(path))


def test_skip_bad_counts_and_goes_on(crossspec: Runner, tiny_base: Path, tmp_path: Path) -> None:
    damaged_dataset(tmp_path / "bad.parquet")
    code, output, _ = crossspec(
        "evaluate", "--model", tiny_base, "--data", tmp_path / "bad.parquet", "--gallery-modality", "vis",
        "--probe-modality", "nir", "--skip-bad", "--json", tmp_path / "out.json",
    )  # fmt: skip
    assert code == 0
    assert "skipped: s1_picture" in output
    counts = json.loads((tmp_path / "out.json").read_text())["counts"]
    assert (counts["failures_to_acquire"], counts["gallery"], counts["probes_without_mate"]) == (1, 3, 1)


def test_an_adapter_for_another_base_is_refused(
    crossspec: Runner, adapter: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    EdgeFaceModel(tiny_config(dims=[16, 16, 24, 32])).save_pretrained(tmp_path / "other")
    EdgeFaceImageProcessor().save_pretrained(tmp_path / "other")
    outcome = crossspec(
        "evaluate", "--model", tmp_path / "other", "--adapter", adapter, "--data", tiny_pairs, "--split", "test",
        "--gallery-modality", "vis", "--probe-modality", "nir",
    )  # fmt: skip
    assert_refused(outcome, "does not fit the model")


def test_pictures_of_another_size_are_used_whole_and_said_so(
    crossspec: Runner, tiny_base: Path, tmp_path: Path
) -> None:
    rows = simulated_pairs(range(3)).map(lambda row: {"image": row["image"].resize((200, 250))})
    rows.to_parquet(str(tmp_path / "large.parquet"))
    arguments = ("--model", tiny_base, "--data", tmp_path / "large.parquet")
    sides = ("--gallery-modality", "vis", "--probe-modality", "nir")
    code, output, _ = crossspec("evaluate", *arguments, *sides)
    assert code == 0
    assert "note: 12 pictures are not of the model's size" in output


def test_models_of_other_kinds_are_refused(crossspec: Runner, tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    Image.new("L", (112, 112)).save(tmp_path / "a.png")
    assert_refused(crossspec("verify", tmp_path / "a.png", tmp_path / "a.png", "--model", tmp_path / "bert"), "bert")


def test_usage_errors_have_exit_code_2(crossspec: Runner) -> None:
    assert crossspec("train")[0] == 2
    assert crossspec("evaluate", "--model", "x")[0] == 2
    assert crossspec("frobnicate")[0] == 2


def test_the_installed_command_is_this_one() -> None:
    command = shutil.which("crossspec", path=str(Path(sys.executable).parent))
    assert command is not None
    done = subprocess.run([command, "verify", "a", "b", "--model", "c"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: a: the file does not exist")
