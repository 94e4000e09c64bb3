"""Published weights on real pictures: what is claimed in the README holds in kind, on any machine.

The README's exact figures come from `scripts/reproduce_cufs.py`. The bounds here leave room for the few comparisons
that another processor's rounding can tip: one LFW pair is 0.03 points, one sketch is a whole point.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_crossspec import SelectiveTuningArguments, convert_checkpoint, evaluate_model, train_adapter

pytestmark = pytest.mark.slow


def lfw_accuracy(data: Path, model: Path, adapter: Path | None = None) -> float:
    lfw = data / "lfw"
    report, _ = evaluate_model(
        model, lfw / "lfw_aligned112_folds0-4.parquet", adapter=adapter, pairs=lfw / "pairs_folds0-4.csv"
    )
    assert report["counts"]["mated"] + report["counts"]["non_mated"] == 2_963
    return float(report["metrics"]["accuracy"]["value"])


def rank_1(model: Path, faces: Path, adapter: Path | None = None) -> float:
    report, _ = evaluate_model(
        model, faces, adapter=adapter, split="test", gallery_modality="vis", probe_modality="sketch"
    )
    assert report["counts"]["mated"] == 100
    return float(report["metrics"]["rank_1"]["value"])


def test_xs_recognises_lfw(real_data: Path, tmp_path: Path) -> None:
    convert_checkpoint(real_data / "weights" / "edgeface_xs_q.pt", tmp_path / "xs", "cc-by-nc-sa-4.0")
    assert lfw_accuracy(real_data, tmp_path / "xs") >= 0.99


def test_defaults_gain_sketches_and_keep_photos(real_data: Path, xxs: Path, cufs: Path, tmp_path: Path) -> None:
    run = train_adapter(
        SelectiveTuningArguments(
            base=str(xxs), data=str(cufs), target_modality="sketch", output_dir=str(tmp_path / "run")
        )
    )
    assert (run.subjects, run.pairs, run.trainable_parameters) == (88, 88, 4_504)
    assert (run.adapter_dir / "adapter_model.safetensors").stat().st_size <= 30_000
    before, after = rank_1(xxs, cufs), rank_1(xxs, cufs, run.adapter_dir)
    assert before == pytest.approx(0.71, abs=0.02)
    assert 1 - after <= (1 - before) / 3
    photos_before, photos_after = lfw_accuracy(real_data, xxs), lfw_accuracy(real_data, xxs, run.adapter_dir)
    assert photos_before >= 0.99
    assert photos_after >= photos_before - 0.0025
