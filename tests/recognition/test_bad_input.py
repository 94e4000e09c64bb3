"""All that may be wrong with pictures, in one batch: each gets its status, the others their embedding."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hf_crossspec.faces import detection
from hf_crossspec.faces.detection import DetectedFace
from tests.cli.conftest import Runner
from tests.conftest import simulated_pairs
from tests.faces.conftest import face_at
from tests.faces.test_acquisition import HEIC, huge_png

EXPECTED = {
    "animated.gif": "ok",
    "bomb.png": "unreadable",
    "empty.png": "unreadable",
    "fine.jpg": "ok",
    "half.jpg": "unreadable",
    "letter.jpg": "unreadable",
    "locked/": "unreadable",
    "lost.png": "unreadable",
    "nan.tiff": "unreadable",
    "nobody.png": "no_face",
    "one.png": "too_small",
    "phone.heic": "unreadable",
    "pipe.png": "unreadable",
    "sliver.png": "no_face",
    "some_nan.tiff": "ok",
    "twenty.png": "ok",
}
MESSAGES = {
    "bomb.png": "more than 50,000,000 pixels",
    "empty.png": "not readable as a picture",
    "half.jpg": "damaged",
    "letter.jpg": "not readable as a picture",
    "lost.png": "does not exist",
    "nan.tiff": "no finite pixel value",
    "nobody.png": "no face",
    "one.png": "1 x 1 pixels are too few",
    "pipe.png": "not a file",
}


class TilesDetector:
    """One face per tile of 250 x 250 that is not of one colour."""

    def detect(self, rgb: np.ndarray) -> tuple[DetectedFace, ...]:
        starts = [(x, y) for y in range(0, rgb.shape[0], 250) for x in range(0, rgb.shape[1], 250)]
        return tuple(face_at(x + 125, y + 125, 120) for x, y in starts if np.ptp(rgb[y : y + 250, x : x + 250]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bad pictures, and some good ones."""
    face = simulated_pairs(range(1))[0]["image"].resize((250, 250))
    fill(tmp_path / "pictures", face)
    return tmp_path / "pictures"


def fill(folder: Path, face: Image.Image) -> None:
    folder.mkdir()
    face.save(folder / "fine.jpg")
    jpeg = (folder / "fine.jpg").read_bytes()
    contents = {"half.jpg": jpeg[: len(jpeg) // 2], "empty.png": b"", "letter.jpg": b"Dear picture,\n",
                "bomb.png": huge_png(), "phone.heic": HEIC, "lost.png": b""}  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "lost.png").unlink()
    (folder / "lost.png").symlink_to(folder / "nothing.png")
    os.mkfifo(folder / "pipe.png")
    face.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", face.size)])
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("L", (250, 250), 90).save(folder / "nobody.png")
    Image.new("L", (20, 20_000), 90).save(folder / "sliver.png")
    celsius = np.asarray(face.convert("L")).astype(np.float32) / 10
    Image.fromarray(np.full_like(celsius, np.nan)).save(folder / "nan.tiff")
    celsius[::9, ::9] = np.nan
    Image.fromarray(celsius).save(folder / "some_nan.tiff")
    mosaic = Image.new("RGB", (1250, 1000))
    for number in range(20):
        mosaic.paste(face, (250 * (number % 5), 250 * (number // 5)))
    mosaic.save(folder / "twenty.png")
    (folder / "locked").mkdir()
    (folder / "locked" / "hidden.png").write_bytes(b"")
    (folder / "locked").chmod(0)


def expected() -> dict[str, str]:
    if os.geteuid() != 0:
        return EXPECTED
    return {key.replace("locked/", "locked/hidden.png"): status for key, status in EXPECTED.items()}  # root may read


def assert_each_has_its_status(outcome: tuple[int, str, str], out: Path) -> None:
    code, output, errors = outcome
    assert (code, errors) == (0, "")
    table = pd.read_parquet(out).set_index("key")
    assert dict(table["status"]) == expected()
    statuses = list(expected().values())
    failures = len(statuses) - statuses.count("ok")
    assert f"{len(statuses)} rows: {statuses.count('ok')} embedded, {failures} failures" in output
    assert "failures to acquire: unreadable 9, no_face 2, too_small 1" in output
    for key, message in MESSAGES.items():
        assert table["message"][key].startswith(f"{key}: ")
        assert message in table["message"][key]
        assert "\n" not in table["message"][key]
    assert all((row.embedding is None) == (row.status != "ok") for row in table.itertuples())
    assert (table["faces"]["twenty.png"], table["faces"]["fine.jpg"], table["faces"]["nobody.png"]) == (20, 1, 0)
    assert table["message"][table["status"] == "ok"].isna().all()


def test_every_picture_has_its_status(
    crossspec: Runner, tiny_base: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(detection._FACTORIES, "tiles", lambda path: TilesDetector())
    options = ("--model", tiny_base, "--detector", "tiles", "--batch-size", 2)
    assert_each_has_its_status(crossspec("embed", folder, tmp_path / "out", *options), tmp_path / "out")


def test_with_real_faces(
    crossspec: Runner, tiny_base: Path, yunet_file: Path, sample: list[Path], tmp_path: Path
) -> None:
    fill(tmp_path / "pictures", Image.open(sample[0]))
    options = ("--model", tiny_base, "--detector-path", yunet_file)
    outcome = crossspec("embed", tmp_path / "pictures", tmp_path / "out", *options)
    assert_each_has_its_status(outcome, tmp_path / "out")
    scores = pd.read_parquet(tmp_path / "out").set_index("key")["detector_score"]
    assert scores["fine.jpg"] > 0.8
    assert np.isnan(scores["nobody.png"])


def test_the_same_in_a_parquet_file(
    crossspec: Runner, tiny_base: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures inside a data set, rows without one, and empty values."""
    monkeypatch.setitem(detection._FACTORIES, "tiles", lambda path: TilesDetector())
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    rows = [
        {"image": {"bytes": path.read_bytes(), "path": None}, "subject_id": None, "key": path.name} for path in files
    ]
    rows.append({"image": None, "subject_id": "a", "key": None})
    pd.DataFrame(rows).to_parquet(tmp_path / "raw.parquet")
    options = ("--model", tiny_base, "--detector", "tiles", "--modality", "vis")
    code, output, errors = crossspec("embed", tmp_path / "raw.parquet", tmp_path / "out", *options)
    assert (code, errors) == (0, "")
    table = pd.read_parquet(tmp_path / "out").set_index("key")
    assert dict(table["status"]) == {
        **{path.name: EXPECTED[path.name] for path in files},
        str(len(files)): "unreadable",
    }
    assert f"{len(files) + 1} rows: 4 embedded" in output


def test_aligned_pictures_of_another_size_are_failures(crossspec: Runner, tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for side in (112, 113):
        Image.new("L", (side, side), 90).save(tmp_path / "pictures" / f"{side}.png")
    options = ("--model", tiny_base, "--aligned")
    _, output, _ = crossspec("embed", tmp_path / "pictures", tmp_path / "out", *options)
    assert "failures to acquire: wrong_size 1" in output


def test_pictures_without_any_face(crossspec: Runner, tiny_base: Path, tmp_path: Path) -> None:
    """A complete result nevertheless: data that show nobody are not wrong usage."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "empty.png").touch()
    code, output, _ = crossspec("embed", tmp_path / "pictures", tmp_path / "out", "--model", tiny_base, "--aligned")
    assert code == 0
    assert "1 rows: 0 embedded, 1 failures" in output
    assert list(pd.read_parquet(tmp_path / "out")["embedding"]) == [None]
