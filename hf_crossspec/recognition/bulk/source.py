"""Where bulk embedding reads from: any data set of faces, or a plain folder of pictures, row range by row range.

Rows are read from memory-mapped Arrow files. Every range is read through a map of its own, which is given back after
it, so a process's memory does not grow with what it has read.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Image

from hf_crossspec.data.schema import load_faces, load_source
from hf_crossspec.errors import InputError, one_line

PICTURE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "dataset_info.json", "dataset_dict.json")


@dataclass(frozen=True)
class SourceRow:
    """One picture: its key, what is known about it, and the undecoded picture or the reason why there is none."""

    key: str
    picture: dict[str, Any]
    subject_id: str | None = None
    modality: str | None = None
    landmarks: Any = None
    problem: str | None = None


@dataclass(frozen=True)
class PictureSource:
    """A source that is open.

    Args:
        dataset: A row per picture.
        fingerprint: Hexadecimal SHA-256 that changes when the source does, see `open_source`.
        folder: Where the pictures of a plain folder lie.
        root: Folder that keys made of a picture's path are relative to.
        modality: That of all pictures, where the data set names none.
    """

    dataset: Dataset
    fingerprint: str
    folder: Path | None = None
    root: Path | None = None
    modality: str | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def has_subjects(self) -> bool:
        """Whether the source says who is in a picture."""
        return "subject_id" in self.dataset.column_names

    @property
    def has_modalities(self) -> bool:
        """Whether a picture's modality is known."""
        return self.modality is not None or "modality" in self.dataset.column_names

    @property
    def needs_detector(self) -> bool:
        """Whether there are pictures without landmarks."""
        if "landmarks" not in self.dataset.column_names:
            return True
        return self.dataset.data.column("landmarks").null_count > 0

    def rows(self, start: int, stop: int, at_once: int = 8) -> Iterator[SourceRow]:
        """The rows from `start` to before `stop`, of which `at_once` are in memory."""
        mapped = bool(self.dataset.cache_files)  # such a data set is pickled as the names of its files
        dataset = pickle.loads(pickle.dumps(self.dataset)) if mapped else self.dataset
        for first in range(start, stop, at_once):
            columns = dataset[first : min(first + at_once, stop)]
            for offset in range(len(next(iter(columns.values())))):
                row = {name: values[offset] for name, values in columns.items()}
                yield self._listed(row) if self.folder is not None else self._stored(row, first + offset)

    def _listed(self, row: dict[str, Any]) -> SourceRow:
        assert self.folder is not None
        picture = {"bytes": None, "path": str(self.folder / row["key"])}
        return SourceRow(row["key"], picture, modality=self.modality, problem=row["problem"])

    def _stored(self, row: dict[str, Any], number: int) -> SourceRow:
        picture = row["image"] or {"bytes": None, "path": None}
        key = row.get("key")
        if key is None:
            key = self._own_path(picture) or number
        landmarks = row.get("landmarks") or None
        modality = self.modality or _text(row.get("modality"))
        return SourceRow(str(key), picture, _text(row.get("subject_id")), modality, landmarks)

    def _own_path(self, picture: dict[str, Any]) -> str | None:
        path = picture.get("path")
        if self.root is None or picture.get("bytes") is not None or not path:
            return None
        return Path(path).relative_to(self.root).as_posix() if Path(path).is_relative_to(self.root) else None


def open_source(source: str | Path | Dataset, split: str | None, modality: str | None, scratch: Path) -> PictureSource:
    """Open any source of pictures without reading one.

    Args:
        source: A data set as for `load_faces`, except that it may lack `subject_id` and `modality`, or a folder of
            pictures, nested or not, without metadata. There every file with a picture's ending is a row, in the
            order of the paths; hidden files are passed over.
        split: Split of a data set.
        modality: Modality of all pictures, for a source that names none.
        scratch: Folder for a plain folder's list of files; it must last as long as the source.

    The fingerprint covers path, size and time of change of each local file, or what `datasets` knows about one from
    the Hub, and the split.

    Raises:
        InputError: nothing there, no picture, an unknown split, or `modality` for a source that has its own.
    """
    if not isinstance(source, Dataset) and _is_plain_folder(Path(source)):
        if split is not None:
            raise InputError(f"{source} is a folder without metadata: it has no split {split!r}")
        opened = _open_folder(Path(source).resolve(), modality, scratch)
    else:
        opened = _open_dataset(source, split, modality)
    if len(opened) == 0:
        raise InputError(f"{source} has no picture")
    return opened


def _is_plain_folder(path: Path) -> bool:
    """Whether nothing in a folder makes it a data set."""
    if not path.is_dir():
        return False
    return not any(Path(key).name in METADATA or key.endswith(".parquet") for key, _ in walk_files(path))


def _open_folder(folder: Path, modality: str | None, scratch: Path) -> PictureSource:
    """List the folder into an Arrow file, a few thousand names at a time."""
    schema = pa.schema({"key": pa.string(), "problem": pa.string()})
    path = scratch / "files.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        batch: list[dict[str, str | None]] = []
        for key, status in walk_files(folder):
            if key.endswith("/") or Path(key).suffix.lower() in PICTURE_SUFFIXES:
                batch.append(_listing(key, status))
            if len(batch) == 4096:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
    return PictureSource(Dataset.from_file(str(path)), fingerprint_files(folder), folder=folder, modality=modality)


def _listing(key: str, status: os.stat_result | None) -> dict[str, str | None]:
    readable = key.encode("utf-8", "backslashreplace").decode()
    problem = None
    if key.endswith("/"):
        problem = "the folder may not be read"
    elif readable != key:
        problem = "the file's name is not UTF-8, rename it"
    elif status is not None and not stat.S_ISREG(status.st_mode):
        problem = "not a file"
    return {"key": readable, "problem": problem}


def walk_files(folder: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Relative path and status of every file below a folder, each folder's entries in the order of their names.

    Hidden entries are passed over. A folder that may not be read is an entry of its own, its path ending in `/`; a
    broken link has no status. Links to folders are followed, except to one that they lie in.
    """
    yield from _walk(folder, "", frozenset())


def _walk(folder: Path, prefix: str, ancestors: frozenset[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    place = folder.resolve()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield prefix or "./", None
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:  # a link to nothing
            status = None
        if status is None or not stat.S_ISDIR(status.st_mode):
            yield prefix + entry.name, status
        elif Path(entry.path).resolve() not in ancestors | {place}:
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", ancestors | {place})


def _open_dataset(source: str | Path | Dataset, split: str | None, modality: str | None) -> PictureSource:
    dataset = source if isinstance(source, Dataset) else load_source(str(source), split)
    local = None if isinstance(source, Dataset) or not Path(source).exists() else Path(source).resolve()
    content = f"{dataset._fingerprint if local is None else fingerprint_files(local)} {split}"
    if "image" not in dataset.column_names:
        dataset = load_faces(dataset)  # a column per modality becomes a row per picture
    if modality is not None and "modality" in dataset.column_names:
        raise InputError(f"{source} has a modality for each picture: leave --modality out")
    try:
        dataset = dataset.cast_column("image", Image(decode=False))
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"the column image of {source} holds no pictures: {one_line(error)}") from error
    known = {"key", "image", "subject_id", "modality", "landmarks"}
    dataset = dataset.select_columns([name for name in dataset.column_names if name in known])
    root = local if local is None or local.is_dir() else local.parent
    return PictureSource(dataset, hashlib.sha256(content.encode()).hexdigest(), root=root, modality=modality)


def fingerprint_files(path: Path) -> str:
    """SHA-256 over path, size and time of change of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    for key, status in walk_files(path) if path.is_dir() else [(path.name, path.stat())]:
        facts = "" if status is None else f"{status.st_size} {status.st_mtime_ns}"
        digest.update(f"{key!r} {facts}\n".encode())
    return digest.hexdigest()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
