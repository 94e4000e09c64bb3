"""Published EdgeFace checkpoints -> a folder that `AutoModel.from_pretrained` loads.

A published checkpoint is a pickled state dict with keys `model.*`, in floating point or, with `_q` in its name, with
dynamically quantised int8 linear layers whose weight and bias are packed together. Variant, depth, width and low-rank
ratio are read off the tensors.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hf_crossspec.edgeface.configuration_edgeface import EdgeFaceConfig
from hf_crossspec.edgeface.image_processing_edgeface import EdgeFaceImageProcessor
from hf_crossspec.edgeface.modeling_edgeface import EdgeFaceModel, low_rank_size
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.files import new_directory, sha256_of

Tensors = dict[str, torch.Tensor]

PACKED = "._packed_params._packed_params"
QUANTISER_STATE = (".scale", ".zero_point", "._packed_params.dtype")
# What a dynamically quantised state dict is made of; weights_only loading refuses every other class.
ALLOWED_GLOBALS: list[Any] = [torch.qint8, torch.per_tensor_affine, torch.per_channel_affine]


def convert_checkpoint(
    checkpoint: str | Path,
    output_dir: str | Path,
    weights_license: str | None,
    source: str | None = None,
    sha256: str | None = None,
) -> EdgeFaceModel:
    """Convert one checkpoint file (.pt, .pth or .safetensors) and return the model that was saved.

    Args:
        checkpoint: State dict of an EdgeFace network, published or trained with this package.
        output_dir: New or empty folder; gets model.safetensors, config.json and preprocessor_config.json.
        weights_license: Licence identifier written into config.json.
        source: Where the checkpoint comes from, written into config.json; the default is its file name.
        sha256: Hexadecimal hash that the file must have.

    Raises:
        InputError: unreadable or unsafe file, another hash or architecture, or an output folder that is not empty.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    found = sha256_of(path)
    if sha256 is not None and found != sha256.lower():
        raise InputError(f"{path} is another file than you want: its SHA-256 is {found}")
    state = dequantise(strip_prefix(read_state(path)))
    config = infer_config(state)
    config.weights_license = weights_license
    config.weights_source = f"{source or path.name} (sha256 {found})"
    model = EdgeFaceModel(config)
    load_exactly(model, state)
    with new_directory(output_dir) as folder:
        model.save_pretrained(folder)
        EdgeFaceImageProcessor(size={"height": config.image_size, "width": config.image_size}).save_pretrained(folder)
    return model.eval()


def read_state(path: Path) -> dict[str, object]:
    """Read a state dict without running any code stored in the file."""
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings(), torch.serialization.safe_globals(ALLOWED_GLOBALS):
            warnings.simplefilter("ignore")  # torch announces the end of quantised tensors at every load
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds the class {reason.group(1)}" if reason else "it is not a plain state dict of tensors"
        raise InputError(f"{path} is refused: {what}; save its state_dict(), or use safetensors") from None
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise InputError(f"{path} is not readable as a checkpoint: {one_line(error)}") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise InputError(f"{path} is not an EdgeFace checkpoint: it holds {type(state).__name__}, not a state dict")
    return state


def strip_prefix(state: dict[str, object]) -> dict[str, object]:
    """Drop the `model.` of published files or the `net.` of our own."""
    for prefix in ("model.", "net."):
        if all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def dequantise(state: dict[str, object]) -> Tensors:
    """Unpack int8 linear layers to floating point; keep every other tensor as float32."""
    tensors: Tensors = {}
    for key, value in state.items():
        if key.endswith(PACKED) and isinstance(value, tuple):
            weight, bias = value
            layer = key.removesuffix(PACKED)
            tensors[f"{layer}.weight"] = weight.dequantize().float()
            if bias is not None:
                tensors[f"{layer}.bias"] = bias.detach().float()
        elif isinstance(value, torch.Tensor) and not key.endswith(QUANTISER_STATE):
            tensors[key] = value.detach().float()
    return tensors


def infer_config(state: Tensors) -> EdgeFaceConfig:
    """Read dims, depths, heads, embedding size and low-rank ratio off the tensors."""
    try:
        return EdgeFaceConfig(
            dims=[state[f"stages.{stage}.blocks.0.gamma"].numel() for stage in range(4)],
            depths=[_count_blocks(state, stage) for stage in range(4)],
            heads=_heads(state),
            embedding_size=(_weight(state, "head.fc", "linear2")).shape[0],
            low_rank_gamma=_low_rank_gamma(state),
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"not an EdgeFace checkpoint: {one_line(error)} is missing or does not fit") from None


def load_exactly(model: EdgeFaceModel, state: Tensors) -> None:
    """Load every tensor, or say which ones do not belong."""
    own = {name: tensor.shape for name, tensor in model.net.state_dict().items()}
    odd = sorted(own.keys() ^ state.keys()) or [name for name in own if own[name] != state[name].shape]
    if odd:
        raise InputError(f"not an EdgeFace checkpoint: {len(odd)} tensors do not fit, the first is {odd[0]}")
    bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise InputError(f"the checkpoint is damaged: {bad[0]} holds NaN or infinite values")
    model.net.load_state_dict(state)


def _count_blocks(state: Tensors, stage: int) -> int:
    return len({key.split(".")[3] for key in state if key.startswith(f"stages.{stage}.blocks.")})


def _heads(state: Tensors) -> list[int]:
    """Heads of each stage from the attention temperatures; a stage without attention takes the next one's."""
    found: list[int] = []
    for stage in (3, 2, 1, 0):
        key = f"stages.{stage}.blocks.{_count_blocks(state, stage) - 1}.xca.temperature"
        found.insert(0, state[key].shape[0] if key in state else found[0])
    return found


def _weight(state: Tensors, layer: str, factor: str) -> torch.Tensor:
    dense = state.get(f"{layer}.weight")
    return dense if dense is not None else state[f"{layer}.{factor}.weight"]


def _low_rank_gamma(state: Tensors) -> float | None:
    """The ratio, to two decimals, that explains the rank of every factorised layer; `None` for dense layers."""
    layers = [key.removesuffix(".linear1.weight") for key in state if key.endswith(".linear1.weight")]
    if not layers:
        return None
    sizes = []
    for layer in layers:
        first, second = state[f"{layer}.linear1.weight"], state[f"{layer}.linear2.weight"]
        sizes.append((first.shape[1], second.shape[0], first.shape[0]))  # in, out, rank
    ratios = sorted((step / 100 for step in range(1, 101)), key=lambda ratio: (round(ratio * 100) % 10 != 0, ratio))
    for ratio in ratios:  # tenths first: several hundredths give the same ranks in a small network
        if all(low_rank_size(ratio, size_in, size_out) == rank for size_in, size_out, rank in sizes):
            return ratio
    raise ValueError("one low-rank ratio that explains all ranks")
