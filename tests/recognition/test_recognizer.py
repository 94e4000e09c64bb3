"""The recogniser: routing, decisions, failures as results, galleries, threads; and real photographs end to end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_crossspec import (
    FaceEmbedder,
    FailureReason,
    InputError,
    LowRankArguments,
    calibrate,
    fit_low_rank,
    load_faces,
)
from hf_crossspec.recognition.export import export_network
from hf_crossspec.recognition.recognizer import Recognizer
from hf_crossspec.recognition.results import Decision, Threshold
from tests.conftest import simulated_pairs
from tests.faces.conftest import ToldDetector, face_at

Crops = dict[str, list[Path]]


@pytest.fixture(scope="module")
def recognizer(tiny_base: Path, adapters: dict[str, Path]) -> Recognizer:
    """Two adapters and the base."""
    return Recognizer.from_pretrained(tiny_base, adapters, aligned=True, batch_size=4)


@pytest.fixture(scope="module")
def calibrated(tiny_base: Path, adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the adapter nir with thresholds for vis and nir."""
    folder = tmp_path_factory.mktemp("calibrated") / "nir"
    folder.mkdir()
    for file in adapters["nir"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    data = simulated_pairs(range(200, 210))
    sides = {"gallery_modality": "vis", "probe_modality": "nir", "fmrs": (0.2, 0.1)}
    calibrate(tiny_base, data, adapter=folder, dev_split=None, **sides).save(folder / "calibration.json")
    return folder


def expected(crops: list[Path], model: Path, adapter: Path | None) -> np.ndarray:
    return FaceEmbedder.from_pretrained(model, adapter).embed_images(Image.open(path) for path in crops)


def test_each_picture_goes_through_its_modalitys_network(
    recognizer: Recognizer, tiny_base: Path, adapters: dict[str, Path], crops: Crops
) -> None:
    pictures = [*crops["vis"][:3], *crops["nir"][:3], crops["nir"][3]]
    modalities = ["vis", "nir", None, "thermal", "nir", "thermal", "vis"]
    faces = recognizer.embed(pictures, modalities)
    for path, modality, face in zip(pictures, modalities, faces, strict=True):
        reference = expected([path], tiny_base, adapters.get(modality or ""))[0]
        assert face.embedding is not None
        np.testing.assert_allclose(face.embedding, reference, atol=1e-5)
        assert (face.name, face.modality, face.failure) == (str(path), modality, None)


def test_a_comparison_takes_place_in_one_network(
    recognizer: Recognizer, tiny_base: Path, adapters: dict[str, Path], crops: Crops
) -> None:
    vis, nir = crops["vis"][0], crops["nir"][0]
    left, right = expected([vis, nir], tiny_base, adapters["nir"])
    for pictures, modalities in (((vis, nir), ("vis", "nir")), ((nir, vis), ("nir", None))):
        result = recognizer.verify(*pictures, modalities)
        assert result.score == pytest.approx(float(left @ right), abs=1e-5)
    with pytest.raises(InputError, match="nir and thermal have an adapter each"):
        recognizer.verify(vis, nir, ("nir", "thermal"))


def test_decisions(tiny_base: Path, calibrated: Path, crops: Crops) -> None:
    recognizer = Recognizer.from_pretrained(tiny_base, calibrated, aligned=True)
    result = recognizer.verify(crops["vis"][0], crops["nir"][0], ("vis", "nir"))
    assert result.threshold is not None and result.threshold.entry is not None and result.score is not None
    assert result.threshold.fmr == 0.1  # the lowest that was calibrated
    assert result.threshold.value == result.threshold.entry.threshold
    assert result.log_likelihood_ratio == pytest.approx(float(result.threshold.entry.llr(result.score)))
    wide = Recognizer.from_pretrained(tiny_base, calibrated, aligned=True, fmr=0.2)
    other = wide.verify(crops["vis"][0], crops["nir"][0], ("nir", "vis")).threshold
    assert other is not None and other.fmr == 0.2 and other.value <= result.threshold.value
    assert recognizer.verify(crops["vis"][0], crops["nir"][0]).decision == Decision.UNCERTAIN
    unknown = recognizer.verify(crops["vis"][0], crops["nir"][0], ("vis", "thermal"))
    assert unknown.decision == Decision.UNCERTAIN
    assert "no calibrated threshold for vis and thermal" in unknown.reason
    with pytest.raises(InputError, match="vis and thermal are not calibrated"):
        wide.verify(crops["vis"][0], crops["nir"][0], ("vis", "thermal"))
    with pytest.raises(InputError, match="give those of both pictures"):
        wide.verify(crops["vis"][0], crops["nir"][0])
    with pytest.raises(InputError, match=r"no calibration\.json"):
        Recognizer.from_pretrained(tiny_base, aligned=True, fmr=0.2).verify(*crops["vis"][:2], ("vis", "vis"))
    with pytest.raises(FrozenInstanceError):
        result.score = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("score", "decision"),
    [(0.2, "no match"), (0.29, "no match"), (0.3, "uncertain"), (0.4, "uncertain"), (0.5, "match"), (0.6, "match")],
)
def test_a_score_within_the_thresholds_interval_is_uncertain(score: float, decision: str) -> None:
    assert Threshold(0.4, 0.3, 0.5).decide(score)[0] == decision


@pytest.mark.parametrize(("score", "decision"), [(0.39, "no match"), (0.4, "match"), (0.41, "match")])
def test_a_threshold_of_the_users_own_has_no_interval(score: float, decision: str) -> None:
    assert Threshold.chosen(0.4).decide(score)[0] == decision


def test_a_failure_to_acquire_is_a_result(tiny_base: Path, crops: Crops, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    picture = Image.new("RGB", (300, 300), "grey")
    with Recognizer.from_pretrained(tiny_base, detector=ToldDetector(), threshold=0.5) as recognizer:
        faces = recognizer.embed([picture, tmp_path / "broken.png", tmp_path / "none.png", np.full((9, 9), np.nan)])
        assert [face.failure.reason for face in faces if face.failure] == [
            FailureReason.NO_FACE, FailureReason.UNREADABLE, FailureReason.UNREADABLE, FailureReason.UNREADABLE,
        ]  # fmt: skip
        assert all(face.embedding is None for face in faces)
        result = recognizer.verify(picture, tmp_path / "broken.png")
        assert (result.decision, result.score, len(result.failures)) == (Decision.UNCERTAIN, None, 2)
        assert "picture 1" in result.reason and "broken.png" in result.reason
        with recognizer.open_gallery(tmp_path / "gallery", create=True) as gallery:
            enrollment = recognizer.enroll(gallery, "nobody", [picture])
            assert (enrollment.enrolled, len(enrollment.failures), len(gallery)) == (0, 1, 0)
            assert recognizer.identify(picture, gallery).failures[0].reason == FailureReason.NO_FACE
    found = Recognizer.from_pretrained(tiny_base, detector=ToldDetector((face_at(150, 150, 120),)), threshold=0.5)
    assert found.verify(picture, picture).decision == Decision.MATCH


def test_a_gallery_belongs_to_one_network(
    recognizer: Recognizer, tiny_base: Path, adapters: dict[str, Path], crops: Crops, tmp_path: Path
) -> None:
    with recognizer.open_gallery(tmp_path / "gallery", "nir", create=True) as gallery:
        people = {path.name[:4]: [path] for path in crops["vis"][::2]}
        assert sum(one.enrolled for one in recognizer.enroll_many(gallery, people)) == 6
        result = recognizer.identify(crops["nir"][1], gallery, top_k=4, modality="nir")
        assert len(result.candidates) == 4 and result.enrolled == 6
        templates = expected(crops["vis"][::2], tiny_base, adapters["nir"])
        probe = expected([crops["nir"][1]], tiny_base, adapters["nir"])[0]
        order = np.argsort(-(templates @ probe))[:4]
        assert [candidate.subject_id for candidate in result.candidates] == [f"s{row:03d}" for row in order]
        assert result.candidates[0].score == pytest.approx(float((templates @ probe).max()), abs=1e-5)
        with pytest.raises(InputError, match="thermal probes have an adapter of their own"):
            recognizer.identify(crops["nir"][1], gallery, modality="thermal")
    with pytest.raises(InputError, match="was made with"):
        recognizer.open_gallery(tmp_path / "gallery", "thermal")
    alone = Recognizer.from_pretrained(tiny_base, aligned=True)
    with recognizer.open_gallery(tmp_path / "gallery", "nir") as gallery, pytest.raises(InputError, match="made by"):
        alone.enroll(gallery, "x", crops["vis"][:1])


def test_the_bound_on_false_positives_counts_the_enrolled(
    tiny_base: Path, calibrated: Path, crops: Crops, tmp_path: Path
) -> None:
    recognizer = Recognizer.from_pretrained(tiny_base, calibrated, aligned=True)
    with recognizer.open_gallery(tmp_path / "gallery", create=True) as gallery:
        assert recognizer.identify(crops["nir"][0], gallery, modality="nir").decision == Decision.NO_MATCH
        recognizer.enroll_many(gallery, {path.name: [path] for path in crops["vis"][:3]})
        assert recognizer.identify(crops["nir"][0], gallery, modality="nir").false_positive_bound == pytest.approx(0.3)
        recognizer.enroll_many(gallery, {path.name: [path] for path in crops["vis"][3:]})
        assert recognizer.identify(crops["nir"][0], gallery, modality="nir").false_positive_bound == 1
        assert recognizer.identify(crops["nir"][0], gallery).false_positive_bound is None


def test_threads_may_share_a_recognizer(recognizer: Recognizer, crops: Crops) -> None:
    jobs = [(path, modality) for path in crops["vis"] for modality in ("vis", "nir", "thermal")] * 2
    alone = [recognizer.embed([path], modality)[0].embedding for path, modality in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: recognizer.embed([job[0]], job[1])[0].embedding, jobs))
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-6)


def test_a_folder_is_embedded_in_order(recognizer: Recognizer, crops: Crops, tmp_path: Path) -> None:
    for number, path in enumerate(crops["vis"]):
        frame = tmp_path / f"{number % 2}" / f"{number:02d}.png"
        frame.parent.mkdir(exist_ok=True)
        frame.write_bytes(path.read_bytes())
    (tmp_path / "0" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    faces = list(recognizer.embed_folder(tmp_path, "nir", progress=False))
    assert [Path(face.name).name for face in faces] == [
        *(f"{number:02d}.png" for number in range(0, 12, 2)), "notes.txt",
        *(f"{number:02d}.png" for number in range(1, 12, 2)),
    ]  # fmt: skip
    assert [face.name for face in faces if face.failure] == [str(tmp_path / "0" / "notes.txt")]
    whole = recognizer.embed(crops["vis"], "nir")
    first = next(face for face in faces if face.name.endswith("05.png")).embedding
    np.testing.assert_allclose(first, whole[5].embedding, atol=1e-6)
    with pytest.raises(InputError, match="is not a folder"):
        list(recognizer.embed_folder(tmp_path / "missing"))


def test_an_exported_file_and_a_low_rank_embedding_work_in_it(
    tiny_base: Path, calibrated: Path, crops: Crops, tmp_path: Path
) -> None:
    """The same scores, thresholds and galleries through a file; a gallery of the bare adapter refuses low-rank."""
    export_network(tiny_base, tmp_path / "face.onnx", calibrated)
    plain = Recognizer.from_pretrained(tiny_base, calibrated, aligned=True)
    exported = Recognizer.from_pretrained(tmp_path / "face.onnx", aligned=True)
    pair, modalities = (crops["vis"][0], crops["nir"][0]), ("vis", "nir")
    first, second = plain.verify(*pair, modalities), exported.verify(*pair, modalities)
    assert first.score == pytest.approx(second.score, abs=1e-5)
    assert first.threshold == second.threshold
    with plain.open_gallery(tmp_path / "gallery", create=True) as gallery:
        plain.enroll(gallery, "ada", crops["vis"][:2])
        assert exported.identify(crops["vis"][0], gallery).candidates[0].subject_id == "ada"
    with pytest.raises(InputError, match="exported whole"):
        Recognizer.from_pretrained(tmp_path / "face.onnx", calibrated)

    arguments = {"model": str(tiny_base), "adapter": str(calibrated), "validation_folds": 0, "iterations": 2}
    simulated_pairs(range(20, 30)).to_parquet(str(tmp_path / "faces.parquet"))
    fit_low_rank(
        LowRankArguments(
            **arguments, data=str(tmp_path / "faces.parquet"), split=None, target_modality="nir",  # type: ignore[arg-type]
            output_dir=str(tmp_path / "low-rank"),
        )
    )  # fmt: skip
    both = Recognizer.from_pretrained(tiny_base, calibrated, low_rank=tmp_path / "low-rank", aligned=True)
    reference = FaceEmbedder.from_pretrained(tiny_base, calibrated, tmp_path / "low-rank")
    left, right = reference.embed_images(Image.open(path) for path in pair)
    assert both.verify(*pair).score == pytest.approx(float(left @ right), abs=1e-5)
    assert both.verify(*pair, modalities).threshold is None  # the adapter's thresholds are not for it
    with pytest.raises(InputError, match="was made with"):
        both.open_gallery(tmp_path / "gallery")


def test_what_cannot_be_is_refused(recognizer: Recognizer, tiny_base: Path, crops: Crops) -> None:
    with pytest.raises(InputError, match="not both"):
        Recognizer.from_pretrained(tiny_base, fmr=0.1, threshold=0.3)
    with pytest.raises(InputError, match="3 pictures, but 2 modalities"):
        recognizer.embed(crops["vis"][:3], ["vis", "vis"])
    with pytest.raises(InputError, match="a backend is one of"):
        Recognizer.from_pretrained(tiny_base, backend="tpu")  # type: ignore[arg-type]


@pytest.mark.slow
def test_real_photographs_are_told_apart_at_a_calibrated_threshold(
    xxs: Path,
    real_data: Path,
    yunet_file: Path,
    sample: list[Path],
    tmp_path: Path,
) -> None:
    """EdgeFace-xxs: a threshold for an FMR of 0.1 % from 400 other people's LFW pictures, then 42 raw photographs."""
    people = [path.stem.rsplit("_", 1)[0] for path in sample]
    faces = load_faces(real_data / "lfw" / "lfw_aligned112_folds0-4.parquet")
    others = sorted(set(faces["subject_id"]) - set(people))[:400]
    rows = [row for row, subject in enumerate(faces["subject_id"]) if subject in set(others)]
    calibration = calibrate(xxs, faces.select(rows), dev_split=None, gallery_modality="vis", probe_modality="vis")
    entry = calibration.threshold("vis", "vis", 1e-3)
    recognizer = Recognizer.from_pretrained(xxs, detector_path=yunet_file, threshold=entry.threshold)
    with recognizer, recognizer.open_gallery(tmp_path / "gallery", create=True) as gallery:
        for first, second, name in zip(sample[::2], sample[1::2], people[::2], strict=True):
            assert recognizer.verify(first, second).decision == Decision.MATCH
            assert recognizer.enroll(gallery, name, [first]).enrolled == 1
        for second, name in zip(sample[1::2], people[::2], strict=True):
            result = recognizer.identify(second, gallery)
            assert (result.decision, result.candidates[0].subject_id) == (Decision.MATCH, name)
            assert result.candidates[1].score < entry.threshold
