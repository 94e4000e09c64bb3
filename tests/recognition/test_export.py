"""An exported file embeds as the network does, says what it is, and is not written when it does not agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_crossspec import EdgeFaceConfig, EdgeFaceImageProcessor, EdgeFaceModel, FaceEmbedder, InputError, calibrate
from hf_crossspec.cli.export import export as export_command
from hf_crossspec.recognition import export
from hf_crossspec.recognition.backends import load_exported, open_session
from hf_crossspec.recognition.export import artificial_pictures, export_network
from hf_crossspec.recognition.network import build_network
from hf_crossspec.recognition.onnx_graph import BLOCK, quantise_blocks, store_weights_in_int8, to_onnx
from tests.conftest import write_visible_pairs

PICTURES = artificial_pictures(112)


def embeddings_of(embedder: FaceEmbedder, pictures: np.ndarray) -> np.ndarray:
    return embedder.embed_batch(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with lfw.parquet and pairs.csv."""
    folder = tmp_path_factory.mktemp("photos")
    write_visible_pairs(folder)
    return folder


@pytest.fixture(scope="module")
def xxs_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EdgeFace-xxs with random weights, large enough for weights in 8 bit."""
    folder = tmp_path_factory.mktemp("models") / "xxs-size"
    torch.manual_seed(0)
    EdgeFaceModel(EdgeFaceConfig(layer_scale_init=0.1)).save_pretrained(folder)
    EdgeFaceImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_graph(tiny_base: Path) -> Any:
    return to_onnx(build_network(FaceEmbedder.from_pretrained(tiny_base)))


@pytest.fixture
def exported_before(tiny_graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny base's graph is taken from its first export, which takes seconds."""
    monkeypatch.setattr(export, "to_onnx", lambda network: type(tiny_graph).FromString(tiny_graph.SerializeToString()))


@pytest.mark.parametrize("adapted", [False, True])
def test_a_file_embeds_as_the_network_in_batches_of_any_size(
    adapted: bool, tiny_base: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    adapter = adapters["nir"] if adapted else None
    result = export_network(tiny_base, tmp_path / "face.onnx", adapter)
    embedder = FaceEmbedder.from_pretrained(tiny_base, adapter)
    exported = load_exported(tmp_path / "face.onnx")
    for size in (1, 3, 7):
        expected = embeddings_of(embedder, PICTURES[-size:])
        np.testing.assert_allclose(exported.run(PICTURES[-size:]), expected, atol=1e-5)
    with ThreadPoolExecutor(4) as threads:
        several = list(threads.map(lambda start: exported.run(PICTURES[start : start + 5]), range(20)))
    expected = embeddings_of(embedder, PICTURES)
    for start, embeddings in enumerate(several):
        np.testing.assert_allclose(embeddings, expected[start : start + 5], atol=1e-5)

    assert result["path"] == str(tmp_path / "face.onnx")
    assert result["bytes"] == (tmp_path / "face.onnx").stat().st_size
    about = exported.metadata
    assert {name: result[name] for name in about} == about
    assert (about["base"], about["adapter"]) == (tiny_base.name, "nir" if adapted else None)
    assert about["scope"] == ("ln+stem" if adapted else None)
    assert about["weights_sha256"] == embedder.describe()["weights_sha256"] == exported.stamp.weights_sha256
    assert (about["embedding_size"], about["image_size"], about["int8"]) == (32, 112, False)
    assert about["parity"]["pictures"] == 43
    assert about["parity"]["max_difference"] < 1e-5
    assert about["parity"]["accuracy"] is None
    assert (about["licence"], about["calibration"], exported.calibration) == (None, None, None)


@pytest.mark.usefixtures("exported_before")
def test_licence_and_thresholds_travel_with_the_file(tiny_base: Path, tiny_pairs: Path, tmp_path: Path) -> None:
    model = FaceEmbedder.from_pretrained(tiny_base).model
    model.config.weights_license = "cc-by-nc-sa-4.0"
    model.save_pretrained(tmp_path / "model")
    EdgeFaceImageProcessor().save_pretrained(tmp_path / "model")
    thresholds = calibrate(
        tmp_path / "model", tiny_pairs, gallery_modality="vis", probe_modality="nir", dev_split="train", fmrs=(0.1,)
    )
    thresholds.save(tmp_path / "model" / "calibration.json")
    export_network(tmp_path / "model", tmp_path / "face.onnx")
    exported = load_exported(tmp_path / "face.onnx")
    assert exported.metadata["licence"] == "cc-by-nc-sa-4.0"
    assert exported.calibration == thresholds


@pytest.mark.usefixtures("exported_before")
def test_nothing_of_this_machine_is_in_the_file(tiny_base: Path, tmp_path: Path) -> None:
    export_network(tiny_base, tmp_path / "face.onnx")
    content = (tmp_path / "face.onnx").read_bytes()
    for name in (str(tiny_base.parent), str(Path(__file__).parents[2]), str(Path(torch.__file__).parent)):
        assert name.encode() not in content


def test_a_corrupted_graph_is_not_written(
    tiny_base: Path, tiny_graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupted = type(tiny_graph).FromString(tiny_graph.SerializeToString())
    head = next(node.input[1] for node in corrupted.graph.node if node.op_type == "Gemm")
    weights = next(tensor for tensor in corrupted.graph.initializer if tensor.name == head)
    values = np.frombuffer(weights.raw_data, np.float32).copy()
    values[5] += 0.1
    weights.raw_data = values.tobytes()
    monkeypatch.setattr(export, "to_onnx", lambda network: corrupted)
    with pytest.raises(
        InputError, match=r"differs from the network by \d\.\de-0[123], more than 1e-04: it is not written"
    ):
        export_network(tiny_base, tmp_path / "face.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("exported_before")
def test_check_pairs_are_counted(tiny_base: Path, photos: Path, tmp_path: Path) -> None:
    result = export_network(
        tiny_base, tmp_path / "face.onnx", check_data=photos / "lfw.parquet", check_pairs=photos / "pairs.csv"
    )
    parity = result["parity"]
    assert (parity["pictures"], parity["check_pictures"], parity["check_pairs"]) == (43 + 32, 32, 32)
    assert parity["accuracy"] == parity["exported_accuracy"]
    assert 0.5 <= parity["accuracy"] <= 1


@pytest.mark.usefixtures("exported_before")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("fold,", "part,"), "need a column fold"),
        (lambda text: text.replace("s200_0_vis", "s999_0_vis"), "2 of the check pairs name pictures"),
    ],
)
def test_unusable_check_pairs_are_refused(
    change: Callable[[str], str], message: str, tiny_base: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "pairs.csv").write_text(change((photos / "pairs.csv").read_text()))
    with pytest.raises(InputError, match=message):
        export_network(
            tiny_base, tmp_path / "face.onnx", check_data=photos / "lfw.parquet", check_pairs=tmp_path / "pairs.csv"
        )
    assert not (tmp_path / "face.onnx").exists()


def test_lost_accuracy_is_refused(
    tiny_base: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter((0.99, 0.98))
    monkeypatch.setattr(export, "_accuracy", lambda *arguments: next(accuracies))
    with pytest.raises(InputError, match=r"loses 1\.00 points of accuracy on the check pairs, more than 0\.1:"):
        export_network(
            tiny_base, tmp_path / "face.onnx", check_data=photos / "lfw.parquet", check_pairs=photos / "pairs.csv"
        )
    assert list(tmp_path.iterdir()) == []


def test_int8_needs_faces_to_check_with(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--int8 and --check-pairs need --check-data"):
        export_network(tiny_base, tmp_path / "face.onnx", int8=True)
    with pytest.raises(InputError, match=r"ends with \.onnx"):
        export_network(tiny_base, tmp_path / "face.bin")


@pytest.mark.slow
def test_int8_is_less_than_half_as_large(
    xxs_size: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = to_onnx(build_network(FaceEmbedder.from_pretrained(xxs_size)))
    monkeypatch.setattr(export, "to_onnx", lambda network: graph)
    result = export_network(xxs_size, tmp_path / "int8.onnx", int8=True, check_data=photos / "lfw.parquet")
    exported = load_exported(tmp_path / "int8.onnx")
    assert exported.metadata["int8"]
    assert result["parity"]["min_cosine"] >= 0.999
    assert result["bytes"] < 0.45 * 4 * sum(p.numel() for p in EdgeFaceModel(EdgeFaceConfig()).parameters())
    alone, together = exported.run(PICTURES[5:6]), exported.run(PICTURES)[5:6]
    np.testing.assert_allclose(alone, together, atol=1e-5)  # as no activation is quantised over a batch
    monkeypatch.setattr(export, "MIN_COSINE", 1.0)
    with pytest.raises(InputError, match=r"cosine of only 0\.99\d+ to the network's, less than 1.0: it is not written"):
        export_network(xxs_size, tmp_path / "refused.onnx", int8=True, check_data=photos / "lfw.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["int8.onnx"]


def test_blocks_of_weights_come_back_to_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(7, 37)).astype(np.float32)
    weight[3, :BLOCK] = 0
    weight[4] = np.abs(weight[4])
    stored, zero, scale = quantise_blocks(weight)
    back = ((stored.astype(np.float32) - zero) * scale.astype(np.float32)).reshape(7, -1)[:, :37]
    steps = np.repeat(scale.astype(np.float32)[..., 0], BLOCK, axis=1)[:, :37]
    assert np.all(np.abs(back - weight) <= 0.7 * steps)  # half a step, and the rounding of the scale
    assert np.all(back[3, :BLOCK] == 0)


def test_weights_in_8_bit_compute_what_their_blocks_say(tiny_graph: Any) -> None:
    from onnx import numpy_helper

    graph = type(tiny_graph).FromString(tiny_graph.SerializeToString())
    stored = store_weights_in_int8(graph, small=0)
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    rounded = {tensor.name for tensor in stored.graph.initializer}
    replaced = [name for name in before if name not in rounded]
    assert len(replaced) > 20
    for tensor in graph.graph.initializer:
        if tensor.name in replaced:
            weight = before[tensor.name]
            transposed = any(node.op_type == "Gemm" and node.input[1] == tensor.name for node in graph.graph.node)
            outputs = weight if transposed else weight.T
            values, zero, scale = quantise_blocks(outputs)
            back = ((values.astype(np.float32) - zero) * scale.astype(np.float32)).reshape(len(outputs), -1)
            back = back[:, : outputs.shape[1]]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(back if transposed else back.T), tensor.name))
    ours, plain = (open_session(model.SerializeToString())[1] for model in (stored, graph))
    np.testing.assert_allclose(ours(PICTURES[:5]), plain(PICTURES[:5]), atol=1e-6)


def test_the_command(tiny_base: Path, adapters: dict[str, Path], tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    app = typer.Typer()
    app.command()(export_command)
    options = ["--model", tiny_base, "--adapter", adapters["nir"], "--output", tmp_path / "face.onnx"]
    done = CliRunner().invoke(app, [*map(str, options), "--json", str(tmp_path / "report.json")])
    assert done.exit_code == 0, done.output
    assert "43 pictures" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["adapter"] == "nir"
    assert load_exported(tmp_path / "face.onnx").metadata["parity"] == report["parity"]
    assert {path.name for path in tmp_path.iterdir()} == {"face.onnx", "report.json"}


@pytest.mark.slow
def test_the_published_weights_on_real_faces(xxs: Path, real_data: Path, tmp_path: Path) -> None:
    """LFW folds 0 and 1: float32 to 1e-4, 8-bit weights to a cosine of 0.999 and 0.1 points of accuracy."""
    import pandas as pd
    from datasets import load_dataset

    pairs = pd.read_csv(real_data / "lfw" / "pairs_folds0-4.csv", dtype={"key1": str, "key2": str})
    pairs = pairs[pairs.fold.isin(sorted(pairs.fold.unique())[:2])].iloc[::8]
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    faces = load_dataset(
        "parquet", data_files=str(real_data / "lfw" / "lfw_aligned112_folds0-4.parquet"), split="train"
    )
    named = set(pairs.key1) | set(pairs.key2)
    faces = faces.select([row for row, key in enumerate(faces["key"]) if key in named])
    for int8 in (False, True):
        result = export_network(
            xxs, tmp_path / f"{int8}.onnx", int8=int8, check_data=faces, check_pairs=tmp_path / "pairs.csv"
        )
        assert result["parity"]["check_pictures"] == len(named) > 200
        assert result["parity"]["accuracy"] > 0.97
        assert result["licence"] == "cc-by-nc-sa-4.0"
    assert (tmp_path / "True.onnx").stat().st_size < 0.45 * (tmp_path / "False.onnx").stat().st_size
