"""Raw pictures -> a data set of aligned crops, by known landmarks or by a detector's."""

from __future__ import annotations

import io
from collections import Counter
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
from hf_crossspec.faces.acquisition import AcquiredFace, FailureReason, FailureToAcquire, acquire_face
from hf_crossspec.faces.alignment import align_face
from hf_crossspec.faces.detection import Detector
from hf_crossspec.files import new_directory


@dataclass
class PreparedSplit:
    """What became of one split.

    Args:
        kept: Pictures written.
        skipped: One line for each failure to acquire.
        reasons: How many failures have which `FailureReason`.
        several_faces: Pictures written in which the detector found more faces than the one that was taken.
    """

    kept: int = 0
    skipped: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    several_faces: int = 0

    def failures(self) -> str:
        """The reasons with their counts, the most frequent first."""
        return ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common())


def prepare_pictures(
    source: str | Path,
    output_dir: str | Path,
    splits: Sequence[str | None] = (None,),
    eyes: Sequence[Sequence[float]] | None = None,
    skip_bad: bool = False,
    detector: Detector | None = None,
) -> dict[str, PreparedSplit]:
    """Align every picture of a data set and write the crops as Parquet, one file a split.

    Args:
        source: Data set in the schema of `load_faces`.
        output_dir: New or empty folder.
        splits: Which splits; `(None,)` for the only one, which is written as `train`.
        eyes: (2, 2) eye centres that hold for every picture; `None` takes the column `landmarks` (2 or 5 points).
        skip_bad: Leave out pictures that are unreadable or in which no face is known or found; name and count them.
        detector: Finds the faces of pictures that have no landmarks (`make_detector`). With it every crop has 8 bit
            (see `acquire_face`); without it the depth of the picture is kept.

    Raises:
        InputError: a bad picture without `skip_bad`, no landmarks and no detector, or an output folder that is not
            empty.
    """
    report: dict[str, PreparedSplit] = {}
    with new_directory(output_dir) as folder:
        for split in splits:
            faces = load_faces(source, split)
            if eyes is None and detector is None and "landmarks" not in faces.column_names:
                raise InputError(
                    f"{source} has no column landmarks: give --eyes if all pictures share eye positions, or --detect"
                )
            name = split or "train"
            report[name] = PreparedSplit()
            rows = list(_aligned_rows(faces, eyes, skip_bad, detector, report[name]))
            if not rows:
                causes = report[name].failures() or "it is empty"
                raise InputError(f"{source} has no usable picture in split {name}: {causes}")
            columns = {column: faces.features[column] for column in faces.column_names if column != "landmarks"}
            aligned = Dataset.from_list(rows, features=Features({**columns, "image": Image()}))
            aligned.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
    return report


def _aligned_rows(
    faces: Dataset,
    eyes: Sequence[Sequence[float]] | None,
    skip_bad: bool,
    detector: Detector | None,
    report: PreparedSplit,
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(faces):
        image = row["image"] or {}
        name = str(row.get("key") or image.get("path") or f"row {number}")
        own = row.pop("landmarks", None)
        landmarks = own if eyes is None else eyes
        if detector is None:
            face = _align(image, landmarks, name)
        else:
            face = acquire_face(image, detector, landmarks=landmarks, name=name)
        if isinstance(face, FailureToAcquire):
            if not skip_bad:
                raise InputError(f"{face.message} (or leave bad pictures out with --skip-bad)")
            report.skipped.append(face.message)
            report.reasons[face.reason.value] += 1
            continue
        report.kept += 1
        report.several_faces += (face.faces or 0) > 1
        yield {**row, "image": {"bytes": as_png(face.crop), "path": f"{Path(name).stem}.png"}}


def _align(image: dict[str, Any], landmarks: Any, name: str) -> AcquiredFace | FailureToAcquire:
    """Align by known landmarks in the picture's own depth."""
    if landmarks is None:
        return FailureToAcquire(FailureReason.BAD_LANDMARKS, f"{name}: the row has no landmarks")
    try:
        return AcquiredFace(align_face(decode_image(image, name), np.asarray(landmarks)))
    except BadImageError as error:
        return FailureToAcquire(FailureReason.UNREADABLE, str(error))
    except ValueError as error:  # also of ragged points
        return FailureToAcquire(FailureReason.BAD_LANDMARKS, f"{name}: {error}")


def as_png(image: PILImage.Image) -> bytes:
    """A picture's pixels alone as PNG, or TIFF for floating point; camera data and the like are left behind."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG" if image.mode != "F" else "TIFF")
    return buffer.getvalue()
