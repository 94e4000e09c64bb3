"""Every backend embeds as the embedder does, from any thread; exported files that are not ours are refused."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_crossspec import EdgeFaceImageProcessor, EdgeFaceModel, FaceEmbedder, InputError
from hf_crossspec.recognition.backends import load_exported, make_runner
from hf_crossspec.recognition.export import artificial_pictures
from hf_crossspec.recognition.network import FaceNetwork, build_network
from hf_crossspec.recognition.streamline import streamline
from tests.conftest import tiny_config

PICTURES = artificial_pictures(112)


@pytest.fixture(scope="module")
def network(tiny_base: Path, adapters: dict[str, Path]) -> FaceNetwork:
    return build_network(FaceEmbedder.from_pretrained(tiny_base, adapters["nir"]))


@pytest.fixture(scope="module")
def expected(tiny_base: Path, adapters: dict[str, Path]) -> np.ndarray:
    """Embeddings of the pictures by the embedder, which puts the adapter on instead of folding it in."""
    embedder = FaceEmbedder.from_pretrained(tiny_base, adapters["nir"])
    return embedder.embed_batch(torch.from_numpy(PICTURES).permute(0, 3, 1, 2) / 127.5 - 1)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_runner_embeds_as_the_embedder_from_any_thread(
    backend: str, network: FaceNetwork, expected: np.ndarray
) -> None:
    run = make_runner(network, backend)  # type: ignore[arg-type]
    spans = [slice(start, start + size) for start in range(0, 30, 5) for size in (1, 3, 7)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda span: run(PICTURES[span]), spans))
    for span, embeddings in zip(spans, found, strict=True):
        assert embeddings.shape == expected[span].shape
        assert embeddings.dtype == np.float32
        np.testing.assert_allclose(embeddings, expected[span], atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))), reason="no C++ compiler to compile with"
)
def test_the_compiled_runner_embeds_as_the_embedder(network: FaceNetwork, expected: np.ndarray) -> None:
    run = make_runner(network, "compile")
    for size in (1, 3, 7):  # one compilation
        np.testing.assert_allclose(run(PICTURES[:size]), expected[:size], atol=1e-5)


def test_compile_without_a_compiler_is_refused(network: FaceNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler"):
        make_runner(network, "compile")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_packages_are_named(package: str, network: FaceNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf'{package} is not installed: pip install "hf-crossspec\[onnx\]"'):
        make_runner(network, "onnx")


def test_an_unknown_backend_is_refused(network: FaceNetwork) -> None:
    with pytest.raises(InputError, match="one of torch, compile, onnx, not 'tensorrt'"):
        make_runner(network, "tensorrt")  # type: ignore[arg-type]


@pytest.mark.parametrize("low_rank", [None, 0.5])
@pytest.mark.parametrize("side", [112, 75])  # 75: rows and columns are left over in the stem and in every stage
def test_the_streamlined_network_is_the_same_function(low_rank: float | None, side: int) -> None:
    torch.manual_seed(0)
    sizes = {"depths": [1, 2, 2, 2], "dims": [8, 16, 25, 34], "heads": [2, 4, 5, 2]}
    config = tiny_config(low_rank_gamma=low_rank, image_size=side, **sizes)
    model = EdgeFaceModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases, scales and temperatures of a fresh network hide mistakes
            parameter.add_(0.1 * torch.randn_like(parameter))
    processor = EdgeFaceImageProcessor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.5, 0.3])
    network = build_network(FaceEmbedder(model, processor, "mine"))
    network.projection = torch.nn.Linear(32, 12)
    pixels = torch.from_numpy(artificial_pictures(side)[:7])
    before = [parameter.clone() for parameter in network.parameters()]
    streamlined = streamline(network)
    with torch.inference_mode():
        difference = (streamlined(pixels) - network(pixels)).abs().max()
    assert difference < 2e-6
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_files_that_export_did_not_make_are_refused(tmp_path: Path) -> None:
    import onnx.parser

    with pytest.raises(InputError, match="does not exist"):
        load_exported(tmp_path / "absent.onnx")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a graph" * 100)
    with pytest.raises(InputError, match="not readable as an ONNX file"):
        load_exported(garbage)
    garbage.write_bytes(b"")
    with pytest.raises(InputError, match=r"garbage.onnx"):
        load_exported(garbage)
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[n,3] a) => (float[n,3] b) {b = Relu(a)}'
    foreign = tmp_path / "foreign.onnx"
    model = onnx.parser.parse_model(text)
    onnx.save(model, str(foreign))
    with pytest.raises(InputError, match="was not made by this version of `crossspec export`"):
        load_exported(foreign)
    for content in ("{}", "[1, 2]", "nothing", '{"schema": "hf_crossspec/exported_network", "schema_version": 99}'):
        onnx.helper.set_model_props(model, {"hf_crossspec": content})
        onnx.save(model, str(foreign))
        with pytest.raises(InputError, match="was not made by this version"):
            load_exported(foreign)
