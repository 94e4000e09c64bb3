"""From JPEG files to embeddings: how fast, and where the time goes."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console

from hf_crossspec import EdgeFaceConfig, EdgeFaceImageProcessor, EdgeFaceModel, FaceEmbedder, InputError, make_detector
from hf_crossspec.cli.shared import BackendOption, DetectorPathOption, JsonOption, quiet_libraries, write_result
from hf_crossspec.data.images import decode_image
from hf_crossspec.faces.acquisition import AcquiredFace, acquire_face
from hf_crossspec.faces.alignment import align_face
from hf_crossspec.faces.scaling import to_eight_bit
from hf_crossspec.recognition.backends import make_runner
from hf_crossspec.recognition.bulk import BulkOptions, embed_in_bulk
from hf_crossspec.recognition.bulk.shards import one_thread
from hf_crossspec.recognition.network import build_network

console = Console(highlight=False)
STEPS = ("decode", "detect", "align", "embed")


def end_to_end(
    pictures: Annotated[Path, typer.Argument(help="Folder of JPEG files with a face in each, of 250 x 250 pixels.")],
    variant: Annotated[str, typer.Option(help="EdgeFace variant, with fresh weights.")] = "xxs",
    detector_path: DetectorPathOption = None,
    backend: BackendOption = "torch",
    count: Annotated[int, typer.Option(help="Pictures of one measurement: the files, repeated.", min=1)] = 840,
    rounds: Annotated[int, typer.Option(help="How often each is measured; median and range are given.", min=1)] = 5,
    json: JsonOption = None,
) -> None:
    """Images per second of `crossspec embed` from raw JPEG files on a warm disk, with one process and with two.

    A process has one thread. Loading the libraries and the network is not counted, writing the result is. The four
    steps are then timed one by one in one process, in processor time, which does not depend on what else is running.
    """
    quiet_libraries()
    files = sorted(path for path in pictures.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise InputError(f"{pictures} has no JPEG file")
    speeds: dict[str, list[float]] = {"1": [], "2": []}
    with tempfile.TemporaryDirectory() as scratch:
        embedder = fresh_embedder(variant, Path(scratch) / "model")
        (Path(scratch) / "pictures").mkdir()
        for number in range(count):
            shutil.copyfile(files[number % len(files)], Path(scratch) / "pictures" / f"{number:06d}.jpg")
        options = BulkOptions(detector_path=detector_path, backend=backend, shard_rows=64)
        for number in range(rounds + 1):  # the first round warms up
            for processes in speeds:
                out = Path(scratch) / f"out-{number}-{processes}"
                summary = embed_in_bulk(Path(scratch) / "pictures", out, embedder, options, num_proc=int(processes))
                if summary.images_per_second and number:
                    speeds[processes].append(summary.images_per_second)
    for processes, values in speeds.items():
        console.print(f"processes {processes}: {spread(values, 1)} images/s, {rounds} rounds")
    milliseconds = time_steps(files, embedder, detector_path, backend, rounds)
    for step in STEPS:
        console.print(f"{step}: {spread(milliseconds[step], 2)} ms an image")
    total = sum(statistics.median(milliseconds[step]) for step in STEPS)
    console.print(f"together {total:.2f} ms of processor time, {1000 / total:.0f} images/s of one free core")
    setting = {"pictures": count, "files": len(files), "faces": summary.embedded, "variant": variant,
               "backend": backend, "rounds": rounds, "torch": torch.__version__}  # fmt: skip
    write_result(json, {"images_per_second": speeds, "milliseconds": milliseconds, "setting": setting})


def fresh_embedder(variant: str, folder: Path) -> FaceEmbedder:
    """A network with random weights, saved and loaded."""
    EdgeFaceModel(EdgeFaceConfig.for_variant(variant)).save_pretrained(folder)
    EdgeFaceImageProcessor().save_pretrained(folder)
    return FaceEmbedder.from_pretrained(folder)


def time_steps(
    files: list[Path], embedder: FaceEmbedder, detector_path: Path | None, backend: Any, rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of processor time an image, per step and round, in one process with one thread; batches of 32."""
    milliseconds: dict[str, list[float]] = {step: [] for step in STEPS}
    with one_thread():
        detector = make_detector("yunet", detector_path)
        run = make_runner(build_network(embedder), backend)
        found = [acquire_face(path, detector) for path in files]
        faces = [(path, face) for path, face in zip(files, found, strict=True) if isinstance(face, AcquiredFace)]
        if not faces:
            raise InputError("no face was found in the pictures")
        batch = np.stack([np.asarray(faces[number % len(faces)][1].crop.convert("RGB")) for number in range(32)])
        for number in range(rounds + 1):
            taken = dict.fromkeys(STEPS, 0.0)
            for path, face in faces:
                assert face.landmarks is not None
                started = time.process_time()
                pixels = to_eight_bit(decode_image(path))
                decoded = time.process_time()
                detector.detect(pixels)
                detected = time.process_time()
                align_face(Image.fromarray(pixels), face.landmarks)
                aligned = time.process_time()
                taken["decode"] += decoded - started
                taken["detect"] += detected - decoded
                taken["align"] += aligned - detected
            started = time.process_time()
            for _ in range(4):
                run(batch)
            taken["embed"] = (time.process_time() - started) / (4 * len(batch)) * len(faces)
            for step in STEPS:
                if number:  # the first round warms up
                    milliseconds[step].append(1000 * taken[step] / len(faces))
    return milliseconds


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    return f"median {statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
