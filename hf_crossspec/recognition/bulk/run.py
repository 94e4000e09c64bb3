"""Embeddings of a whole source, however large: a folder of Parquet shards that grows until all rows are in it.

A shard depends on nothing but its rows, the network and the options, and appears in one rename. So a run that was
killed goes on where it stood, and any number of processes writes the same files.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset

from hf_crossspec.embedding import FaceEmbedder
from hf_crossspec.errors import InputError, Interrupted
from hf_crossspec.faces.detection import make_detector
from hf_crossspec.recognition.backends import make_runner, require_backend
from hf_crossspec.recognition.bulk.folder import DATASETS_SPLITS, BulkOptions, ShardPlan, claim, finish, identity_of
from hf_crossspec.recognition.bulk.shards import OK, ShardEmbedder, one_thread
from hf_crossspec.recognition.bulk.source import PictureSource, open_source
from hf_crossspec.recognition.network import FaceNetwork, build_network
from hf_crossspec.training.stopping import stop_requested

Progress = Callable[[int, int, int], object]  # pictures done, failures among them, pictures in all, of this process


def _silent(done: int, failed: int, total: int) -> None:
    """No progress bar."""


@dataclass(frozen=True)
class BulkSummary:
    """What is in the folder, and what this run did for it.

    Args:
        folder: The shards.
        rows: Rows of the source.
        embedded: Rows with an embedding, `None` as long as other processes (see `rank`) are at work.
        failures: Failures to acquire by reason, the most frequent first; `None` like `embedded`.
        rows_now: Rows that this run added.
        seconds: What it took for them, loading aside.
        model: Name, adapter and weights fingerprint.
    """

    folder: Path
    rows: int
    embedded: int | None
    failures: dict[str, int] | None
    rows_now: int
    seconds: float
    model: dict[str, Any]

    @property
    def images_per_second(self) -> float | None:
        """Speed of this run, `None` where nothing was left to do."""
        return self.rows_now / self.seconds if self.rows_now else None


def embed_in_bulk(
    source: str | Path | Dataset,
    output_dir: str | Path,
    embedder: FaceEmbedder,
    options: BulkOptions | None = None,
    *,
    split: str | None = None,
    num_proc: int = 1,
    rank: int = 0,
    world_size: int = 1,
    on_progress: Progress = _silent,
) -> BulkSummary:
    """Embed every picture of a source into Parquet shards; pictures are never written.

    The columns are `key`, `subject_id` and `modality` where the source has them, `embedding` (list of float32 of
    length one, or null), `status` ("ok" or a `FailureReason`), `message` (what was wrong), `detector_score` and `faces`
    (how many were found; null where no detector was asked). A key is the source's own, else the picture's path in the
    source's folder, else the row's number. The same call goes on with what a stopped or killed one left.

    Args:
        source: See `bulk_source.open_source`.
        output_dir: New or empty folder, or one that the same call began.
        embedder: Model, with or without adapter.
        options: `aligned`: the pictures are aligned 112 x 112 faces. `detector`, `detector_path`: who finds the others,
            where the source has no column `landmarks`. `modality`: of all pictures, for a source that names none.
            `batch_size`: faces that go through the network at a time. `shard_rows`: rows of a file; what a killed
            process has to do again. `backend`: see `make_runner`.
        split: Split of a data set.
        num_proc: Processes, with one thread each; the values are the same bits for any number of them. A script that
            asks for several needs `if __name__ == "__main__":`, as always with `multiprocessing`.
        rank, world_size: Which of several such calls with one output folder this is, and how many there are.
        on_progress: Told now and then how far this call is.

    Raises:
        InputError: a bad source or detector, or an output folder of another source, model or options.
        Interrupted: the process was asked to end (SIGINT, SIGTERM).
    """
    options = options or BulkOptions()
    require_backend(options.backend)
    folder = Path(output_dir)
    description = embedder.describe()
    with TemporaryDirectory(prefix="crossspec-") as scratch:
        _refuse_inside(folder, source)
        opened = open_source(source, split, options.modality, Path(scratch))
        plan = ShardPlan(folder, _file_split(split), len(opened), options.shard_rows)
        _make_detector(opened, options)  # what is wrong with it is said now
        claim(folder, identity_of(opened, options, split, description), {"model": description, "source": str(source)})
        missing = [number for number in range(rank, len(plan), world_size) if not plan.is_done(number)]
        total = sum(len(plan.range(number)) for number in missing)
        crew = _Crew(opened, plan, options, build_network(embedder), rank)
        with stop_requested() as stop:
            if min(num_proc, len(missing)) > 1:
                seconds = _run_several(crew, missing, num_proc, on_progress, stop, Path(scratch))
            else:
                seconds = _run_one(crew, missing, on_progress, stop)
        done = sum(len(plan.range(number)) for number in missing if plan.is_done(number))
        if done < total:
            left = "the same command goes on from there"
            raise Interrupted(f"stopped with {total - done:,} of {len(opened):,} pictures to do; {left}")
        counts = finish(plan) if all(plan.is_done(number) for number in range(len(plan))) else None
    embedded = None if counts is None else counts.pop(OK, 0)
    failures = None if counts is None else dict(counts.most_common())
    return BulkSummary(folder, len(opened), embedded, failures, total, seconds, description)


def _file_split(split: str | None) -> str:
    """The split for the files' names: `datasets` would not find files that it cannot sort into one it knows."""
    return split if split is not None and split in DATASETS_SPLITS else "train"


def _refuse_inside(folder: Path, source: str | Path | Dataset) -> None:
    if isinstance(source, Dataset) or not Path(source).is_dir():
        return
    if folder.resolve().is_relative_to(Path(source).resolve()):
        raise InputError(f"{folder} lies in {source}, and would be read as a part of it: give another output folder")


def _make_detector(source: PictureSource, options: BulkOptions) -> Any:
    if options.aligned or not source.needs_detector:
        return None
    return make_detector(options.detector, options.detector_path)


@dataclass(frozen=True)
class _Crew:
    """Everything a process needs."""

    source: PictureSource
    plan: ShardPlan
    options: BulkOptions
    network: FaceNetwork
    rank: int

    def rows(self, shards: list[int]) -> int:
        return sum(len(self.plan.range(number)) for number in shards)

    def make_embedder(self) -> ShardEmbedder:
        """Network and detector, ready to run in this process."""
        network = self.network
        if torch.cuda.is_available():
            network = network.to(f"cuda:{self.rank % torch.cuda.device_count()}")
        runner = make_runner(network, self.options.backend)
        detector = _make_detector(self.source, self.options)
        return ShardEmbedder(self.source, self.plan, self.options, runner, detector)


def _run_one(crew: _Crew, missing: list[int], on_progress: Progress, stop: Callable[[], bool]) -> float:
    """Make the missing shards in this process; returns the seconds it took."""
    counts, total = [0, 0], crew.rows(missing)

    def advance(is_face: bool) -> None:
        counts[0] += 1
        counts[1] += not is_face
        if counts[0] % crew.options.batch_size == 0:
            on_progress(counts[0], counts[1], total)

    with one_thread():
        worker = crew.make_embedder()
        started = time.perf_counter()
        for number in missing:
            if not worker.embed(number, advance, stop):
                break
    on_progress(counts[0], counts[1], total)
    return time.perf_counter() - started


def _run_several(
    crew: _Crew, missing: list[int], num_proc: int, on_progress: Progress, stop: Callable[[], bool], scratch: Path
) -> float:
    """Make the missing shards in several processes, each taking the next one; returns the seconds it took."""
    path = scratch / "crew.pickle"  # handed over as a file, so that one process need not wait for the other's start
    path.write_bytes(pickle.dumps(replace(crew, network=crew.network.cpu())))
    context = get_context("spawn")
    stopping, counts = context.Event(), context.Array("q", 3)
    pool = ProcessPoolExecutor(min(num_proc, len(missing)), context, _start_worker, (path, stopping, counts))
    started = time.perf_counter()
    try:
        pending = {pool.submit(_embed_shard, number) for number in missing}
        while pending and not stop():
            done, pending = wait(pending, timeout=0.1, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if not counts[2]:  # no process has loaded yet
                started = time.perf_counter()
            on_progress(counts[0], counts[1], crew.rows(missing))
        return time.perf_counter() - started
    except BrokenProcessPool as error:
        if stop():
            return 0.0
        raise RuntimeError("a process ended unexpectedly; the same command goes on from there") from error
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}  # of a worker process


def _start_worker(path: Path, stopping: Any, counts: Any) -> None:
    """Ctrl-C reaches all processes: the first one decides. And nobody works on when that one was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(path=path, stopping=stopping, counts=counts)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _embed_shard(number: int) -> None:
    stopping, counts = _worker["stopping"], _worker["counts"]
    if "embedder" not in _worker:
        _worker["threads"] = contextlib.ExitStack()
        _worker["threads"].enter_context(one_thread())
        crew: _Crew = pickle.loads(_worker["path"].read_bytes())
        _worker["embedder"] = crew.make_embedder()
        counts[2] = 1

    def advance(is_face: bool) -> None:
        with counts.get_lock():
            counts[0] += 1
            counts[1] += not is_face

    _worker["embedder"].embed(number, advance, stopping.is_set)
