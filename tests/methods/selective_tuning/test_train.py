"""Training through its Python door: it learns, keeps the best, and refuses what it cannot use."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from hf_crossspec import InputError, SelectiveTuningArguments, evaluate_model, train_adapter
from tests.conftest import simulated_pairs


def arguments(base: Path, data: Path, output: Path, **changes: object) -> SelectiveTuningArguments:
    defaults = {"epochs": 15, "batch_size": 8, "learning_rate": 3e-3, "target_modality": "nir", "distill_weight": 0.25}
    values = {**defaults, "base": str(base), "data": str(data), "output_dir": str(output), **changes}
    return SelectiveTuningArguments(**values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tiny_base: Path, tiny_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    evaluation = {"eval_data": str(tiny_pairs), "eval_split": "test", "evaluate_every": 1}
    result = train_adapter(arguments(tiny_base, tiny_pairs, folder, **evaluation))
    assert (result.subjects, result.pairs) == (12, 24)
    return folder


def log_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_unseen_subjects_are_recognised_better(run: Path, tiny_base: Path, tiny_pairs: Path) -> None:
    sides = {"gallery_modality": "vis", "probe_modality": "nir", "split": "test"}
    before, _ = evaluate_model(tiny_base, tiny_pairs, **sides)  # type: ignore[arg-type]
    after, _ = evaluate_model(tiny_base, tiny_pairs, adapter=run, **sides)  # type: ignore[arg-type]
    assert after["metrics"]["auc"]["value"] > before["metrics"]["auc"]["value"] + 0.1


def test_the_best_evaluation_is_kept(run: Path, tiny_base: Path, tiny_pairs: Path) -> None:
    evaluations = [entry for entry in log_of(run) if "evaluation" in entry]
    assert len(evaluations) == 15
    errors = [entry["evaluation"]["eer"] for entry in evaluations]  # type: ignore[index]
    result = json.loads((run / "result.json").read_text())
    assert result["best"]["value"] == min(errors)
    assert result["best"]["step"] == evaluations[int(np.argmin(errors))]["step"]
    again, _ = evaluate_model(
        tiny_base, tiny_pairs, adapter=run, split="test", gallery_modality="vis", probe_modality="nir"
    )
    assert again["metrics"]["eer"]["value"] == pytest.approx(min(errors), abs=1e-9)


def test_the_folder_is_an_ordinary_peft_adapter(run: Path, tiny_base: Path) -> None:
    config = json.loads((run / "adapter_config.json").read_text())
    assert (config["peft_type"], config["base_model_name_or_path"]) == ("LN_TUNING", str(tiny_base))
    assert config["modules_to_save"] is None
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_base), run)
    assert model(pixel_values=torch.zeros(1, 3, 112, 112)).embeddings.shape == (1, 32)
    assert not (run / "README.md").exists()


def test_without_evaluation_the_last_state_is_kept(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    result = train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", epochs=2))
    assert result.best is None
    assert (tmp_path / "run" / "adapter_model.safetensors").stat().st_size > 0
    assert result.steps == 6


def test_teacher_is_computed_once_without_augmentation(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    """The cache changes nothing: full distillation of an untouched network costs nothing in the first step."""
    train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", epochs=1, augment=False, distill_weight=1.0))
    assert log_of(tmp_path / "run")[0]["distillation"] == pytest.approx(0, abs=1e-5)


def test_gradient_accumulation_counts_optimiser_steps(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    result = train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", epochs=4, gradient_accumulation=3))
    assert result.steps == 4
    assert [entry["step"] for entry in log_of(tmp_path / "run")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_bf16_runs_and_saves_float32(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    """In a process of its own: a process trains in one precision, and says so when asked for another."""
    train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "here", epochs=1))
    with pytest.raises(InputError, match="mixed_precision='bf16'"):
        train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", epochs=1, mixed_precision="bf16"))
    options = ["--base", tiny_base, "--data", tiny_pairs, "--output-dir", tmp_path / "run", "--target-modality", "nir"]
    options += ["--epochs", "1", "--mixed-precision", "bf16"]
    subprocess.run([sys.executable, "-m", "hf_crossspec.cli", "train", *options], check=True, timeout=120)
    tensors = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_a_tracker_is_used(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", epochs=1, tracker="tensorboard"))
    assert list((tmp_path / "run").rglob("events.*"))


def test_evaluation_on_training_subjects_is_refused(
    run: Path, tiny_base: Path, tiny_pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="12 evaluation subjects are also trained on"):
        evaluation = {"eval_data": str(tiny_pairs), "eval_split": "train"}
        train_adapter(arguments(tiny_base, tiny_pairs, tmp_path / "run", **evaluation))
    assert not (tmp_path / "run").exists()
    sides = {"gallery_modality": "vis", "probe_modality": "nir", "split": "train"}
    with pytest.raises(InputError, match="12 of the evaluated subjects were trained on"):
        evaluate_model(tiny_base, tiny_pairs, adapter=run, **sides)  # type: ignore[arg-type]
    result, _ = evaluate_model(tiny_base, tiny_pairs, adapter=run, same_ids_are_others=True, **sides)  # type: ignore[arg-type]
    assert result["counts"]["subject_ids_shared_with_training"] == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_modality": "thermal"}, "'thermal'; the data set has nir, vis"),
        ({"target_modality": "vis"}, "must differ"),
        ({"split": "dev"}, "no split 'dev'"),
        ({"base": "no/such"}, "no/such"),
        ({"scope": "all"}, "unknown scope"),
        ({"epochs": 0}, "epochs"),
        ({"distill_weight": 2.0}, "distill_weight"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"mixed_precision": "fp8"}, "mixed_precision"),
    ],
)
def test_unusable_arguments_write_nothing(
    tiny_base: Path, tiny_pairs: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_adapter(replace(arguments(tiny_base, tiny_pairs, tmp_path / "run"), **changes))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_data_without_pairs_write_nothing(tiny_base: Path, tmp_path: Path) -> None:
    one = simulated_pairs(range(1))
    one.to_parquet(str(tmp_path / "one.parquet"))
    with pytest.raises(InputError, match="at least two subjects"):
        train_adapter(arguments(tiny_base, tmp_path / "one.parquet", tmp_path / "run"))
    rows = simulated_pairs(range(4))
    apart = rows.filter(lambda row: (row["modality"] == "vis") == (row["subject_id"] < "s002"))
    apart.to_parquet(str(tmp_path / "apart.parquet"))
    with pytest.raises(InputError, match="no subject has pictures of both"):
        train_adapter(arguments(tiny_base, tmp_path / "apart.parquet", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_divergence_keeps_the_last_good_checkpoint(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    args = arguments(tiny_base, tiny_pairs, tmp_path / "run", learning_rate=1e18, checkpoint_every=1, epochs=40)
    with pytest.raises(InputError, match="not finite at step"):
        train_adapter(args)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] >= 1
    assert all(torch.isfinite(value).all() for value in state["trained"].values())
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "adapter_model.safetensors").exists()
