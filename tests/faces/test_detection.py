"""Detectors: known by name, verified when fetched, exact in large pictures, the same in every thread."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hf_crossspec import InputError
from hf_crossspec.faces import detection
from hf_crossspec.faces.detection import make_detector, register_detector
from hf_crossspec.faces.yunet import YUNET_FILE, YUNET_SHA256, YuNetDetector
from hf_crossspec.files import sha256_of
from tests.faces.conftest import ToldDetector
from tests.local_hub.fixture import LocalHub


def test_detectors_are_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_FACTORIES", dict(detection._FACTORIES))
    paths = []

    def make(path: str | Path | None) -> ToldDetector:
        paths.append(path)
        return ToldDetector()

    register_detector("thermal", make)
    assert make_detector("thermal", "weights.onnx").detect(np.zeros((9, 9, 3), np.uint8)) == ()
    assert paths == ["weights.onnx"]
    with pytest.raises(InputError, match="registered already"):
        register_detector("yunet", make)
    with pytest.raises(InputError, match="no detector 'other'; registered are thermal, yunet"):
        make_detector("other")


@pytest.mark.parametrize("content", [None, b"", b"not a network"])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"some\.onnx .*YuNet"):
        make_detector("yunet", path)


FETCH = """
from hf_crossspec.faces import yunet
yunet.YUNET_SOURCE = "org/yunet@main"
from hf_crossspec.faces.detection import make_detector
from hf_crossspec import InputError
try:
    make_detector("yunet")
except InputError as error:
    print("refused:", error)
else:
    print("made")
"""


@pytest.mark.slow
def test_what_the_hub_sends_is_verified(local_hub: LocalHub, yunet_file: Path, tmp_path: Path) -> None:
    publish = f"""
    from huggingface_hub import create_repo, upload_file
    create_repo("org/yunet", exist_ok=True)
    upload_file(path_or_fileobj="sent.onnx", path_in_repo="{YUNET_FILE}", repo_id="org/yunet")
    """
    absent = local_hub.run(FETCH, tmp_path)
    assert "refused: org/yunet@main" in absent.stdout, absent.stderr
    (tmp_path / "sent.onnx").write_bytes(b"another file")
    assert local_hub.run(publish, tmp_path).returncode == 0
    wrong = local_hub.run(FETCH, tmp_path)
    assert f"not {YUNET_SHA256}: refused" in wrong.stdout, wrong.stderr
    shutil.copyfile(yunet_file, tmp_path / "sent.onnx")
    assert local_hub.run(publish, tmp_path).returncode == 0
    right = local_hub.run(FETCH, tmp_path)
    assert (right.stdout, right.stderr) == ("made\n", "")
    offline = local_hub.run(FETCH, tmp_path, offline=True)
    assert (offline.stdout, offline.stderr) == ("made\n", "")


def test_the_pinned_file_is_the_one_tested_here(yunet_file: Path) -> None:
    assert sha256_of(yunet_file) == YUNET_SHA256


def test_a_large_picture_is_reduced_and_the_face_given_in_its_own_pixels(
    yunet: YuNetDetector, sample: list[Path]
) -> None:
    large = np.asarray(Image.open(sample[2]).resize((2500, 2000), Image.Resampling.BICUBIC))
    (face,) = yunet.detect(large)
    (small,) = yunet.detect(cv2.resize(large, (640, 512), interpolation=cv2.INTER_AREA))
    scale = 2500 / 640
    np.testing.assert_allclose(face.box, np.array(small.box) * scale)
    np.testing.assert_allclose(face.landmarks + 0.5, (small.landmarks + 0.5) * scale)
    (original,) = yunet.detect(np.asarray(Image.open(sample[2])))
    distance = np.abs((face.landmarks + 0.5) / [10, 8] - 0.5 - original.landmarks).max()
    assert distance < 0.1 * original.box[2]  # YuNet's landmarks depend that much on the size


def test_landmarks_run_left_to_right_as_seen(yunet: YuNetDetector, sample: list[Path]) -> None:
    face = max(yunet.detect(np.asarray(Image.open(sample[2]))), key=lambda face: face.box[2])
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 2000, 3), (2000, 1, 3), (33, 31, 3)])
def test_odd_shapes_are_no_trouble(yunet: YuNetDetector, shape: tuple[int, int, int]) -> None:
    assert yunet.detect(np.zeros(shape, np.uint8)) == ()


def test_threads_share_a_detector(yunet: YuNetDetector, sample: list[Path]) -> None:
    """Pictures of different sizes, at once: the same faces as one after the other."""
    sizes = [(250, 250), (160, 200), (320, 240)]
    pictures = [np.asarray(Image.open(path).resize(sizes[n % 3])) for n, path in enumerate(sample[:18])]
    alone = [yunet.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(yunet.detect, pictures))
    for expected, found in zip(alone, together, strict=True):
        assert [face.score for face in found] == pytest.approx([face.score for face in expected], abs=1e-4)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other.landmarks, one.landmarks, atol=0.05)
