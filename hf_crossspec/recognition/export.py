"""A network as one ONNX file, which is only written when it embeds as the network does."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from peft import PeftModel

from hf_crossspec.data.pixels import FaceSet
from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import Calibration, find_calibration
from hf_crossspec.evaluation.metrics import kfold_accuracy
from hf_crossspec.evaluation.runner import compare_pairs, read_pairs, versions
from hf_crossspec.files import replacing_file
from hf_crossspec.hub.source import is_repo_id, split_revision
from hf_crossspec.methods.selective_tuning.scopes import scope_of
from hf_crossspec.recognition.backends import METADATA_KEY, SCHEMA, Runner, load_exported, make_runner, open_session
from hf_crossspec.recognition.network import build_network
from hf_crossspec.recognition.onnx_graph import require_onnx, store_weights_in_int8, to_onnx

MAX_DIFFERENCE = 1e-4  # between any two values of embeddings of length one, in float32
MIN_COSINE = 0.999  # between the two embeddings of a face, in int8
MAX_ACCURACY_LOSS = 0.001
BATCH_SIZES = (1, 3, 7, 32)


@dataclass(frozen=True)
class Parity:
    """How well the exported graph agrees with the network.

    Args:
        pictures: Pictures compared, in batches of 1 to 32.
        max_difference: Largest difference between two values of the embeddings.
        min_cosine: Smallest cosine between the two embeddings of a picture.
        check_pictures: Those among the pictures that are of the check set.
        check_pairs: Pairs behind the accuracies.
        accuracy, exported_accuracy: k-fold accuracy of the network and of the exported graph on the pairs.
    """

    pictures: int
    max_difference: float
    min_cosine: float
    check_pictures: int = 0
    check_pairs: int = 0
    accuracy: float | None = None
    exported_accuracy: float | None = None

    def refuse_failure(self, int8: bool) -> None:
        """Raise `InputError` when the exported graph may not stand for the network."""
        if not int8 and not self.max_difference <= MAX_DIFFERENCE:
            raise InputError(
                f"the exported graph differs from the network by {self.max_difference:.1e}, more than "
                f"{MAX_DIFFERENCE:.0e}: it is not written"
            )
        if int8 and not self.min_cosine >= MIN_COSINE:
            raise InputError(
                f"in int8 a picture's embedding has a cosine of only {self.min_cosine:.5f} to the network's, less than "
                f"{MIN_COSINE}: it is not written; export without --int8"
            )
        if self.accuracy is not None and self.exported_accuracy is not None:
            loss = self.accuracy - self.exported_accuracy
            if loss > MAX_ACCURACY_LOSS:
                raise InputError(
                    f"the exported graph loses {100 * loss:.2f} points of accuracy on the check pairs, more than "
                    f"{100 * MAX_ACCURACY_LOSS:g}: it is not written"
                )


def export_network(
    model: str | Path,
    output: str | Path,
    adapter: str | Path | None = None,
    low_rank: str | Path | None = None,
    *,
    int8: bool = False,
    check_data: str | Path | Dataset | None = None,
    check_split: str | None = None,
    check_pairs: str | Path | None = None,
) -> dict[str, Any]:
    """Write model, adapter and low-rank embedding as one ONNX file that `load_exported` and any ONNX runtime opens.

    It maps aligned faces, uint8 (batch, H, W, 3), to embeddings of length one, float32 (batch, D). Before the file
    appears, its graph must embed as the network does: to 1e-4 in every value, or in int8 with a cosine of 0.999 for
    every picture of the check set; and its accuracy on the check pairs must not be lower by more than 0.1 points.

    Args:
        model, adapter, low_rank: As `FaceEmbedder.from_pretrained` takes them.
        output: The file, whose name ends with .onnx.
        int8: Store the linear layers' weights in 8 bit, which makes the file less than half as large, not faster.
        check_data, check_split: Aligned faces to check with, as `load_faces` takes them, besides artificial pictures;
            needed for int8, where artificial pictures say little of faces.
        check_pairs: CSV of pairs of these faces: key1, key2, same, fold.

    Returns:
        What the file says of itself (see `ExportedNetwork`), and `path` and `bytes`.

    Raises:
        InputError: unusable input, missing packages, or a graph that does not agree with the network.
    """
    if Path(output).suffix != ".onnx":
        raise InputError(f"{output}: the name of an exported file ends with .onnx")
    if check_data is None and (int8 or check_pairs is not None):
        raise InputError(
            "--int8 and --check-pairs need --check-data: aligned faces of the kind that will be recognised, a hundred "
            "or more, on which the exported network must agree with the original"
        )
    require_onnx("onnx", "onnxscript", "onnxruntime")
    embedder = FaceEmbedder.from_pretrained(model, adapter, low_rank)
    metadata = describe(embedder, _calibration_of(low_rank or adapter or model, embedder))
    network = build_network(embedder)
    graph = to_onnx(network)
    if int8:
        graph = store_weights_in_int8(graph)
    runners = make_runner(network), open_session(graph.SerializeToString())[1]
    faces = None if check_data is None else load_faces(check_data, check_split)
    pairs = None if check_pairs is None else read_pairs(check_pairs)
    parity = measure_parity(*runners, embedder, faces, pairs)
    parity.refuse_failure(int8)
    metadata |= {"int8": int8, "parity": asdict(parity)}
    with replacing_file(output) as temporary:
        save_with_metadata(graph, metadata, temporary)
        load_exported(temporary)
    return {"path": str(output), "bytes": Path(output).stat().st_size, **metadata}


def describe(embedder: FaceEmbedder, calibration: Calibration | None) -> dict[str, Any]:
    """Where a network comes from, its terms, sizes and thresholds; of folders only the last part of their name."""
    config, facts = embedder.model.config, embedder.describe()
    adapted = isinstance(embedder.model, PeftModel)
    size = config.embedding_size if embedder.low_rank is None else embedder.low_rank.linear.out_features
    return {
        "base": _public_name(facts["name"]),
        "adapter": _public_name(facts["adapter"]),
        "low_rank": _public_name(facts["low_rank"]),
        "scope": scope_of(embedder.model.peft_config["default"]) if adapted else None,
        "licence": config.weights_license,
        "weights_sha256": facts["weights_sha256"],
        "embedding_size": size,
        "image_size": config.image_size,
        "calibration": None if calibration is None else calibration.to_dict(),
        "versions": {**versions(), **{package: version(package) for package in ("onnx", "onnxscript", "onnxruntime")}},
    }


def _public_name(source: str | None) -> str | None:
    return source if source is None or is_repo_id(source) else Path(split_revision(source)[0]).resolve().name


def _calibration_of(source: str | Path, embedder: FaceEmbedder) -> Calibration | None:
    """The thresholds beside the last part of a network, which are of the network as a whole."""
    try:
        path = find_calibration(source)
    except InputError:  # there is none
        return None
    return Calibration.load(path, embedder.describe()["weights_sha256"])


def measure_parity(
    network: Runner, exported: Runner, embedder: FaceEmbedder, faces: Dataset | None, pairs: pd.DataFrame | None
) -> Parity:
    """Embed artificial pictures in batches of several sizes, and the check set's faces, with both.

    Raises:
        InputError: pairs that are not of these faces, or have no folds.
    """
    artificial = artificial_pictures(embedder.model.config.image_size)
    batches = np.split(artificial, np.cumsum(BATCH_SIZES)[:-1])
    check = None if faces is None else FaceSet.decode(faces, embedder.processor).pixels.numpy().transpose(0, 2, 3, 1)
    if check is not None:
        batches += np.split(check, range(32, len(check), 32))
    expected, found = (
        np.concatenate([run(batch) for batch in batches]).astype(np.float64) for run in (network, exported)
    )
    counted = slice(0 if check is None else len(artificial), None)  # artificial pictures have no say where faces are
    cosines = (expected * found).sum(axis=1)
    parity = Parity(
        len(expected),
        float(np.abs(expected - found).max()),
        float(cosines[counted].min()),
        0 if check is None else len(check),
    )
    if faces is None or pairs is None:
        return parity
    accuracy, exported_accuracy = (_accuracy(values[counted], faces, pairs) for values in (expected, found))
    return replace(parity, check_pairs=len(pairs), accuracy=accuracy, exported_accuracy=exported_accuracy)


def _accuracy(embeddings: np.ndarray, faces: Dataset, pairs: pd.DataFrame) -> float:
    if "key" not in faces.column_names or "fold" not in pairs:
        raise InputError("check pairs need a column fold, and the check data a column key")
    comparisons = compare_pairs(embeddings, faces, np.arange(len(faces)), pairs)
    if comparisons.fold is None or comparisons.size != len(pairs):
        raise InputError(f"{len(pairs) - comparisons.size} of the check pairs name pictures that the check data lack")
    folds = kfold_accuracy(comparisons.scores, comparisons.mated, comparisons.fold)
    return sum(folds.correct) / sum(folds.totals)


def artificial_pictures(side: int, seed: int = 0) -> np.ndarray:
    """Pictures, uint8 (43, side, side, 3): black, white, noise, and smooth patterns of several contrasts."""
    import cv2

    generator = np.random.default_rng(seed)
    pictures = [np.zeros((side, side, 3)), np.full((side, side, 3), 255.0)]
    for number in range(sum(BATCH_SIZES) - len(pictures)):
        noise = generator.normal(size=(side, side, 3))
        blurred = noise if number % 4 == 0 else cv2.GaussianBlur(noise, (0, 0), 2.0 ** (number % 4))
        pictures.append(127.5 + generator.uniform(10, 100) * blurred / blurred.std())
    return np.clip(np.stack(pictures), 0, 255).astype(np.uint8)


def save_with_metadata(graph: Any, metadata: dict[str, Any], path: Path) -> None:
    """Write an ONNX model with what it says of itself."""
    import onnx

    graph.producer_name, graph.producer_version = "hf_crossspec", version("hf-crossspec")
    graph.doc_string = "Aligned faces, uint8 (batch, H, W, 3) RGB, to embeddings of length one; compare by dot product"
    entries = {
        METADATA_KEY: json.dumps(SCHEMA | metadata, allow_nan=False),
        "licence": metadata["licence"] or "unknown",
    }
    onnx.helper.set_model_props(graph, entries)
    onnx.save(graph, str(path))
