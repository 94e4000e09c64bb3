"""A protocol and a copy of its database -> a data set, in memory or as Parquet.

Either way the splits are `train`, `dev` and `test`, as far as the protocol has them, with a column `role`: a split
holds gallery and probes together, since the evaluation takes both from one split and tells them apart by modality.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, DatasetInfo, Features, Image, List, Value

from hf_crossspec import __version__
from hf_crossspec.data.images import decode_image
from hf_crossspec.data.protocols import get_protocol
from hf_crossspec.data.protocols.base import Copy, Picture
from hf_crossspec.data.protocols.checked import CheckedProtocol, check_protocol
from hf_crossspec.errors import InputError
from hf_crossspec.faces.alignment import align_face
from hf_crossspec.files import new_directory, sha256_of, write_json

_BATCH_ROWS, _BATCH_BYTES = 256, 16_000_000
# `datasets` takes the files of a folder of this name for the data, and leaves the CSV and JSON beside it alone. A card
# with `configs` would do that too, but then the data are cached by the folder's name only.
_DATA = "data"
_OPTIONAL = ("session", "camera", "landmarks")


def read_protocol(
    name: str,
    root: str | Path,
    fold: int | None = None,
    *,
    variant: str | None = None,
    lists: str | Path | None = None,
    allow_count_mismatch: bool = False,
) -> CheckedProtocol:
    """Find the pictures and pairs of a protocol in a copy of its database, and check their counts.

    Args:
        name: One of `PROTOCOLS`.
        root: Folder of the copy, laid out as the protocol's `layout` says.
        fold, variant: Of those the protocol has.
        lists: Where the lists are, if not where the protocol's `lists` says.
        allow_count_mismatch: Accept other counts than the protocol's, as of a partial copy.

    Raises:
        InputError: as `check_protocol`, or no such protocol.
    """
    copy = Copy(Path(root), fold, variant, None if lists is None else Path(lists))
    return check_protocol(get_protocol(name), copy, allow_count_mismatch)


def build_protocol(name: str, root: str | Path, fold: int | None = None, **options: Any) -> DatasetDict:
    """A protocol as data sets that refer to the copy's files; nothing is copied.

    Args:
        name, root, fold, options: As `read_protocol` takes them.

    Returns:
        Splits `train`, `dev`, `test` in the image-level schema, with `key` and `role` (train, gallery, probe, or pair).

    Raises:
        InputError: as `read_protocol`.
    """
    checked = read_protocol(name, root, fold, **options)
    features = _features(checked)
    info = DatasetInfo(description=checked.description, features=features)
    splits = {}
    for split in checked.splits:
        rows = [_row(picture, _reference(picture, checked.copy.root), features) for picture in _of(checked, split)]
        columns = {column: [row[column] for row in rows] for column in features}
        splits[split] = Dataset.from_dict(columns, features=features, info=info)
    return DatasetDict(splits)


@dataclass(frozen=True)
class PreparedProtocol:
    """What was written: the checked protocol, and the files of the new folder."""

    checked: CheckedProtocol
    files: tuple[str, ...]


def prepare_protocol(
    name: str, root: str | Path, output_dir: str | Path, fold: int | None = None, *, align: bool = False, **options: Any
) -> PreparedProtocol:
    """Write a protocol as Parquet with the pictures in it, byte for byte unless aligned.

    Args:
        name, root, fold, options: As `read_protocol` takes them.
        output_dir: New or empty folder: one Parquet file a split in `data`, `protocol.json`, `README.md`, and
            `pairs.csv` for a protocol of pairs.
        align: Align each picture by the eye centres that the database gives.

    Raises:
        InputError: as `read_protocol`, a folder that is not empty, or with `align` no eye centres or a bad picture.
    """
    checked = read_protocol(name, root, fold, **options)
    if align and any(picture.landmarks is None for picture in checked.rows.pictures):
        raise InputError(f"{checked.label} has pictures without eye coordinates: prepare it without --align")
    features = _features(checked, without=("landmarks",) if align else ())
    with new_directory(output_dir) as folder:
        for split in checked.splits:
            rows = (
                _row(picture, _stored(picture, checked.copy.root, align), features) for picture in _of(checked, split)
            )
            _write_parquet(folder / _DATA / f"{split}-00000-of-00001.parquet", rows, features)
        if checked.rows.pairs:
            _write_pairs(folder / "pairs.csv", checked)
        write_json(folder / "protocol.json", _record(checked, align))
        (folder / "README.md").write_text(_readme(checked), encoding="utf-8")
        files = tuple(sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()))
    return PreparedProtocol(checked, files)


def _of(checked: CheckedProtocol, split: str) -> Iterator[Picture]:
    return (picture for picture in checked.rows.pictures if picture.split == split)


def _features(checked: CheckedProtocol, without: tuple[str, ...] = ()) -> Features:
    """Columns: those of the schema, and of the optional ones those that some picture fills."""
    features = {"image": Image(), **{name: Value("string") for name in ("subject_id", "modality", "key", "role")}}
    for name in _OPTIONAL:
        if name not in without and any(getattr(picture, name) is not None for picture in checked.rows.pictures):
            features[name] = List(List(Value("float32"))) if name == "landmarks" else Value("string")
    return Features(features)


def _row(picture: Picture, image: dict[str, Any], features: Features) -> dict[str, Any]:
    return {name: image if name == "image" else getattr(picture, name) for name in features}


def _reference(picture: Picture, root: Path) -> dict[str, Any]:
    if picture.content is not None:
        return {"bytes": picture.content, "path": picture.path}
    return {"bytes": None, "path": str(root.absolute() / picture.path)}


def _stored(picture: Picture, root: Path, align: bool) -> dict[str, Any]:
    content = (root / picture.path).read_bytes() if picture.content is None else picture.content
    name = PurePosixPath(picture.path)
    if not align:
        return {"bytes": content, "path": name.name}
    face = align_face(decode_image({"bytes": content, "path": None}, picture.path), np.asarray(picture.landmarks))
    buffer = io.BytesIO()
    face.save(buffer, format="TIFF" if face.mode == "F" else "PNG")
    return {"bytes": buffer.getvalue(), "path": name.with_suffix(".tif" if face.mode == "F" else ".png").name}


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]], features: Features) -> None:
    path.parent.mkdir(exist_ok=True)
    schema = features.arrow_schema
    with pq.ParquetWriter(path, schema, use_dictionary=["subject_id", "modality", "role"]) as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Consecutive rows, so few that their pictures are held in memory together without harm."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row["image"]["bytes"])
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_pairs(path: Path, checked: CheckedProtocol) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ("fold", "key1", "key2", "same")
        writer.writerows(
            chain([header], ((pair.fold, pair.key1, pair.key2, int(pair.same)) for pair in checked.rows.pairs))
        )


def _record(checked: CheckedProtocol, align: bool) -> dict[str, Any]:
    protocol, copy = checked.protocol, checked.copy
    return {
        "protocol": protocol.name,
        "version": protocol.version,
        "fold": copy.fold,
        "variant": copy.variant,
        "title": protocol.title,
        "owner": protocol.owner,
        "terms": protocol.terms,
        "counts": {"expected": dict(checked.expected), "found": dict(checked.found)},
        "differences": checked.differences,
        "missing_files": checked.missing,
        "aligned": align,
        "lists_sha256": {file.name: sha256_of(file) for file in checked.rows.lists},
        "hf_crossspec": __version__,
    }


def _readme(checked: CheckedProtocol) -> str:
    counts = "".join(
        f"| {name} | {checked.expected.get(name, 'not asserted')} | {found} |\n"
        for name, found in checked.found.items()
    )
    return (
        f"---\nlicense: other\n---\n# {checked.label}\n\n{checked.description}\n\n"
        "Private: the pictures belong to the database's owner and show people; do not publish them.\n\n"
        f"| count | expected | found |\n|---|---|---|\n{counts}\n"
        f"```bash\ncrossspec evaluate --model MODEL {checked.evaluate_options('FOLDER')}\n```\n"
    )
