"""YuNet on real photographs: every face found, of whatever file, and crops by which people are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_crossspec import FaceEmbedder
from hf_crossspec.faces.acquisition import AcquiredFace, FailureReason, FailureToAcquire, acquire_face
from hf_crossspec.faces.yunet import YuNetDetector


@pytest.fixture(scope="module")
def faces(yunet: YuNetDetector, sample: list[Path]) -> list[AcquiredFace | FailureToAcquire]:
    return [acquire_face(path, yunet) for path in sample]


def test_every_face_of_the_sample_is_found(faces: list[AcquiredFace]) -> None:
    assert len(faces) == 42
    for face in faces:
        assert isinstance(face, AcquiredFace)
        assert face.box is not None
        centre = np.array(face.box[:2]) + np.array(face.box[2:]) / 2
        assert np.abs(centre - 125).max() < 30  # that of the person named, not of a bystander


def test_embeddings_tell_the_people_apart(faces: list[AcquiredFace], sample: list[Path], xxs: Path) -> None:
    """EdgeFace-xxs, cosine of the 21 pairs of one person and the 840 of two: a threshold of 0.35 parts them."""
    embeddings = FaceEmbedder.from_pretrained(xxs).embed_images(face.crop for face in faces)
    people = np.array([path.stem.rsplit("_", 1)[0] for path in sample])
    scores = embeddings @ embeddings.T
    first, second = np.triu_indices(42, 1)
    same = people[first] == people[second]
    mated, others = scores[first, second][same], scores[first, second][~same]
    assert (len(mated), len(others)) == (21, 840)
    assert mated.min() > 0.35 > others.max()


def test_twenty_faces_are_counted(yunet: YuNetDetector, sample: list[Path]) -> None:
    mosaic = Image.new("RGB", (1250, 1000))
    for number, path in enumerate(sample[:40:2]):
        mosaic.paste(Image.open(path), (250 * (number % 5), 250 * (number // 5)))
    face = acquire_face(mosaic, yunet)
    assert isinstance(face, AcquiredFace)
    assert face.faces == 20
    only = acquire_face(mosaic, yunet, choose="only")
    assert isinstance(only, FailureToAcquire)
    assert (only.reason, only.faces) == (FailureReason.SEVERAL_FACES, 20)


def test_nothing_is_found_where_there_is_nothing(yunet: YuNetDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (250, 250, 3), dtype=np.uint8)
    gradient = np.tile(np.arange(250, dtype=np.uint8), (250, 1))
    for picture in (noise, gradient, np.full((250, 250), 30_000, np.uint16)):
        outcome = acquire_face(picture, yunet)
        assert isinstance(outcome, FailureToAcquire)
        assert outcome.reason == FailureReason.NO_FACE


@pytest.mark.parametrize(("mode", "tolerance"), [("L", 8), ("RGBA", 0.1), ("CMYK", 0.1), ("P", 8)])
def test_the_same_face_in_other_modes(
    yunet: YuNetDetector, faces: list[AcquiredFace], sample: list[Path], mode: str, tolerance: float
) -> None:
    """Pixels, of a face 100 wide; without colours, or with few, YuNet's landmarks move."""
    face = acquire_face(Image.open(sample[0]).convert(mode), yunet)
    assert_same_place(face, faces[0], tolerance)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_set_upright(
    yunet: YuNetDetector, faces: list[AcquiredFace], sample: list[Path], tmp_path: Path, orientation: int
) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition whose inverse the orientation stands for
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.open(sample[0]).transpose(Image.Transpose(undo[orientation]))
    stored.save(tmp_path / "turned.png", exif=exif)
    face = acquire_face(tmp_path / "turned.png", yunet)
    assert_same_place(face, faces[0], 0.1)


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken pixels"])
def test_simulated_thermal_pictures(
    yunet: YuNetDetector, faces: list[AcquiredFace], sample: list[Path], tmp_path: Path, broken: bool
) -> None:
    """Simulated from photographs: 293 to 308 kelvin in hundredths with noise, a file of 16 bits; or degrees Celsius
    in floating point with one pixel in a hundred missing."""
    generator = np.random.default_rng(0)
    for number in range(0, 42, 6):
        grey = np.asarray(Image.open(sample[number]).convert("L")).astype(np.float64)
        kelvin = (29_300 + grey * (1_500 / 255) + generator.normal(0, 5, grey.shape)).round().astype(np.uint16)
        kelvin[0, :3] = 65_535
        Image.fromarray(kelvin).save(tmp_path / "thermal.tiff")
        celsius = (kelvin / 100 - 273.15).astype(np.float32)
        celsius[generator.random(grey.shape) < 0.01] = np.nan
        face = acquire_face(celsius if broken else tmp_path / "thermal.tiff", yunet)
        assert_same_place(face, faces[number], 8)
        assert face.crop.mode == "L"
        assert np.asarray(face.crop).std() > 20


def assert_same_place(face: AcquiredFace | FailureToAcquire, expected: AcquiredFace, tolerance: float) -> None:
    assert isinstance(face, AcquiredFace), face
    assert np.abs(face.landmarks - expected.landmarks).max() < tolerance
