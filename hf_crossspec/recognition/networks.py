"""Networks ready to run, with the stamp of their weights and their calibrated thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import Calibration, find_calibration
from hf_crossspec.recognition.backends import BackendName, Runner, make_runner
from hf_crossspec.recognition.gallery import NetworkStamp
from hf_crossspec.recognition.network import build_network


@dataclass(frozen=True)
class LoadedNetwork:
    """A network: model, adapter and low-rank map as one.

    Args:
        stamp: Where it comes from, and the fingerprint of its weights.
        run: Aligned faces, uint8 (B, 112, 112, 3) -> embeddings (B, D) of length one.
        calibration: Its thresholds, if it has any.
    """

    stamp: NetworkStamp
    run: Runner
    calibration: Calibration | None


def load_networks(
    model: str | Path,
    adapter: str | Path | Mapping[str, str | Path] | None = None,
    low_rank: str | Path | None = None,
    backend: BackendName = "torch",
) -> dict[str | None, LoadedNetwork]:
    """Modality -> network, and under `None` the one for all other modalities; see `Recognizer.from_pretrained`."""
    if Path(model).suffix == ".onnx":
        if adapter is not None or low_rank is not None:
            raise InputError(f"{model} is exported whole: nothing can be put on it, export again with the adapter")
        return {None: _open_exported(Path(model))}
    if not isinstance(adapter, Mapping):
        return {None: _load(model, adapter, low_rank, backend)}
    if low_rank is not None:
        raise InputError("a low-rank embedding belongs to one adapter: give one adapter with it")
    own: dict[str | None, LoadedNetwork] = {name: _load(model, one, None, backend) for name, one in adapter.items()}
    return {None: _load(model, None, None, backend), **own}


def _load(
    model: str | Path, adapter: str | Path | None, low_rank: str | Path | None, backend: BackendName
) -> LoadedNetwork:
    embedder = FaceEmbedder.from_pretrained(model, adapter, low_rank)
    description = embedder.describe()
    network = build_network(embedder)
    run = make_runner(network, backend)
    stamp = NetworkStamp.of(description, run(np.zeros((1, 112, 112, 3), np.uint8)).shape[1])
    return LoadedNetwork(stamp, run, _calibration_of(low_rank or adapter or model, stamp.weights_sha256))


def _calibration_of(source: str | Path, weights_sha256: str) -> Calibration | None:
    """The thresholds beside the last part of a network, which are of the network as a whole."""
    try:
        path = find_calibration(source)
    except InputError:  # there is none
        return None
    return Calibration.load(path, weights_sha256)


def _open_exported(path: Path) -> LoadedNetwork:
    from hf_crossspec.recognition.backends import load_exported

    exported = load_exported(path)
    return LoadedNetwork(exported.stamp, exported.run, exported.calibration)
