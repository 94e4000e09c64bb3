"""What a face detector is, and the detectors known by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hf_crossspec.errors import InputError


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """One face in a picture; coordinates are pixels of that picture and may lie beyond its border.

    Args:
        box: Left, top, width, height.
        landmarks: (5, 2) eye centres, nose tip, mouth corners, left to right as seen.
        score: The detector's confidence, in [0, 1].
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray
    score: float


class Detector(Protocol):
    """Finds faces; one object may be used by several threads at once."""

    def detect(self, rgb: np.ndarray) -> tuple[DetectedFace, ...]:
        """Faces in an upright picture, uint8 (H, W, 3) in the order red, green, blue; best score first.

        Doubtful and small faces are returned as well: what is good enough is decided by `acquire_face`, which can then
        say what was wrong with the picture.
        """
        ...


DetectorFactory = Callable[[str | Path | None], Detector]


def register_detector(name: str, factory: DetectorFactory) -> None:
    """Make a detector known to `make_detector`, say one for thermal pictures.

    Args:
        name: A name that is not taken.
        factory: Takes the path of the detector's model file, or `None` for its own choice.

    Raises:
        InputError: the name is taken.
    """
    if name in _FACTORIES:
        raise InputError(f"a detector named {name!r} is registered already: choose another name")
    _FACTORIES[name] = factory


def make_detector(name: str = "yunet", path: str | Path | None = None) -> Detector:
    """A detector by its name; `path` is its model file, `None` leaves that to the detector.

    Raises:
        InputError: no detector of that name, or its model cannot be had.
    """
    if name not in _FACTORIES:
        raise InputError(f"there is no detector {name!r}; registered are {', '.join(sorted(_FACTORIES))}")
    return _FACTORIES[name](path)


def _make_yunet(path: str | Path | None) -> Detector:
    from hf_crossspec.faces.yunet import YuNetDetector, fetch_yunet

    return YuNetDetector(fetch_yunet() if path is None else path)


_FACTORIES: dict[str, DetectorFactory] = {"yunet": _make_yunet}
