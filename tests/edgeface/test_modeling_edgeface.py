"""The network: published sizes, timm equality, save and load, Auto classes, remote code in a process without us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from transformers import AutoImageProcessor, AutoModel, pipeline

from hf_crossspec import EdgeFaceConfig, EdgeFaceModel
from hf_crossspec.edgeface.configuration_edgeface import VARIANTS
from tests.conftest import tiny_config

PICTURES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("variant", "gamma", "parameters"),
    [
        ("xxs", None, 1_244_744),
        ("xs", None, 2_242_620),
        ("xs", 0.6, 1_770_492),
        ("s", 0.5, 3_652_520),
        ("base", None, 18_225_812),
    ],
)
def test_published_sizes(variant: str, gamma: float | None, parameters: int) -> None:
    with torch.device("meta"):
        model = EdgeFaceModel(EdgeFaceConfig.for_variant(variant, low_rank_gamma=gamma))
    assert model.num_parameters() == parameters
    assert model.config.variant == variant


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_equal_to_timm_with_the_same_tensors(variant: str) -> None:
    names = {"xxs": "xx_small", "xs": "x_small", "s": "small", "base": "base"}
    model = EdgeFaceModel(EdgeFaceConfig.for_variant(variant, layer_scale_init=0.5)).eval()
    reference = timm.create_model(f"edgenext_{names[variant]}", num_classes=512).eval()
    reference.load_state_dict(model.net.state_dict())
    with torch.no_grad():
        assert torch.equal(model(pixel_values=PICTURES).embeddings, reference(PICTURES))


@pytest.mark.parametrize("gamma", [None, 0.5])
def test_save_and_load_change_nothing(tmp_path: Path, gamma: float | None) -> None:
    model = EdgeFaceModel(tiny_config(low_rank_gamma=gamma)).eval()
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is EdgeFaceModel
    with torch.no_grad():
        assert torch.equal(model(pixel_values=PICTURES).embeddings, again(pixel_values=PICTURES).embeddings)
        tuple_output = again(pixel_values=PICTURES, output_hidden_states=True, return_dict=False)
    assert tuple_output[0].shape == (3, 32)
    assert [state.shape[1] for state in tuple_output[1]] == [8, 8, 16, 24, 32]


def test_low_rank_layers_are_everywhere() -> None:
    model = EdgeFaceModel(tiny_config(low_rank_gamma=0.5))
    linears = {name.rsplit(".", 1)[1] for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    assert linears == {"linear1", "linear2"}
    assert model.net.head.fc.linear1.weight.shape == (16, 32)


def test_train_and_eval_mode_agree_for_any_batch() -> None:
    model = EdgeFaceModel(tiny_config())
    with torch.no_grad():
        together = model.train()(pixel_values=PICTURES).embeddings
        alone = torch.cat([model.eval()(pixel_values=picture[None]).embeddings for picture in PICTURES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": [8, 16, 24]}, "four positive"),
        ({"heads": [3, 3, 3, 3]}, "divide"),
        ({"low_rank_gamma": 1.5}, "low_rank_gamma"),
        ({"embedding_size": 0}, "embedding_size"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**change)


def test_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="xxs, xs, s, base"):
        EdgeFaceConfig.for_variant("xl")


def test_feature_extraction_pipeline_gives_embeddings(tiny_base: Path, tmp_path: Path) -> None:
    from PIL import Image

    extract = pipeline("image-feature-extraction", model=str(tiny_base), image_processor=str(tiny_base))
    features = torch.tensor(extract(Image.new("RGB", (112, 112), "gray")))
    assert features.shape == (1, 32)


@pytest.mark.slow
def test_remote_code_loads_where_the_package_is_not(tiny_base: Path, tmp_path: Path) -> None:
    """A folder made by save_pretrained carries its own code; a process that cannot import the package loads it."""
    script = f"""
import sys
sys.modules["hf_crossspec"] = None  # importing it now fails
import torch
from transformers import AutoImageProcessor, AutoModel
model = AutoModel.from_pretrained({str(tiny_base)!r}, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained({str(tiny_base)!r}, trust_remote_code=True)
pixels = processor(torch.zeros(3, 112, 112, dtype=torch.uint8), return_tensors="pt").pixel_values
torch.save(model(pixel_values=pixels).embeddings, {str(tmp_path / "out.pt")!r})
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=120, env={"HF_HOME": str(tmp_path)})
    processor = AutoImageProcessor.from_pretrained(tiny_base)
    pixels = processor(torch.zeros(3, 112, 112, dtype=torch.uint8), return_tensors="pt").pixel_values
    with torch.no_grad():
        here = AutoModel.from_pretrained(tiny_base)(pixel_values=pixels).embeddings
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), here)
