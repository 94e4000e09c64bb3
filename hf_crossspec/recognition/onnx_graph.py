"""A network as an ONNX graph, with weights in float32 or stored in 8 bit."""

from __future__ import annotations

import copy
import logging
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.network import FaceNetwork
from hf_crossspec.recognition.streamline import streamline

INPUT, OUTPUT = "pixels", "embeddings"
BLOCK = 16  # weights that share a scale and a zero point
SMALL = 20_000  # matrices with fewer weights stay float32: a tenth of the network, and most of the loss


def require_onnx(*packages: str) -> None:
    """Raise `InputError` with the command that installs these packages, when one of them is not there."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f'{missing[0]} is not installed: pip install "hf-crossspec[onnx]"')


def to_onnx(network: FaceNetwork) -> Any:
    """The network as an `onnx.ModelProto`: `pixels`, uint8 (batch, H, W, 3) -> `embeddings`, float32 (batch, D).

    Raises:
        InputError: the packages for ONNX are not installed.
    """
    require_onnx("onnx", "onnxscript")
    lean = streamline(copy.deepcopy(network).cpu())
    backbone: Any = network.backbone
    side = backbone.config.image_size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations between torch and onnxscript
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            lean, (example,), dynamo=True, dynamic_shapes=({0: batch},), input_names=[INPUT], output_names=[OUTPUT],
            verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    del model.graph.value_info[:]
    for node in model.graph.node:  # stack traces of this machine's folders
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def store_weights_in_int8(model: Any, small: int = SMALL) -> Any:
    """A copy of an ONNX model whose linear layers' weights are stored in 8 bit; arithmetic stays float32.

    Each block of 16 inputs of an output has its own scale and zero point, 1.2 bytes a weight. Plain operators give the
    weights back, and a runtime folds those when it opens the file, so that the graph is as fast as in float32 and an
    embedding does not depend on the other pictures of its batch, as it does with dynamically quantised activations.

    Args:
        small: Matrices with fewer weights are left as they are.
    """
    from onnx import ModelProto, numpy_helper

    model = ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for name, transposed in _linear_weights(graph, arrays).items():
        weight = numpy_helper.to_array(arrays[name])
        if weight.size < small:
            continue
        graph.initializer.remove(arrays[name])
        nodes += _stored_weight(graph, name, weight if transposed else weight.T, transposed)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _linear_weights(graph: Any, arrays: dict[str, Any]) -> dict[str, bool]:
    """Names of the matrices that linear layers multiply with -> whether they are (out, in)."""
    found = {}
    for node in graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in arrays and len(arrays[node.input[1]].dims) == 2:
            found[node.input[1]] = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return found


def _stored_weight(graph: Any, name: str, weight: np.ndarray, transposed: bool) -> list[Any]:
    """Add a weight (out, in) in 8 bit to the graph's constants; returns the nodes that compute `name` of it."""
    from onnx import TensorProto, helper, numpy_helper

    outputs, inputs = weight.shape
    stored, zero, scale = quantise_blocks(weight)
    constants = {
        "int8": stored,
        "zero": zero,
        "scale": scale,
        "shape": np.array([outputs, -1]),
        "start": np.array([0]),
        "stop": np.array([inputs]),
        "axis": np.array([1]),
    }
    graph.initializer.extend(numpy_helper.from_array(array, f"{name}.{part}") for part, array in constants.items())

    def node(kind: str, result: str, *parts: str, **attributes: Any) -> Any:
        return helper.make_node(kind, [f"{name}.{part}" for part in parts], [f"{name}{result}"], **attributes)

    nodes = [
        node("Cast", ".float", "int8", to=TensorProto.FLOAT),
        node("Cast", ".zero_float", "zero", to=TensorProto.FLOAT),
        node("Sub", ".centred", "float", "zero_float"),
        node("Cast", ".scale_float", "scale", to=TensorProto.FLOAT),
        node("Mul", ".blocks", "centred", "scale_float"),
        node("Reshape", ".padded", "blocks", "shape"),
        node("Slice", "" if transposed else ".out_in", "padded", "start", "stop", "axis"),
    ]
    return nodes if transposed else [*nodes, node("Transpose", "", "out_in", perm=[1, 0])]


def quantise_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (out, in) -> uint8 (out, blocks, 16), uint8 zero points and float16 scales (out, blocks, 1).

    A weight is about `(stored - zero) * scale`, and a zero exactly; the last block is padded with zeros.
    """
    outputs, inputs = weight.shape
    blocks = np.pad(weight, ((0, 0), (0, -inputs % BLOCK))).reshape(outputs, -1, BLOCK)
    low, high = blocks.min(-1, keepdims=True).clip(max=0), blocks.max(-1, keepdims=True).clip(min=0)
    scale = ((high - low) / 255).astype(np.float16).clip(min=np.finfo(np.float16).smallest_subnormal)
    step = scale.astype(np.float32)
    zero = np.round(-low / step).clip(0, 255)
    stored = np.clip(np.round(blocks / step) + zero, 0, 255)
    return stored.astype(np.uint8), zero.astype(np.uint8), scale
