"""Scopes: exactly the intended parameters, one plain PEFT adapter, nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForFeatureExtraction, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModel

from hf_crossspec import EdgeFaceConfig, EdgeFaceModel, InputError, selective_tuning_config
from hf_crossspec.methods.selective_tuning.config import SCOPES
from hf_crossspec.methods.selective_tuning.scopes import trainable_parameters
from tests.conftest import tiny_config

PICTURES = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
BUDGETS = {  # leaf modules only: bare layer scales and temperatures stay frozen
    ("xxs", None): (3_328, 4_504, 14_440, 70_456, None),
    ("xs", None): (5_080, 6_648, None, None, None),
    ("s", 0.5): (8_000, 10_352, None, None, None),
    ("base", None): (14_576, 18_496, None, None, None),
}


@pytest.mark.parametrize(("variant", "gamma"), list(BUDGETS))
def test_published_budgets(variant: str, gamma: float | None) -> None:
    config = EdgeFaceConfig.for_variant(variant, low_rank_gamma=gamma)
    for scope, budget in zip(SCOPES, BUDGETS[variant, gamma], strict=True):
        if budget is not None:
            with torch.device("meta"):
                base = EdgeFaceModel(config)
            model = get_peft_model(base, selective_tuning_config(scope, low_rank=gamma is not None))
            assert trainable_parameters(model) == budget, scope


def expected_leaves(model: EdgeFaceModel, scope: str) -> set[str]:
    """The scope in words: every LayerNorm, the stem's convolution, all leaves with weights of the named stages."""
    stages = [digit for digit in scope if digit.isdigit()]
    names = set()
    for name, module in model.named_modules():
        leaf = not list(module.children()) and bool(list(module.parameters()))
        inside = any(name.startswith(f"net.stages.{stage}.") for stage in stages)
        if leaf and (isinstance(module, nn.LayerNorm) or (scope != "ln" and name == "net.stem.0") or inside):
            names.add(name)
    return names


@pytest.mark.parametrize("low_rank", [False, True])
@pytest.mark.parametrize("scope", SCOPES)
def test_targets_are_the_leaves_the_scope_names(scope: str, low_rank: bool) -> None:
    model = EdgeFaceModel(tiny_config(low_rank_gamma=0.5 if low_rank else None))
    expected = expected_leaves(model, scope)
    tuned = get_peft_model(model, selective_tuning_config(scope, low_rank))
    found = {name.split(".ln_tuning_layers")[0] for name, p in tuned.named_parameters() if p.requires_grad}
    assert {name.removeprefix("base_model.model.") for name in found} == expected


@pytest.mark.parametrize("low_rank", [False, True])
@pytest.mark.parametrize("scope", SCOPES)
def test_fresh_trained_disabled_saved_merged(tmp_path: Path, scope: str, low_rank: bool) -> None:
    base = EdgeFaceModel(tiny_config(low_rank_gamma=0.5 if low_rank else None)).eval()
    base.save_pretrained(tmp_path / "base")
    frozen = {name: value.clone() for name, value in base.state_dict().items()}
    with torch.no_grad():
        before = base(pixel_values=PICTURES).embeddings
    tuned = get_peft_model(base, selective_tuning_config(scope, low_rank))
    tuned.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    with torch.no_grad():
        assert torch.equal(tuned(pixel_values=PICTURES).embeddings, before)
    optimizer = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=0.1)
    tuned(pixel_values=PICTURES).embeddings.square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        after = tuned(pixel_values=PICTURES).embeddings
        assert not torch.allclose(after, before)
        with tuned.disable_adapter():
            assert torch.equal(tuned(pixel_values=PICTURES).embeddings, before)
    tuned.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
        assert torch.equal(loaded(pixel_values=PICTURES).embeddings, after)
        auto = AutoPeftModelForFeatureExtraction.from_pretrained(tmp_path / "adapter")
        assert torch.equal(auto(pixel_values=PICTURES).embeddings, after)
        loaded.merge_and_unload().save_pretrained(tmp_path / "merged")
        merged = AutoModel.from_pretrained(tmp_path / "merged")
        torch.testing.assert_close(merged(pixel_values=PICTURES).embeddings, after, atol=1e-6, rtol=0)
        tuned.unload()
    assert all(torch.equal(value, frozen[name]) for name, value in base.state_dict().items())


def test_unknown_scope_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"ln\+stem\+stages012"):
        selective_tuning_config("everything")
