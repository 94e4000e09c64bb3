"""From any raw picture to an aligned face, or to the reason why there is none: a failure to acquire.

The name is that of ISO/IEC 19795-1. A failure is a value, not an exception, so that a batch goes on and counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from hf_crossspec.data.images import BadImageError, decode_image
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.faces.alignment import TEMPLATE_SIZE, align_face
from hf_crossspec.faces.detection import DetectedFace, Detector
from hf_crossspec.faces.scaling import to_eight_bit

Points = Sequence[Sequence[float]] | np.ndarray
Choice = Literal["largest-central", "only"]


class FailureReason(StrEnum):
    """Why there is no face."""

    UNREADABLE = "unreadable"  # missing, damaged, too many pixels, or no usable pixel value
    NO_FACE = "no_face"  # the detector found nothing
    LOW_SCORE = "low_score"  # the detector was not sure enough
    TOO_SMALL = "too_small"  # the picture, or every face in it
    SEVERAL_FACES = "several_faces"  # where only one is allowed
    BAD_LANDMARKS = "bad_landmarks"  # they coincide, lie outside the picture, or are not 2 or 5 points
    WRONG_SIZE = "wrong_size"  # a picture said to be aligned has another size


@dataclass(frozen=True, eq=False)
class AcquiredFace:
    """An aligned face, 8 bit.

    Args:
        crop: 112 x 112, mode L or RGB.
        landmarks: (5, 2) or (2, 2) in pixels of the upright picture; `None` for a pre-aligned one.
        box: Left, top, width, height of the detected face; `None` where no detector was asked, as are:
        score: The detector's confidence.
        faces: How many faces were large and certain enough.
    """

    crop: Image.Image
    landmarks: np.ndarray | None = None
    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    faces: int | None = None


@dataclass(frozen=True)
class FailureToAcquire:
    """No face, and why.

    Args:
        reason: One of a few, to be counted.
        message: One line for people, which begins with the picture's name.
        score: The best score among the detector's candidates, if there were any.
        faces: How many faces were large and certain enough, if a detector was asked.
    """

    reason: FailureReason
    message: str
    score: float | None = None
    faces: int | None = None


def acquire_face(
    picture: Any,
    detector: Detector | None,
    *,
    landmarks: Points | None = None,
    eyes: Points | None = None,
    pre_aligned: bool = False,
    resize: bool = False,
    choose: Choice = "largest-central",
    min_score: float = 0.6,
    min_face: float = 20.0,
    name: str | None = None,
) -> AcquiredFace | FailureToAcquire:
    """Find and align the face of a picture.

    The picture is brought to 8 bit first (`to_eight_bit`), as a whole, for detector and crop alike; of an animation
    the first frame counts. Whatever may be wrong with a picture, no exception is raised and no substitute is returned.

    Args:
        picture: A path, a PIL picture, an array (H, W) or (H, W, 3), or an undecoded `datasets.Image`.
        detector: Asked only where neither landmarks nor eyes are given and the picture is not pre-aligned; may be
            `None` then.
        landmarks: (5, 2) eyes, nose tip, mouth corners in pixels of the upright picture, left to right as seen.
        eyes: (2, 2) eye centres, instead of landmarks.
        pre_aligned: The picture is an aligned 112 x 112 crop and is passed through.
        resize: Bring a pre-aligned picture of another size to 112 x 112, instead of refusing it.
        choose: Of several faces take the one with the greatest area x (1 - d / D)^2, where d is the distance of its
            centre from the picture's and D half the picture's diagonal; or accept a face only if it is the `only` one.
        min_score: Least detector score of a face.
        min_face: Least side of a face's box, in pixels of the picture.
        name: What to call the picture in messages, where it has no path.

    Raises:
        InputError: a detector is needed and not given, both landmarks and eyes are, or `choose` is unknown.
        TypeError: `picture` is no kind of picture.
    """
    if landmarks is not None and eyes is not None:
        raise InputError("give landmarks or eyes of a picture, not both")
    if choose not in get_args(Choice):
        raise InputError(f"choose is one of {', '.join(get_args(Choice))}, not {choose!r}")
    points = landmarks if landmarks is not None else eyes
    if detector is None and points is None and not pre_aligned:
        raise InputError("a picture without landmarks needs a detector")
    name = name or (str(picture) if isinstance(picture, str | Path) else "picture")
    try:
        pixels = _read(picture, name)
    except InputError as error:
        return FailureToAcquire(FailureReason.UNREADABLE, str(error))
    if pre_aligned:
        return _pass_through(pixels, resize, name)
    if points is not None:
        return _align_by(pixels, points, name)
    assert detector is not None
    found = _detect(pixels, detector, choose, min_score, min_face, name)
    if isinstance(found, FailureToAcquire):
        return found
    face, count = found
    aligned = _align_by(pixels, face.landmarks, name)
    if isinstance(aligned, FailureToAcquire):
        return replace(aligned, score=face.score, faces=count)
    return replace(aligned, box=face.box, score=face.score, faces=count)


def _read(picture: Any, name: str) -> np.ndarray:
    """Upright uint8 pixels; `InputError` for whatever is wrong with the picture."""
    if not isinstance(picture, str | Path | Image.Image | np.ndarray | dict):
        raise TypeError(f"a path, a picture or an array is expected, not {type(picture).__name__}")
    try:
        return to_eight_bit(picture if isinstance(picture, np.ndarray) else decode_image(picture, name))
    except BadImageError:
        raise
    except Exception as error:  # decoders fail in many ways on damaged files; each means that there is no picture
        raise BadImageError(f"{name}: {one_line(error)}") from None


def _pass_through(pixels: np.ndarray, resize: bool, name: str) -> AcquiredFace | FailureToAcquire:
    height, width = pixels.shape[:2]
    crop = Image.fromarray(pixels)
    if crop.size == (TEMPLATE_SIZE, TEMPLATE_SIZE):
        return AcquiredFace(crop)
    if not resize:
        message = f"{name}: {width} x {height} is not the size of an aligned face, {TEMPLATE_SIZE} x {TEMPLATE_SIZE}"
        return FailureToAcquire(FailureReason.WRONG_SIZE, message)
    return AcquiredFace(crop.resize((TEMPLATE_SIZE, TEMPLATE_SIZE), Image.Resampling.BILINEAR))


def _align_by(pixels: np.ndarray, points: Points, name: str) -> AcquiredFace | FailureToAcquire:
    size = np.array(pixels.shape[1::-1])
    try:
        landmarks = np.asarray(points, dtype=np.float64)
        if landmarks.ndim == 2 and landmarks.shape[1] == 2 and _lie_outside(landmarks, size):
            raise InputError(f"the landmarks lie outside the picture, which has {size[0]} x {size[1]} pixels")
        return AcquiredFace(align_face(Image.fromarray(pixels), landmarks), landmarks)
    except (ValueError, TypeError) as error:  # also of points that are no array of numbers
        return FailureToAcquire(FailureReason.BAD_LANDMARKS, f"{name}: {one_line(error)}")


def _lie_outside(landmarks: np.ndarray, size: np.ndarray) -> bool:
    """Whether the face's middle is beyond the border, or one point by more than the picture's size."""
    middle = landmarks.mean(axis=0)
    return bool(((middle < 0) | (middle >= size)).any() or ((landmarks < -size) | (landmarks > 2 * size)).any())


def _detect(
    pixels: np.ndarray, detector: Detector, choose: Choice, min_score: float, min_face: float, name: str
) -> tuple[DetectedFace, int] | FailureToAcquire:
    """The chosen face and the number of those that would do."""
    height, width = pixels.shape[:2]
    if min(height, width) < min_face:
        message = f"{name}: {width} x {height} pixels are too few, a face needs {min_face:g} each way"
        return FailureToAcquire(FailureReason.TOO_SMALL, message)
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    candidates = detector.detect(rgb)
    best = max((face.score for face in candidates), default=None)
    certain = [face for face in candidates if face.score >= min_score]
    faces = [face for face in certain if min(face.box[2:]) >= min_face]
    if best is None:
        return FailureToAcquire(FailureReason.NO_FACE, f"{name}: no face was found", faces=0)
    if not certain:
        message = f"{name}: the likeliest face has the score {best:.2f}, below {min_score:g}"
        return FailureToAcquire(FailureReason.LOW_SCORE, message, best, 0)
    if not faces:
        message = f"{name}: the face is smaller than {min_face:g} pixels"
        return FailureToAcquire(FailureReason.TOO_SMALL, message, best, 0)
    if choose == "only" and len(faces) > 1:
        message = f"{name}: {len(faces)} faces were found, and only one is allowed"
        return FailureToAcquire(FailureReason.SEVERAL_FACES, message, best, len(faces))
    return max(faces, key=lambda face: _prominence(face, width, height)), len(faces)


def _prominence(face: DetectedFace, width: int, height: int) -> float:
    """Area of the face, less the farther its centre is from the picture's."""
    left, top, face_width, face_height = face.box
    offset = np.hypot(left + face_width / 2 - width / 2, top + face_height / 2 - height / 2)
    return face_width * face_height * max(0.0, 1 - 2 * float(offset) / float(np.hypot(width, height))) ** 2
