"""Pictures with known landmarks -> a data set of aligned crops."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Image
from PIL import Image as PILImage

from hf_crossspec.data.images import BadImageError, decode_image
from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError
from hf_crossspec.faces.alignment import align_face
from hf_crossspec.files import new_directory


@dataclass
class PreparedSplit:
    """What became of one split: `kept` pictures written, `skipped` named."""

    kept: int = 0
    skipped: list[str] = field(default_factory=list)


def prepare_pictures(
    source: str | Path,
    output_dir: str | Path,
    splits: Sequence[str | None] = (None,),
    eyes: Sequence[Sequence[float]] | None = None,
    skip_bad: bool = False,
) -> dict[str, PreparedSplit]:
    """Align every picture of a data set and write the crops as Parquet, one file a split.

    Args:
        source: Data set in the schema of `load_faces`.
        output_dir: New or empty folder.
        splits: Which splits; `(None,)` for the only one, which is written as `train`.
        eyes: (2, 2) eye centres that hold for every picture; `None` takes the column `landmarks` (2 or 5 points).
        skip_bad: Leave out pictures that are unreadable or have no landmarks, and name them.

    Raises:
        InputError: a bad picture without `skip_bad`, no landmarks, or an output folder that is not empty.
    """
    report: dict[str, PreparedSplit] = {}
    with new_directory(output_dir) as folder:
        for split in splits:
            faces = load_faces(source, split)
            if eyes is None and "landmarks" not in faces.column_names:
                raise InputError(f"{source} has no column landmarks: give --eyes if all pictures share eye positions")
            name = split or "train"
            report[name] = PreparedSplit()
            rows = list(_aligned_rows(faces, eyes, skip_bad, report[name]))
            if not rows:
                raise InputError(f"{source} has no usable picture in split {name}")
            columns = {column: faces.features[column] for column in faces.column_names if column != "landmarks"}
            aligned = Dataset.from_list(rows, features=Features({**columns, "image": Image()}))
            aligned.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
    return report


def _aligned_rows(
    faces: Dataset, eyes: Sequence[Sequence[float]] | None, skip_bad: bool, report: PreparedSplit
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(faces):
        name = str(row.get("key") or (row["image"] or {}).get("path") or f"row {number}")
        landmarks = eyes if eyes is not None else row.pop("landmarks")
        row.pop("landmarks", None)
        try:
            if landmarks is None:
                raise BadImageError(f"{name}: the row has no landmarks")
            crop = align_face(decode_image(row["image"], name), np.asarray(landmarks))
        except InputError as error:
            if not skip_bad:
                raise InputError(f"{error} (or leave bad pictures out with --skip-bad)") from None
            report.skipped.append(str(error))
            continue
        report.kept += 1
        yield {**row, "image": {"bytes": as_png(crop), "path": f"{Path(name).stem}.png"}}


def as_png(image: PILImage.Image) -> bytes:
    """A picture's pixels alone as PNG, or TIFF for floating point; camera data and the like are left behind."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG" if image.mode != "F" else "TIFF")
    return buffer.getvalue()
