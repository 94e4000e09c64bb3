"""The files of a gallery folder: Parquet segments with the images, and a manifest that names them.

A segment never changes. A change writes new segments under new names, then replaces the manifest in one rename, then
deletes the segments that it no longer names. Whoever is killed on the way leaves the state before or after.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.files import replacing_file
from hf_crossspec.recognition.gallery.contract import Images, NetworkStamp

SEGMENT_IMAGES = 1024  # what one enrolment or removal rewrites at most for a segment: 2 MB at 512 dimensions
LOCK_SECONDS = 60
MANIFEST, LOCK = "gallery.json", ".lock"
OURS = re.compile(r"\.?images-\d{8}\.parquet|\.gallery\.json\.")  # segments, and either file while it is written


@dataclass(frozen=True)
class Manifest:
    """What a gallery folder holds: the network's stamp, the segments' file names, and the next segment's number."""

    stamp: NetworkStamp
    segments: tuple[str, ...]
    next_number: int


class GalleryFolder:
    """The files of one gallery; `change` and `sweep` only under `lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, stamp: NetworkStamp) -> None:
        """Make an empty gallery that only its owner may read (mode 0700).

        Raises:
            InputError: `path` is a file, or a folder with other content.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file: give a folder for the gallery")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {entry.name for entry in path.iterdir()}
        if MANIFEST not in names and any(not name.startswith((LOCK, f".{MANIFEST}.")) for name in names):
            raise InputError(f"{path} is not a gallery and not empty: give a new folder")
        path.chmod(0o700)
        folder = cls(path)
        with folder.lock():
            if not (path / MANIFEST).exists():  # else another process was faster
                folder._write_manifest(Manifest(stamp, (), 1))

    def version(self) -> bytes:
        """The manifest as it stands in the file; no two states of a gallery have the same."""
        try:
            return (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            raise InputError(f"there is no gallery at {self.path} any more") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing; wait for one that does.

        Raises:
            InputError: it took longer than a minute.
        """
        lock = filelock.FileLock(self.path / LOCK, timeout=LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(f"{self.path} is being written by another process: try again later") from None
        try:
            yield
        finally:
            lock.release()

    def manifest(self, version: bytes) -> Manifest:
        """What a version says; `InputError` when it is not ours."""
        try:
            document = json.loads(version)
            stamp, segments, number = document["stamp"], tuple(document["segments"]), int(document["next_number"])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self.path / MANIFEST} is not the manifest of a gallery") from None
        return Manifest(NetworkStamp.read(stamp, str(self.path)), segments, number)

    def images(self, segment: str, dimensions: int) -> Images:
        """Read a segment with embeddings of the given length.

        Raises:
            FileNotFoundError: it is not there: damaged, or replaced since the manifest was read.
            InputError: not readable.
        """
        try:
            table = pq.read_table(self.path / segment, use_threads=False)
            names, modalities = table["subject_id"].to_pylist(), table["modality"].to_pylist()
            values = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(names), dimensions)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(f"{self.path / segment} is damaged: {one_line(error)}") from None
        return Images(names, modalities, values)

    def change(
        self, manifest: Manifest, dropped: Collection[str], images: Images
    ) -> tuple[Manifest, dict[str, Images]]:
        """Put new segments with `images` in the place of the `dropped` ones; afterwards it is on the disk.

        Returns:
            The new manifest, and what each new segment holds.
        """
        new: dict[str, Images] = {}
        for start in range(0, len(images.subject_ids), SEGMENT_IMAGES):
            part = slice(start, start + SEGMENT_IMAGES)
            segment = f"images-{manifest.next_number + len(new):08d}.parquet"
            new[segment] = Images(images.subject_ids[part], images.modalities[part], images.embeddings[part])
            with replacing_file(self.path / segment) as temporary:
                pq.write_table(
                    _table(new[segment]), temporary, compression="none", use_dictionary=["subject_id", "modality"]
                )
                _flush(temporary)
        kept = tuple(segment for segment in manifest.segments if segment not in dropped)
        changed = Manifest(manifest.stamp, kept + tuple(new), manifest.next_number + len(new))
        self._write_manifest(changed)
        self.sweep(changed)
        return changed, new

    def sweep(self, manifest: Manifest) -> None:
        """Delete what the manifest does not name: replaced segments, and what a killed process left."""
        rest = [file for file in self.path.iterdir() if OURS.match(file.name) and file.name not in manifest.segments]
        for file in rest:
            file.unlink()
        if rest:
            _flush(self.path)

    def _write_manifest(self, manifest: Manifest) -> None:
        with replacing_file(self.path / MANIFEST) as temporary:
            temporary.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
            _flush(temporary)
        _flush(self.path)


def _table(images: Images) -> pa.Table:
    item = pa.field("item", pa.float32(), nullable=False)  # not nullable: read several times as fast
    embedding = pa.list_(item, images.embeddings.shape[1])
    schema = pa.schema(
        [
            pa.field("subject_id", pa.string(), nullable=False),
            pa.field("modality", pa.string()),
            pa.field("embedding", embedding, nullable=False),
        ]
    )
    flat = pa.array(np.ascontiguousarray(images.embeddings).ravel())
    values = pa.FixedSizeListArray.from_arrays(flat, type=embedding)
    return pa.table([pa.array(images.subject_ids), pa.array(images.modalities, pa.string()), values], schema=schema)


def _flush(path: Path) -> None:
    """Have the system write a file or folder to the disk, so that a power cut loses nothing either."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
