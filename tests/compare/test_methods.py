"""Every method trains exactly its parameters, starts as the base, gives the base back, and ships what it trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hf_crossspec import EdgeFaceModel, InputError, SelectiveTuningArguments
from hf_crossspec.compare.config import METHOD_NAMES
from hf_crossspec.compare.methods import ADAPTER_FILE, METHODS, TRAINED_FILE
from tests.conftest import tiny_config

PICTURES = torch.rand(4, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1


def base_model(low_rank: bool = False) -> EdgeFaceModel:
    torch.manual_seed(0)
    return EdgeFaceModel(tiny_config(low_rank_gamma=0.5 if low_rank else None)).eval()


def expected_count(method: str, base: EdgeFaceModel) -> int:
    """Trained parameters counted from the base's own modules, in the words of the method."""
    size = base.config.embedding_size
    leaves = {name: module for name, module in base.named_modules() if not list(module.children())}

    def count(chosen: dict[str, nn.Module]) -> int:
        return sum(p.numel() for module in chosen.values() for p in module.parameters())

    norms = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, nn.LayerNorm)}
    stem, stage0 = (
        {name: m for name, m in leaves.items() if name.startswith(p)} for p in ("net.stem.", "net.stages.0")
    )
    linears = [leaf for leaf in leaves.values() if isinstance(leaf, nn.Linear)]
    return {
        "linear-probe": size * size,
        "ln": count(norms),
        "ln+stem": count(norms | stem),
        "ln+stem+stage0": count(norms | stem | stage0),
        "bitfit": sum(leaf.bias.numel() for leaf in leaves.values() if getattr(leaf, "bias", None) is not None),
        "lora-rank1": sum(linear.in_features + linear.out_features for linear in linears),
        "lora": 4 * sum(linear.in_features + linear.out_features for linear in linears),
        "full": base.num_parameters(),
    }[method]


def arguments(method: str) -> SelectiveTuningArguments:
    return SelectiveTuningArguments(base="base", data="", target_modality="nir", output_dir="", seed=3)


def train_a_little(model: nn.Module) -> None:
    """Two steps of AdamW on everything that requires gradients."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    for _ in range(2):
        optimizer.zero_grad()
        model(pixel_values=PICTURES).embeddings.tanh().sum().backward()
        optimizer.step()


def test_the_names_are_those_of_the_command_line_and_each_has_as_many_rates() -> None:
    assert tuple(METHODS) == METHOD_NAMES
    assert {len(set(method.rates)) for method in METHODS.values()} == {3}


@pytest.mark.parametrize("low_rank", [False, True])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_exactly_its_parameters_are_trained_and_shipped(method: str, low_rank: bool, tmp_path: Path) -> None:
    expected = expected_count(method, base_model(low_rank))
    model = METHODS[method].adapt(base_model(low_rank), arguments(method))
    before = {name: value.clone() for name, value in model.named_parameters()}
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert sum(before[name].numel() for name in trained) == expected
    with torch.no_grad():
        untouched = base_model(low_rank)(pixel_values=PICTURES).embeddings
        torch.testing.assert_close(model(pixel_values=PICTURES).embeddings, untouched, atol=1e-5, rtol=1e-5)
    train_a_little(model)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == trained
    with torch.no_grad(), model.disable_adapter():
        assert torch.equal(model(pixel_values=PICTURES).embeddings, untouched)

    model.save_pretrained(str(tmp_path))
    (file,) = [tmp_path / name for name in (ADAPTER_FILE, TRAINED_FILE) if (tmp_path / name).exists()]
    assert sum(value.numel() for value in load_file(file).values()) == expected
    with torch.no_grad():
        after = model(pixel_values=PICTURES).embeddings
        loaded = METHODS[method].load(base_model(low_rank), tmp_path).eval()
        torch.testing.assert_close(loaded(pixel_values=PICTURES).embeddings, after, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(after, untouched, atol=1e-3)


def test_initial_values_follow_from_the_seed() -> None:
    first, second = (METHODS["lora"].adapt(base_model(), arguments("lora")).state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_another_methods_file_is_refused(tmp_path: Path) -> None:
    METHODS["bitfit"].build(base_model()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="does not hold"):
        METHODS["full"].load(base_model(), tmp_path)
