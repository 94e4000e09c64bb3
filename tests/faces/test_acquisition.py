"""A face or a reason: the rules, with a detector that says what it is told, and pictures in every bad state."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_crossspec import InputError
from hf_crossspec.faces.acquisition import AcquiredFace, FailureReason, FailureToAcquire, acquire_face
from hf_crossspec.faces.alignment import TEMPLATE, align_face
from tests.faces.conftest import ToldDetector, face_at

NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def failure(outcome: AcquiredFace | FailureToAcquire) -> FailureToAcquire:
    assert isinstance(outcome, FailureToAcquire)
    assert "\n" not in outcome.message
    return outcome


def acquired(outcome: AcquiredFace | FailureToAcquire) -> AcquiredFace:
    assert isinstance(outcome, AcquiredFace), outcome
    assert outcome.crop.size == (112, 112)
    assert outcome.crop.mode in ("L", "RGB")
    return outcome


def test_a_found_face_is_aligned_and_described() -> None:
    told = face_at(150, 100, 80, 0.95)
    face = acquired(acquire_face(NOISE, ToldDetector((told,))))
    assert (face.box, face.score, face.faces) == (told.box, 0.95, 1)
    assert face.landmarks is not None
    assert np.array_equal(face.landmarks, told.landmarks)
    assert np.array_equal(np.asarray(face.crop), np.asarray(align_face(Image.fromarray(NOISE), told.landmarks)))


@pytest.mark.parametrize(
    ("faces", "reason", "score", "message"),
    [
        ((), FailureReason.NO_FACE, None, "no face"),
        ((face_at(150, 100, 80, 0.4), face_at(50, 50, 80, 0.5)), FailureReason.LOW_SCORE, 0.5, "0.50, below 0.6"),
        ((face_at(150, 100, 19, 0.9), face_at(50, 50, 80, 0.5)), FailureReason.TOO_SMALL, 0.9, "smaller than 20"),
    ],
)  # fmt: skip
def test_a_failure_says_why(faces: tuple, reason: FailureReason, score: float | None, message: str) -> None:
    failed = failure(acquire_face(NOISE, ToldDetector(faces), name="one"))
    assert (failed.reason, failed.score, failed.faces) == (reason, score, 0)
    assert failed.message.startswith("one: ")
    assert message in failed.message


def test_the_limits_can_be_set() -> None:
    detector = ToldDetector((face_at(150, 100, 10, 0.4),))
    acquired(acquire_face(NOISE, detector, min_score=0.4, min_face=10))
    assert failure(acquire_face(NOISE, detector, min_score=0.41, min_face=10)).reason == FailureReason.LOW_SCORE


def test_of_several_faces_the_largest_near_the_centre_is_taken() -> None:
    central, larger, corner = face_at(150, 100, 60, 0.7), face_at(170, 110, 70, 0.8), face_at(30, 30, 80, 0.9)
    small, doubtful = face_at(150, 100, 10, 0.99), face_at(150, 100, 150, 0.59)
    detector = ToldDetector((small, corner, larger, central, doubtful))
    face = acquired(acquire_face(NOISE, detector))
    assert (face.box, face.faces) == (larger.box, 3)  # a small and a doubtful face do not count
    assert acquired(acquire_face(NOISE, ToldDetector((corner, central)))).box == central.box
    failed = failure(acquire_face(NOISE, detector, choose="only"))
    assert (failed.reason, failed.faces) == (FailureReason.SEVERAL_FACES, 3)
    assert acquired(acquire_face(NOISE, ToldDetector((small, larger)), choose="only")).faces == 1


def test_supplied_points_skip_the_detector() -> None:
    detector = ToldDetector()
    points = face_at(150, 100, 80).landmarks
    for options in ({"landmarks": points}, {"eyes": points[:2].tolist()}, {"landmarks": points[:2]}):
        face = acquired(acquire_face(NOISE, detector, **options))
        (given_points,) = options.values()
        expected = align_face(Image.fromarray(NOISE), np.asarray(given_points))
        assert np.array_equal(np.asarray(face.crop), np.asarray(expected))
        assert (face.box, face.score, face.faces) == (None, None, None)
    assert acquired(acquire_face(NOISE, None, eyes=points[:2])).box is None
    assert detector.seen == []


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), np.nan),
        np.full((5, 2), 50.0),
        np.zeros((3, 2)),
        [],
        [[1, 2], [3]],
        [["a", "b"], ["c", "d"]],
        [[None, 1], [2, 3]],
        face_at(400, 100, 80).landmarks,
        face_at(150, -90, 80).landmarks,
        [[-1e300, 100], [1e300, 100]],
        [[-1e5, 100], [1e5, 100]],
    ],
)
def test_unusable_points_are_a_failure(points: object) -> None:
    assert failure(acquire_face(NOISE, None, landmarks=points)).reason == FailureReason.BAD_LANDMARKS  # type: ignore


def test_a_face_across_a_flat_picture_is_no_trouble() -> None:
    acquired(acquire_face(np.zeros((5, 1000), np.uint8), None, eyes=[[60, 3], [940, 3]]))


def test_pre_aligned_pictures_pass_through() -> None:
    crop = np.ascontiguousarray(NOISE[:112, :112])
    detector = ToldDetector()
    assert np.array_equal(np.asarray(acquired(acquire_face(crop, detector, pre_aligned=True)).crop), crop)
    assert failure(acquire_face(NOISE, None, pre_aligned=True)).reason == FailureReason.WRONG_SIZE
    acquired(acquire_face(NOISE, None, pre_aligned=True, resize=True))
    assert detector.seen == []


def test_wrong_usage_is_an_error() -> None:
    with pytest.raises(InputError, match="needs a detector"):
        acquire_face(NOISE, None)
    with pytest.raises(InputError, match="not both"):
        acquire_face(NOISE, None, landmarks=TEMPLATE, eyes=TEMPLATE[:2])
    with pytest.raises(InputError, match="choose"):
        acquire_face(NOISE, ToldDetector(), choose="best")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="NoneType"):
        acquire_face(None, ToldDetector())


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png() -> bytes:
    """The header of a PNG of 30,000 x 30,000 pixels, and hardly any of them."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(99))))
    body = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in (*chunks, (b"IEND", b"")))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


JPEG = encoded(Image.fromarray(NOISE), "JPEG")
PNG = encoded(Image.fromarray(NOISE), "PNG")
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable"),
        (b"This is a letter, not a picture.\n", "not readable"),
        (HEIC, "not readable"),
        (JPEG[: len(JPEG) // 2], "damaged"),
        (PNG[: len(PNG) // 2], "damaged"),
        (PNG[:20], ""),
        (huge_png(), "more than 50,000,000 pixels"),
    ],
    ids=["empty", "text", "heic", "jpeg", "png", "header", "bomb"],
)
def test_files_that_are_no_picture(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    for picture in (path, str(path), {"bytes": content, "path": "face.jpg"}):
        failed = failure(acquire_face(picture, ToldDetector()))
        assert failed.reason == FailureReason.UNREADABLE
        assert "face.jpg" in failed.message or failed.message.startswith("picture: ")
        assert message in failed.message


def test_places_that_are_no_file(tmp_path: Path) -> None:
    assert "does not exist" in failure(acquire_face(tmp_path / "none.png", ToldDetector())).message
    assert failure(acquire_face(tmp_path, ToldDetector())).reason == FailureReason.UNREADABLE
    assert "no picture" in failure(acquire_face({"bytes": None, "path": None}, ToldDetector())).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(PNG)
    (tmp_path / "mine.png").chmod(0)
    assert failure(acquire_face(tmp_path / "mine.png", ToldDetector())).reason == FailureReason.UNREADABLE


@pytest.mark.parametrize("pixels", [np.full((50, 50), np.nan), np.zeros((0, 5)), np.zeros((5, 5, 7), np.uint8)])
def test_arrays_that_are_no_picture(pixels: np.ndarray) -> None:
    assert failure(acquire_face(pixels, ToldDetector())).reason == FailureReason.UNREADABLE


@pytest.mark.parametrize("size", [(1, 1), (19, 400), (400, 19)])
def test_pictures_too_small_for_a_face_are_not_searched(size: tuple[int, int]) -> None:
    detector = ToldDetector((face_at(0, 0, 80),))
    assert failure(acquire_face(Image.new("RGB", size), detector)).reason == FailureReason.TOO_SMALL
    assert detector.seen == []


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [Image.new("L", (120, 120), value) for value in (200, 10)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert Image.open(tmp_path / "moving.gif").n_frames == 2
    face = acquired(acquire_face(tmp_path / "moving.gif", ToldDetector((face_at(60, 60, 60),))))
    assert (np.asarray(face.crop) == 200).all()


def test_the_detector_sees_an_upright_rgb_picture(tmp_path: Path) -> None:
    grey = np.ascontiguousarray(NOISE[:, :, 0])
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90 degrees counter-clockwise
    Image.fromarray(grey).save(tmp_path / "turned.png", exif=exif)
    detector = ToldDetector((face_at(100, 150, 80),))
    acquired(acquire_face(tmp_path / "turned.png", detector))
    (seen,) = detector.seen
    assert np.array_equal(seen, np.repeat(np.rot90(grey)[:, :, None], 3, axis=2))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on what it skips
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@settings(max_examples=40)
@given(data=st.data())
def test_damage_anywhere_never_raises(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(Image.fromarray(NOISE[:40, :40]), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] = data.draw(st.integers(0, 255))
    stop = data.draw(st.integers(0, len(content)))
    outcome = acquire_face({"bytes": bytes(content[:stop]), "path": None}, ToldDetector((face_at(20, 20, 30),)))
    assert isinstance(outcome, AcquiredFace | FailureToAcquire)
