"""Mining: the right affine is found, strangers are rejected, patches spread over the face, the files tell."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from scipy.ndimage import gaussian_filter

from hf_crossspec.errors import InputError
from hf_crossspec.methods.hallucination.matching import MatchSettings, correlations, match_windows, register
from hf_crossspec.methods.hallucination.pairs import load_pairs
from hf_crossspec.methods.hallucination.patches import MiningSettings, mine_patches, spatially_uniform

PAPER = MatchSettings()


def texture(seed: int, side: int = 224, detail: float = 4) -> np.ndarray:
    """A smooth random picture (side, side, 3) uint8 whose channels agree in the main."""
    generator = np.random.default_rng(seed)
    shared = gaussian_filter(generator.normal(size=(side, side, 1)), (detail, detail, 0), mode="wrap")
    own = gaussian_filter(generator.normal(size=(side, side, 3)), (detail, detail, 0), mode="wrap")
    mixed = shared / shared.std() + 0.3 * own / own.std()
    return np.clip(128 + 40 * mixed, 0, 255).astype(np.uint8)


def other_spectrum(visible: np.ndarray) -> np.ndarray:
    """(H, W): mostly red, with another gain, curve and offset."""
    grey = visible @ np.array([0.6, 0.3, 0.1])
    return np.clip(30 + 0.7 * grey + 0.0006 * (grey - 128) ** 2, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(0, 1.0, (0, 0)), (4, 1.03, (3, -2)), (-5, 0.97, (-4, 4)), (0, 1.0, (7, 6))]
)
def test_the_affine_transform_is_found(angle: float, scale: float, shift: tuple[float, float]) -> None:
    visible = texture(1)
    affine = cv2.getRotationMatrix2D((111.5, 111.5), angle, scale)
    affine[:, 2] += shift
    warped = cv2.warpAffine(other_spectrum(visible), affine, (224, 224), flags=cv2.INTER_CUBIC)
    matches, counts = match_windows(warped, visible, PAPER)
    assert counts["tested"] == 14 * 14
    inner = [match for match in matches if 40 <= match.row <= 130 and 40 <= match.column <= 130]
    assert len(inner) >= 30  # of 49 or 64 windows that see no border of the warp
    back = cv2.invertAffineTransform(affine)  # from the warped picture to the visible one
    errors = []
    for match in inner:
        corner = np.array([match.column, match.row])
        middle = corner + 29.5
        found = match.transform @ [29.5, 29.5, 1] + corner
        errors.append(np.abs(found - back @ [*middle, 1]).max())
        assert match.patch.shape == (40, 40)
        assert match.visible.shape == (40, 40, 3)
        scores = correlations(match.patch, cv2.cvtColor(match.visible, cv2.COLOR_RGB2GRAY))
        assert (match.correlation, match.gradient_correlation) == pytest.approx(scores)
    assert np.median(errors) < 0.3
    assert np.median([match.correlation for match in inner]) > 0.9


def test_strangers_and_flat_windows_are_rejected() -> None:
    matches, counts = match_windows(other_spectrum(texture(1)), texture(2), PAPER)
    assert len(matches) <= 0.05 * counts["tested"]
    matches, counts = match_windows(np.full((224, 224), 90, np.uint8), texture(2), PAPER)
    assert not matches
    assert counts["flat"] == counts["tested"] == 196
    matches, _ = match_windows(255 - other_spectrum(texture(1)), texture(1), PAPER)  # a negative is no match
    assert not [match for match in matches if match.correlation < 0.4]


def test_giving_up_hopeless_windows_loses_nothing() -> None:
    visible = texture(3)
    noise = np.random.default_rng(0).normal(scale=25, size=(224, 224))
    noisy = np.clip(other_spectrum(visible) + noise, 0, 255).astype(np.uint8)
    quick, _ = match_windows(noisy, visible, PAPER)
    thorough, _ = match_windows(noisy, visible, MatchSettings(hopeless=-1.0))
    assert [(match.row, match.column) for match in quick] == [(match.row, match.column) for match in thorough]


def test_registration_gives_up_quietly_where_nothing_fits() -> None:
    flat = np.full((60, 60), 7, np.uint8)
    assert register(flat, flat, (0.0, 0.0), PAPER) is None


def test_correlations_by_hand() -> None:
    patch, other = texture(4, 40)[..., 0], texture(5, 40)[..., 1]
    expected = np.corrcoef(patch.ravel(), other.ravel())[0, 1]
    assert correlations(patch, other)[0] == pytest.approx(expected)
    assert correlations(patch, 255 - patch) == pytest.approx((-1.0, 1.0))
    assert correlations(patch, np.zeros_like(patch)) == (0.0, 0.0)


def test_pruning_evens_out_and_is_repeatable() -> None:
    generator = np.random.default_rng(0)
    places = np.repeat([[0, 0], [0, 6], [6, 0], [6, 6], [12, 12]], [200, 40, 50, 30, 3], axis=0)
    places = generator.permutation(places)
    kept = spatially_uniform(places, 1.5, seed=1)
    _, counts = np.unique(places[kept], axis=0, return_counts=True)
    assert sorted(counts.tolist()) == [3, 30, 40, 50, 60]  # the median is 40
    assert (np.diff(kept) > 0).all()
    assert np.array_equal(kept, spatially_uniform(places, 1.5, seed=1))
    assert not np.array_equal(kept, spatially_uniform(places, 1.5, seed=2))
    with pytest.raises(InputError, match="spread"):
        spatially_uniform(places, 0.5)


def faces(subjects: range = range(4), side: int = 80) -> Dataset:
    """Two visible pictures a subject, slightly moved and of other light, and one of the other spectrum."""
    rows = []
    for subject in subjects:
        base = texture(100 + subject, side, detail=3)
        moved = np.clip(np.roll(base, (2, -1), axis=(0, 1)) * 0.8 + 10, 0, 255).astype(np.uint8)
        for key, modality, pixels in (
            ("a", "vis", base), ("b", "vis", moved), ("c", "nir", other_spectrum(base)),
        ):  # fmt: skip
            row = {"image": PILImage.fromarray(pixels), "subject_id": f"s{subject}", "modality": modality}
            rows.append({**row, "key": f"s{subject}{key}"})
    text = Value("string")
    return Dataset.from_list(
        rows, features=Features({"image": Image(), "subject_id": text, "modality": text, "key": text})
    )


SETTINGS = MiningSettings(window=30, stride=10, crop=20)


def test_mined_files(tmp_path: Path) -> None:
    mined = mine_patches(faces(), tmp_path / "patches", "nir", settings=SETTINGS)
    counts = mined.counts
    assert counts["tested"] == 4 * 2 * 36
    assert counts["kept"] + sum(counts.get(name, 0) for name in REASONS) == counts["tested"]
    assert mined.patches == 2 * (counts["kept"] - counts["pruned"]) > 200
    names = {path.name for path in (tmp_path / "patches").iterdir()}
    assert names == {"train-00000-of-00001.parquet", "statistics.json", "map.png"}
    statistics = json.loads((tmp_path / "patches" / "statistics.json").read_text())
    assert statistics["windows"] == counts
    rows = Dataset.from_parquet(str(tmp_path / "patches" / "train-00000-of-00001.parquet"), cache_dir=str(tmp_path))
    assert set(rows["subject_id"]) == {"s0", "s1", "s2", "s3"}
    assert {row["vis_key"][:2] == row["key"][:2] == row["subject_id"] for row in rows} == {True}
    assert min(rows["correlation"]) >= 0.4
    first, second = rows[0], rows[1]
    assert (first["mirrored"], second["mirrored"]) == (False, True)
    for side in ("vis", "nir"):
        assert np.array_equal(np.array(first[side])[:, ::-1], np.array(second[side]))
        assert first[side].size == (20, 20)
    with PILImage.open(io.BytesIO((tmp_path / "patches" / "map.png").read_bytes())) as picture:
        assert picture.size[0] > 500


REASONS = ("flat", "hopeless", "not registered", "below the thresholds")


@pytest.mark.slow
def test_processes_give_the_same_patches(tmp_path: Path) -> None:
    for number in (1, 2):
        settings = MiningSettings(window=30, stride=10, crop=20, num_proc=number)
        mine_patches(faces(range(3)), tmp_path / str(number), "nir", settings=settings)
    one, two = (load_pairs(tmp_path / str(number), None, "nir") for number in (1, 2))
    assert one.fingerprint() == two.fingerprint()


def test_pictures_are_normalised_to_the_first_pair(tmp_path: Path) -> None:
    from hf_crossspec.methods.hallucination.pictures import Reference

    reference = Reference.of(texture(1).astype(float))
    normalised = reference.apply((texture(2) * 0.5 + 20).astype(np.float32)).astype(float)
    np.testing.assert_allclose(normalised.mean(axis=(0, 1)), reference.mean, atol=0.7)
    np.testing.assert_allclose(normalised.std(axis=(0, 1)), reference.std, rtol=0.03)
    mine_patches(faces(), tmp_path / "patches", "nir", settings=SETTINGS)
    pairs = load_pairs(tmp_path / "patches", None, "nir")
    expected = other_spectrum(texture(100, 80, detail=3))
    assert pairs.reference == pytest.approx((expected.mean(), expected.std()), abs=0.05)
    raw = MiningSettings(window=30, stride=10, crop=20, normalise=False)
    mine_patches(faces(), tmp_path / "raw", "nir", settings=raw)
    assert load_pairs(tmp_path / "raw", None, "nir").reference is None


def test_sizes_follow_the_papers() -> None:
    assert MiningSettings().match_settings(224) == PAPER
    half = MiningSettings().match_settings(112)
    assert (half.window, half.stride, half.crop) == (30, 6, 20)


@pytest.mark.parametrize(
    ("settings", "modality", "message"),
    [
        (MiningSettings(window=20, crop=21), "nir", "a crop of 21 in a window of 20"),
        (MiningSettings(window=90, crop=20), "nir", "pictures of 80 pixels"),
        (MiningSettings(window=30, crop=20, stride=0), "nir", "stride must be at least 1"),
        (MiningSettings(window=30, crop=20, least_sum=2.5), "nir", "no patch of nir fits"),
        (SETTINGS, "thermal", "no picture has the modality 'thermal'; the data set has nir, vis"),
        (SETTINGS, "vis", "not vis"),
    ],
)
def test_bad_input_is_refused(settings: MiningSettings, modality: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        mine_patches(faces(range(2)), tmp_path / "patches", modality, settings=settings)
    assert not (tmp_path / "patches").exists()
