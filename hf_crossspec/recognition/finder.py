"""Faces of many pictures at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from hf_crossspec.faces.acquisition import AcquiredFace, FailureToAcquire, acquire_face
from hf_crossspec.faces.detection import Detector, make_detector

Picture = str | Path | Image.Image | np.ndarray
THREADS = 2  # decoding and detection release Python's lock


class FaceFinder:
    """Finds and aligns faces in a few threads of its own.

    Args:
        detector: Name of a registered detector, or a detector; loaded at the first picture.
        detector_path: Model file for a detector given by name.
        aligned: The pictures are aligned 112 x 112 faces; no detector is asked.
    """

    def __init__(
        self, detector: str | Detector = "yunet", detector_path: str | Path | None = None, aligned: bool = False
    ) -> None:
        self.aligned = aligned
        self._detector = detector
        self._detector_path = detector_path
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="faces")

    def find(self, pictures: Sequence[Picture]) -> list[AcquiredFace | FailureToAcquire]:
        """The face of each picture, or why there is none.

        Raises:
            InputError: the detector cannot be loaded.
        """
        detector = None if self.aligned else self._loaded_detector()

        def acquire(numbered: tuple[int, Picture]) -> AcquiredFace | FailureToAcquire:
            number, picture = numbered
            return acquire_face(picture, detector, pre_aligned=self.aligned, name=name_of(picture, number))

        return list(self._threads.map(acquire, enumerate(pictures)))

    def close(self) -> None:
        """End the threads; nothing can be found afterwards."""
        self._threads.shutdown(cancel_futures=True)

    def _loaded_detector(self) -> Detector:
        with self._lock:
            if isinstance(self._detector, str):
                self._detector = make_detector(self._detector, self._detector_path)
            return self._detector


def name_of(picture: Picture, number: int) -> str:
    """What to call a picture in messages."""
    return str(picture) if isinstance(picture, str | Path) else f"picture {number + 1}"
