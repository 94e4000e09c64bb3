"""Several adapters on one base: exact switching, through every door that users have, and mixtures refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModel

from hf_crossspec import FaceEmbedder, InputError, load_adapters, selective_tuning_config
from tests.conftest import tiny_config

PICTURES = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
MODALITIES = ("nir", "thermal", "sketch")


def save_adapter(base: Path, folder: Path, scope: str, seed: int) -> None:
    """An adapter whose weights are moved at random from the base's."""
    model = get_peft_model(AutoModel.from_pretrained(base), selective_tuning_config(scope))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(MODALITIES):
        save_adapter(tiny_base, folder / name, "ln+stem", seed)
    save_adapter(tiny_base, folder / "narrow", "ln", 9)
    return {path.name: path for path in folder.iterdir()}


def embed(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(pixel_values=PICTURES).embeddings


@pytest.fixture(scope="module")
def expected(tiny_base: Path, adapters: dict[str, Path]) -> dict[str, torch.Tensor]:
    """Embeddings of each adapter alone on a base of its own, and of the base."""
    alone = {
        name: embed(PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_base), adapters[name]).eval())
        for name in MODALITIES
    }
    assert len({tuple(values.flatten().tolist()) for values in alone.values()}) == 3
    return {**alone, "base": embed(AutoModel.from_pretrained(tiny_base))}


def test_switching_disabling_merging_unloading(
    tiny_base: Path, adapters: dict[str, Path], expected: dict[str, torch.Tensor]
) -> None:
    model = load_adapters(AutoModel.from_pretrained(tiny_base), {name: adapters[name] for name in MODALITIES})
    assert torch.equal(embed(model), expected["nir"])  # the first is active
    for name in ("thermal", "sketch", "nir", "thermal"):
        model.set_adapter(name)
        assert torch.equal(embed(model), expected[name]), name
        with model.disable_adapter():
            assert torch.equal(embed(model), expected["base"])
    model.set_adapter("sketch")
    merged = model.merge_and_unload()
    torch.testing.assert_close(embed(merged), expected["sketch"], atol=1e-6, rtol=0)
    again = load_adapters(AutoModel.from_pretrained(tiny_base), {"nir": adapters["nir"]})
    assert torch.equal(embed(again.unload()), expected["base"])


def test_through_transformers_own_door(
    tiny_base: Path, adapters: dict[str, Path], expected: dict[str, torch.Tensor]
) -> None:
    model = AutoModel.from_pretrained(tiny_base)
    for name in MODALITIES:
        model.load_adapter(str(adapters[name]), adapter_name=name)
    for name in ("nir", "sketch", "thermal"):
        model.set_adapter(name)
        assert torch.equal(embed(model), expected[name]), name
    model.disable_adapters()
    assert torch.equal(embed(model), expected["base"])
    model.enable_adapters()
    assert torch.equal(embed(model), expected["thermal"])


def test_scopes_that_differ_are_refused_with_the_reason(tiny_base: Path, adapters: dict[str, Path]) -> None:
    mixture = {"nir": adapters["nir"], "narrow": adapters["narrow"]}
    with pytest.raises(InputError, match=r"same layers, but nir has scope ln\+stem and narrow has scope ln"):
        load_adapters(AutoModel.from_pretrained(tiny_base), mixture)


def test_an_adapter_of_another_base_is_refused(adapters: dict[str, Path], tmp_path: Path) -> None:
    from hf_crossspec import EdgeFaceModel

    wider = EdgeFaceModel(tiny_config(dims=[16, 32, 32, 64]))
    with pytest.raises(InputError, match="does not fit the model"):
        load_adapters(wider, {"nir": adapters["nir"]})


def test_only_safetensors_are_read(tiny_base: Path, adapters: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    (tmp_path / "adapter_config.json").write_bytes((adapters["nir"] / "adapter_config.json").read_bytes())
    torch.save(load_file(adapters["nir"] / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        FaceEmbedder.from_pretrained(tiny_base, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"peft_type": "NO_SUCH"}', '{"peft_type": "LN_TUNING"}'])
def test_a_broken_configuration_is_one_line(
    tiny_base: Path, adapters: dict[str, Path], tmp_path: Path, text: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    (tmp_path / "adapter_model.safetensors").write_bytes((adapters["nir"] / "adapter_model.safetensors").read_bytes())
    with pytest.raises(InputError) as refusal:
        load_adapters(AutoModel.from_pretrained(tiny_base), {"nir": tmp_path})
    assert "\n" not in str(refusal.value)


def test_no_adapter_is_no_model(tiny_base: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        load_adapters(AutoModel.from_pretrained(tiny_base), {})
