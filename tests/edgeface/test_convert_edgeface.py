"""Published checkpoints, quantised or not, become model folders; anything else is refused in one line."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoModel

from hf_crossspec import EdgeFaceConfig, EdgeFaceModel, InputError, convert_checkpoint
from hf_crossspec.edgeface.convert_edgeface import dequantise, read_state, strip_prefix
from tests.conftest import tiny_config


@pytest.mark.parametrize(("name", "timm_name"), [("xxs", "edgenext_xx_small"), ("xs", "edgenext_x_small")])
def test_quantised_checkpoints_match_the_upstream_architecture(
    real_data: Path, tmp_path: Path, name: str, timm_name: str
) -> None:
    """The reference is timm's network, fed with tensors unpacked here by hand."""
    path = real_data / "weights" / f"edgeface_{name}_q.pt"
    stored = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {}
    for key, value in stored.items():
        layer, packed, _ = key.removeprefix("model.").partition("._packed_params._packed_params")
        if packed:
            quantised, bias = value
            integers = quantised.int_repr().float() - quantised.q_zero_point()
            tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = integers * quantised.q_scale(), bias
        elif not key.endswith((".scale", ".zero_point", ".dtype")):
            tensors[key.removeprefix("model.")] = value
    reference = timm.create_model(timm_name, num_classes=512).eval()
    reference.load_state_dict(tensors)

    convert_checkpoint(path, tmp_path / "out", "cc-by-nc-sa-4.0")
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert model.config.variant == name
    assert model.config.weights_license == "cc-by-nc-sa-4.0"
    pictures = torch.rand(4, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(model(pixel_values=pictures).embeddings, reference(pictures), atol=1e-5, rtol=0)


@pytest.mark.parametrize("gamma", [None, 0.5, 0.37])
@pytest.mark.parametrize("form", ["published", "nested", "safetensors"])
def test_configuration_is_read_off_the_tensors(tmp_path: Path, gamma: float | None, form: str) -> None:
    model = EdgeFaceModel(tiny_config(low_rank_gamma=gamma))
    state = {f"model.{key}": value for key, value in model.net.state_dict().items()}
    path = tmp_path / ("checkpoint.safetensors" if form == "safetensors" else "checkpoint.pt")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if form == "nested" else state, path)
    again = convert_checkpoint(path, tmp_path / "out", None)
    for name in ("dims", "depths", "embedding_size"):
        assert getattr(again.config, name) == getattr(model.config, name)
    assert again.config.heads[1:] == model.config.heads[1:]  # stage 0 has no attention: nothing to read there
    for key, value in again.net.state_dict().items():
        assert torch.equal(value, model.net.state_dict()[key]), key


def test_own_model_folders_convert_too(tmp_path: Path) -> None:
    model = EdgeFaceModel(EdgeFaceConfig.for_variant("s", low_rank_gamma=0.5))
    model.save_pretrained(tmp_path / "own")
    again = convert_checkpoint(tmp_path / "own" / "model.safetensors", tmp_path / "out", None)
    assert (again.config.variant, again.config.low_rank_gamma) == ("s", 0.5)


def dynamic_quantisation(model: torch.nn.Module) -> dict[str, object]:
    """The state dict that quantising a network's linear layers gives, in the published layout."""
    quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return {f"model.{key}": value for key, value in quantised.state_dict().items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_low_rank_checkpoint(tmp_path: Path) -> None:
    model = EdgeFaceModel(tiny_config(low_rank_gamma=0.5)).eval()
    torch.save(dynamic_quantisation(model.net), tmp_path / "q.pt")
    again = convert_checkpoint(tmp_path / "q.pt", tmp_path / "out", None)
    assert again.config.low_rank_gamma == 0.5
    pictures = torch.rand(4, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        cosine = torch.cosine_similarity(
            model(pixel_values=pictures).embeddings, again(pixel_values=pictures).embeddings
        )
    assert cosine.min() > 0.99


class Danger:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_pickles_that_run_code_are_refused_unrun(tmp_path: Path) -> None:
    torch.save({"model.stem.0.weight": Danger(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt is refused.*system"):
        convert_checkpoint(tmp_path / "evil.pt", tmp_path / "out", None)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def edgenext_small_rw() -> dict[str, torch.Tensor]:
    return timm.create_model("edgenext_small_rw", num_classes=512).state_dict()


@pytest.mark.parametrize(
    "make_state",
    [
        lambda: timm.create_model("resnet18", num_classes=512).state_dict(),
        edgenext_small_rw,
        lambda: {"weight": torch.zeros(3)},
        lambda: [torch.zeros(3)],
        lambda: torch.zeros(3),
        lambda: {1: torch.zeros(3)},
        dict,
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, make_state: object) -> None:
    torch.save(make_state(), tmp_path / "other.pt")  # type: ignore[operator]
    with pytest.raises(InputError, match="not an EdgeFace checkpoint"):
        convert_checkpoint(tmp_path / "other.pt", tmp_path / "out", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.pt"]


@given(
    seed=st.integers(0, 2**32 - 1),
    prefix=st.sampled_from([b"", b"\x80\x02", b"\x80\x02}q\x00", b"\x80\x02(", b"PK\x03\x04"]),
)
@settings(max_examples=300)
def test_no_bytes_get_past_the_reader(tmp_path_factory: pytest.TempPathFactory, seed: int, prefix: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.pt"
    path.write_bytes(prefix + random.Random(seed).randbytes(300))
    with pytest.raises(InputError, match=r"bytes\.pt"):
        read_state(path)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(2000)
    (tmp_path / "noise.pt").write_bytes(noise)
    (tmp_path / "noise.safetensors").write_bytes(noise)
    torch.save(EdgeFaceModel(tiny_config()).net.state_dict(), tmp_path / "cut.pt")
    content = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    for name in ("noise.pt", "noise.safetensors", "cut.pt", "missing.pt"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            convert_checkpoint(tmp_path / name, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    state = EdgeFaceModel(tiny_config()).net.state_dict()
    state["stem.0.bias"] = torch.full_like(state["stem.0.bias"], torch.nan)
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(InputError, match="damaged"):
        convert_checkpoint(tmp_path / "nan.pt", tmp_path / "out", None)


def test_an_occupied_folder_is_left_alone(tmp_path: Path) -> None:
    torch.save(EdgeFaceModel(tiny_config()).net.state_dict(), tmp_path / "fine.pt")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        convert_checkpoint(tmp_path / "fine.pt", tmp_path / "out", None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_half_precision_is_widened(tmp_path: Path) -> None:
    model = EdgeFaceModel(tiny_config()).half()
    torch.save(model.net.state_dict(), tmp_path / "half.pt")
    state = dequantise(strip_prefix(read_state(tmp_path / "half.pt")))
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
