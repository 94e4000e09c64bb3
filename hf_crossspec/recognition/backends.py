"""Ways to run a network: PyTorch as it is, compiled by PyTorch, or ONNX Runtime; and files that `export` made."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.evaluation.calibration_file import Calibration
from hf_crossspec.recognition.gallery import NetworkStamp
from hf_crossspec.recognition.network import FaceNetwork
from hf_crossspec.recognition.onnx_graph import require_onnx, to_onnx
from hf_crossspec.recognition.streamline import streamline

BackendName = Literal["torch", "compile", "onnx"]
Runner = Callable[[np.ndarray], np.ndarray]  # uint8 (B, H, W, 3) -> float32 (B, D) of length one; any thread may call

COMPILED_BATCH = 32
METADATA_KEY = "hf_crossspec"
SCHEMA = {"schema": "hf_crossspec/exported_network", "schema_version": 1}


def make_runner(network: FaceNetwork, backend: BackendName = "torch") -> Runner:
    """A function that embeds aligned faces, uint8 (B, H, W, 3) -> float32 (B, D) of length one.

    Args:
        network: As `build_network` makes it.
        backend: `torch` runs it as it is. `onnx` exports it in a few seconds and runs it on the CPU with ONNX Runtime,
            with as many threads as PyTorch has. `compile` has PyTorch's compiler make code for it, which takes about a
            minute each for one picture and for batches of 32, at the first call that needs it; fewer than 16 pictures
            run one by one, more in batches that are filled up.

    Raises:
        InputError: an unknown backend, or packages or a C++ compiler that it needs and that are not there.
    """
    require_backend(backend)
    if backend == "onnx":
        require_onnx("onnx", "onnxscript", "onnxruntime")
        return open_session(to_onnx(network).SerializeToString())[1]
    return _torch_runner(network) if backend == "torch" else _compiled_runner(network)


def require_backend(backend: str) -> None:
    """Raise `InputError` when there is no such backend."""
    if backend not in get_args(BackendName):
        raise InputError(f"a backend is one of {', '.join(get_args(BackendName))}, not {backend!r}")


def _torch_runner(network: FaceNetwork) -> Runner:
    device = network.scale.device

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(np.ascontiguousarray(pixels)).to(device)).cpu().numpy()

    return run


def _compiled_runner(network: FaceNetwork) -> Runner:
    device = network.scale.device
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise InputError("the backend compile needs a C++ compiler: install g++ or clang++, or choose the backend onnx")
    compiled = torch.compile(streamline(network), dynamic=False, options={"freezing": True})
    lock = threading.Lock()  # the compiler's settings belong to the process

    def run(pixels: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        size = 1 if len(values) < COMPILED_BATCH // 2 else COMPILED_BATCH
        filling = values.new_zeros(-len(values) % size, *values.shape[1:])
        with lock, torch.no_grad():
            parts = [compiled(part) for part in torch.cat([values, filling]).split(size)]
        return torch.cat(parts)[: len(values)].cpu().numpy()

    return run


@dataclass(frozen=True)
class ExportedNetwork:
    """A file of `crossspec export`, opened.

    Args:
        run: Aligned faces, uint8 (B, H, W, 3) -> embeddings (B, D) of length one.
        stamp: The network it was made from; a gallery of that network can be searched with this one.
        calibration: Its thresholds, if it has any.
        metadata: All that the file says of itself: `base`, `adapter`, `low_rank`, `scope`, `licence`, `weights_sha256`,
            `embedding_size`, `image_size`, `int8`, `calibration`, `parity`, `versions`.
    """

    run: Runner
    stamp: NetworkStamp
    calibration: Calibration | None
    metadata: dict[str, Any]


def load_exported(path: str | Path) -> ExportedNetwork:
    """Open a file of `crossspec export`; only ONNX Runtime is needed.

    Raises:
        InputError: no such file, damaged, not made by `crossspec export`, or ONNX Runtime is not installed.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist")
    foreign = InputError(f"{path} was not made by this version of `crossspec export`: export the model again")
    try:
        session, run = open_session(Path(path).read_bytes())
    except InputError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no class in common
        raise InputError(f"{path} is not readable as an ONNX file: {one_line(error)}") from None
    try:
        metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        if {name: metadata.pop(name) for name in SCHEMA} != SCHEMA:
            raise foreign
        stamp = NetworkStamp(
            metadata["base"], metadata["adapter"], metadata["weights_sha256"], metadata["embedding_size"]
        )
        thresholds = metadata["calibration"]
    except (KeyError, TypeError, ValueError):
        raise foreign from None
    calibration = None if thresholds is None else Calibration.from_dict(thresholds, str(path), stamp.weights_sha256)
    return ExportedNetwork(run, stamp, calibration, metadata)


def open_session(model: bytes) -> tuple[Any, Runner]:
    """ONNX Runtime's session of a model, and a runner on it; a session may be used by several threads."""
    require_onnx("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(pixels: np.ndarray) -> np.ndarray:
        return session.run(None, {name: np.ascontiguousarray(pixels)})[0]

    return session, run
