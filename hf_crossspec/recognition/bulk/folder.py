"""The folder of a bulk embedding: which rows its files hold, whose it is, and whether it is complete.

_manifest.json                    what decides the values, names for people, and in the end the counts
train-00000-of-00012.parquet      a fixed range of rows, replaced in one rename; after it the next range
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.faces.yunet import YUNET_SHA256
from hf_crossspec.files import read_json, sha256_of, write_json
from hf_crossspec.recognition.backends import BackendName
from hf_crossspec.recognition.bulk.source import PictureSource

MANIFEST = "_manifest.json"  # readers of Parquet folders pass over names that begin so
DATASETS_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class BulkOptions:
    """What decides the values of a bulk embedding, beside model and source; `embed_in_bulk` explains each."""

    aligned: bool = False
    detector: str = "yunet"
    detector_path: Path | None = None
    modality: str | None = None
    batch_size: int = 32
    shard_rows: int = 2048
    backend: BackendName = "torch"


@dataclass(frozen=True)
class ShardPlan:
    """Which rows go into which file.

    Args:
        folder: Where the files are.
        split: First part of their names, one that `datasets` knows as a split.
        rows: How many the source has.
        shard_rows: How many a file has, the last one perhaps fewer.
    """

    folder: Path
    split: str
    rows: int
    shard_rows: int

    def __len__(self) -> int:
        return -(-self.rows // self.shard_rows)

    def range(self, number: int) -> range:
        """Row numbers of a shard."""
        return range(number * self.shard_rows, min((number + 1) * self.shard_rows, self.rows))

    def path(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / f"{self.split}-{number:05d}-of-{len(self):05d}.parquet"

    def is_done(self, number: int) -> bool:
        """Whether the file is there, whole."""
        try:
            return pq.read_metadata(self.path(number)).num_rows == len(self.range(number))
        except (OSError, pa.ArrowInvalid):  # missing, or cut short by a power failure
            return False


def identity_of(
    source: PictureSource, options: BulkOptions, split: str | None, model: dict[str, Any]
) -> dict[str, str | int | bool | None]:
    """What must be the same when a folder is continued."""
    detector = None if options.aligned or not source.needs_detector else options.detector
    detector_sha256 = YUNET_SHA256 if detector == "yunet" else None
    if detector is not None and options.detector_path is not None:
        detector_sha256 = sha256_of(options.detector_path)
    return {
        "weights_sha256": model["weights_sha256"],
        "source_sha256": source.fingerprint,
        "rows": len(source),
        "split": split,
        "modality": options.modality,
        "aligned": options.aligned,
        "detector": detector,
        "detector_sha256": detector_sha256,
        "batch_size": options.batch_size,
        "shard_rows": options.shard_rows,
        "backend": options.backend,
    }


def claim(folder: Path, identity: dict[str, Any], names: dict[str, Any]) -> None:
    """Take an empty folder for this run, or find it there to be continued."""
    path = folder / MANIFEST
    if not path.exists():
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, not a folder: give another output folder")
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()) and not path.exists():
            raise InputError(f"{folder} holds something else: give a new folder, or empty this one first")
        try:
            write_json(path, {"format": 1, "identity": identity, **names, "complete": False})
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {one_line(error)}") from error
    began = read_json(path).get("identity", {})
    changed = [name for name in sorted(identity.keys() | began.keys()) if identity.get(name) != began.get(name)]
    if changed:
        what = ", ".join(
            f"{name} ({_short(began.get(name))} then, {_short(identity.get(name))} now)" for name in changed
        )
        raise InputError(f"{folder} was begun with another {what}: give a new folder, or empty this one first")


def _short(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) == 64 else str(value)


def finish(plan: ShardPlan) -> Counter[str]:
    """Count all rows by status, note that nothing is missing, and remove what killed processes left."""
    counts: Counter[str] = Counter()
    for number in range(len(plan)):
        counts.update(pq.read_table(plan.path(number), columns=["status"])["status"].to_pylist())
    write_json(plan.folder / MANIFEST, {**read_json(plan.folder / MANIFEST), "complete": True, "counts": dict(counts)})
    for leftover in plan.folder.glob(f".{plan.split}-*-of-*.parquet"):
        leftover.unlink(missing_ok=True)
    return counts
