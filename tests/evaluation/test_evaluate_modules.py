"""The two `evaluate` modules, loaded as a user loads them, against scikit-learn and plain loops."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve, top_k_accuracy_score

import hf_crossspec.evaluation
from hf_crossspec.evaluation import Comparisons, evaluate_verification
from tests.local_hub.cards import check_card
from tests.local_hub.fixture import LocalHub

FOLDER = Path(hf_crossspec.evaluation.__file__).parent


@pytest.fixture(scope="module")
def verification(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluate.load(
        str(FOLDER / "face_verification"), cache_dir=str(tmp_path_factory.mktemp("cache")), keep_in_memory=True
    )


@pytest.fixture(scope="module")
def identification(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluate.load(
        str(FOLDER / "face_identification"), cache_dir=str(tmp_path_factory.mktemp("cache")), keep_in_memory=True
    )


@st.composite
def flagged_scores(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Scores with ties or without, and at least one of either flag."""
    value = draw(st.sampled_from([st.integers(-3, 3).map(lambda x: x / 7), st.floats(-1, 1)]))
    rows = draw(st.lists(st.tuples(value, st.integers(0, 1)), max_size=40))
    rows += [(draw(value), 1), (draw(value), 0)]
    return [score for score, _ in rows], [same for _, same in rows]


@given(data=flagged_scores(), target=st.sampled_from([0.0, 0.05, 0.3]))
@settings(max_examples=60)
def test_verification_equals_scikit_learn(
    verification: Any, data: tuple[list[float], list[int]], target: float
) -> None:
    scores, same = data
    result = verification.compute(predictions=scores, references=same, fmr_targets=[target])
    assert result["auc"] == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    fmr, tar, _ = roc_curve(same, scores, drop_intermediate=False)
    assert result[f"tar_at_fmr_{'0e0' if not target else f'{target:.0e}'.replace('e-0', 'e-')}"] == pytest.approx(
        tar[fmr <= target].max(), abs=1e-12
    )
    gaps = np.abs(fmr - (1 - tar))[1:]  # the first point, accept nothing, is not a score
    mean = ((fmr + 1 - tar) / 2)[1:]
    nearest = np.flatnonzero(gaps <= gaps.min() + 1e-12)[-1]
    assert result["eer"] == pytest.approx(mean[nearest], abs=1e-12)
    assert (result["mated"], result["non_mated"]) == (sum(same), len(same) - sum(same))


def test_verification_with_subjects_and_folds_is_the_whole_evaluation(verification: Any) -> None:
    rng = np.random.default_rng(0)
    probe, gallery = rng.integers(0, 6, 200), rng.integers(0, 6, 200)
    scores = rng.standard_normal(200) + 1.5 * (probe == gallery)
    names = [[f"s{code}" for code in side] for side in (probe, gallery)]
    folds = np.arange(200) % 5
    result = verification.compute(
        predictions=scores, references=probe == gallery, probe_subjects=names[0], gallery_subjects=names[1],
        folds=folds, replicates=50, seed=3, fmr_targets=[0.1],
    )  # fmt: skip
    expected = evaluate_verification(
        Comparisons(scores, probe, gallery, folds), replicates=50, seed=3, fmr_targets=[0.1]
    )["metrics"]
    for name in ("eer", "auc", "tar_at_fmr_1e-1"):
        for key, ours in (("value", name), ("low", f"{name}_low"), ("high", f"{name}_high")):
            assert result[ours] == expected[name][key]
    assert result["accuracy"] == expected["accuracy"]["value"]
    for start in range(0, 200, 50):
        verification.add_batch(
            predictions=scores[start : start + 50], references=(probe == gallery)[start : start + 50]
        )
    assert verification.compute(fmr_targets=[0.1])["eer"] == result["eer"]


@given(
    seed=st.integers(0, 10_000),
    probes=st.integers(1, 12),
    gallery=st.integers(1, 8),
    levels=st.sampled_from([None, 1, 2]),
)
@settings(max_examples=60)
def test_identification_equals_a_plain_loop(
    identification: Any, seed: int, probes: int, gallery: int, levels: int | None
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"s{number}" for number in range(gallery)]
    who = ["s0", *(f"s{number}" for number in rng.integers(0, gallery + 1, probes - 1))]
    scores = rng.standard_normal((probes, gallery))
    scores = scores if levels is None else np.round(scores * levels) / levels
    result = identification.compute(predictions=scores, references=who, gallery_subjects=names, ranks=[1, 2, 5])
    places = []
    for row, name in zip(scores.tolist(), who, strict=True):
        if name in names:
            mate = row[names.index(name)]
            places.append(sum(1 for score in row if score >= mate))
    for rank in (1, 2, 5):
        assert result[f"rank_{rank}"] == pytest.approx(np.mean([place <= rank for place in places]), abs=1e-12)
        assert result[f"rank_{rank}_low"] <= result[f"rank_{rank}"] <= result[f"rank_{rank}_high"]
    assert (result["probes"], result["probes_without_mate"]) == (len(places), probes - len(places))
    if levels is None and gallery > 2 and len(places) == probes:
        labels = [names.index(name) for name in who]
        top = top_k_accuracy_score(labels, scores, k=2, labels=np.arange(gallery))
        assert result["rank_2"] == pytest.approx(top, abs=1e-12)


def test_identification_of_embeddings(identification: Any) -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((9, 6))
    probe, enrolled = rng.integers(0, 9, 60), np.repeat(np.arange(9), 3)
    embeddings = [centres[codes] + 0.8 * rng.standard_normal((len(codes), 6)) for codes in (probe, enrolled)]
    result = identification.compute(
        predictions=embeddings[0], references=[f"p{code}" for code in probe],
        gallery_subjects=[f"p{code}" for code in enrolled], gallery_embeddings=embeddings[1],
    )  # fmt: skip
    probes, pictures = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in embeddings)
    templates = pictures.reshape(9, 3, 6).mean(axis=1)
    best = np.argmax(probes @ (templates / np.linalg.norm(templates, axis=1, keepdims=True)).T, axis=1)
    assert result["rank_1"] == np.mean(best == probe)
    assert result["gallery"] == 9


def test_bad_input_is_refused(verification: Any, identification: Any) -> None:
    with pytest.raises(ValueError, match="both sides"):
        verification.compute(predictions=[0.1, 0.2], references=[1, 0], probe_subjects=["a", "b"])
    with pytest.raises(ValueError, match="contradicts the subjects in 1 of 2"):
        verification.compute(
            predictions=[0.1, 0.2], references=[1, 0], probe_subjects=["a", "b"], gallery_subjects=["b", "a"]
        )
    with pytest.raises(ValueError, match="flags"):
        verification.compute(predictions=[0.1, 0.2], references=[1, 2])
    with pytest.raises(ValueError, match="there are no non-mated scores"):
        verification.compute(predictions=[0.1, 0.2], references=[1, 1])
    with pytest.raises(ValueError, match="gallery_subject has shape"):
        identification.compute(predictions=[[0.1, 0.2]], references=["a"], gallery_subjects=["a"])
    with pytest.raises(ValueError, match="as many numbers"):
        identification.compute(predictions=[[0.1, 0.2], [0.3]], references=["a", "b"], gallery_subjects=["a", "b"])


@pytest.mark.parametrize("name", ["face_verification", "face_identification"])
def test_each_folder_is_a_space(name: str) -> None:
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", (FOLDER / name / "README.md").read_text(), re.S).groups()  # type: ignore[union-attr]
    for line in ("sdk: static", "app_file: index.html", "- evaluate", "- metric", "license: apache-2.0"):
        assert line in front.splitlines()
    assert (FOLDER / name / "index.html").is_file()
    assert (FOLDER / name / "requirements.txt").read_text().startswith("hf-crossspec")
    code = re.search(r"```python\n(.*?)```", body, re.S).group(1)  # type: ignore[union-attr]
    exec(code.replace(f"path/to/{name}", str(FOLDER / name)), {})


@pytest.mark.slow
def test_they_load_from_a_space(local_hub: LocalHub, tmp_path: Path) -> None:
    code = f"""
    import evaluate, huggingface_hub
    folder = {str(FOLDER / "face_verification")!r}
    api = huggingface_hub.HfApi()
    api.create_repo("org/face_verification", repo_type="space", space_sdk="static")
    api.upload_folder(repo_id="org/face_verification", repo_type="space", folder_path=folder, ignore_patterns="*.pyc")
    metric = evaluate.load("org/face_verification")
    print(metric.compute(predictions=[0.9, 0.4, 0.5, 0.1], references=[1, 1, 0, 0], fmr_targets=[0.5]))
    """
    done = local_hub.run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'eer': 0.5, 'auc': 0.75, 'tar_at_fmr_5e-1': 1.0, 'mated': 2, 'non_mated': 2}"
    for name in ("face_verification", "face_identification"):
        assert check_card((FOLDER / name / "README.md").read_text(), "space") == ([], [])
