"""YuNet, a face detector of 230 kB for visible light, run by OpenCV.

W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research, 2023.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.faces.detection import DetectedFace
from hf_crossspec.files import sha256_of
from hf_crossspec.hub.source import fetch_files

# The bytes are pinned by their hash; the branch only says where to look for them, and may move.
YUNET_SOURCE = "opencv/face_detection_yunet@main"
YUNET_FILE = "face_detection_yunet_2026may.onnx"
YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"

_CREATION = threading.Lock()


def fetch_yunet() -> Path:
    """The YuNet model from the Hub (MIT licence), or from its cache; its SHA-256 is verified every time.

    Raises:
        InputError: the Hub cannot be reached, or what it sent is another file.
    """
    try:
        path = fetch_files(YUNET_SOURCE, [YUNET_FILE]) / YUNET_FILE
    except InputError as error:
        raise InputError(f"{error}: give the file {YUNET_FILE} by its path (--detector-path)") from error
    found = sha256_of(path)
    if found != YUNET_SHA256:
        raise InputError(
            f"{YUNET_FILE} from {YUNET_SOURCE} has the SHA-256 {found}, not {YUNET_SHA256}: refused; "
            "give a file that you trust by its path (--detector-path)"
        )
    return path


class YuNetDetector:
    """YuNet through `cv2.FaceDetectorYN`.

    OpenCV's detector keeps the size of its input and must not be shared, so every thread gets one of its own.

    Args:
        path: Model file; it is taken as it is.
        min_score: Faces of a lower score are not even candidates.
        max_side: Pictures with a longer side are reduced to it, in pixels. YuNet knows faces of about 10 to 300
            pixels: a larger limit finds smaller faces, and is slower and less sure of close-ups.

    Raises:
        InputError: no such file, or not a model that OpenCV can run as YuNet.
    """

    def __init__(self, path: str | Path, min_score: float = 0.3, max_side: int = 640) -> None:
        if not Path(path).is_file():
            raise InputError(f"{path} does not exist: give the ONNX file of a YuNet face detector")
        self.path = Path(path)
        self.min_score = min_score
        self.max_side = max_side
        self._threads = threading.local()
        try:
            self._find(np.zeros((32, 32, 3), np.uint8))  # other networks fail here, and not in the middle of a batch
        except cv2.error:
            raise InputError(f"{path} is not the ONNX file of a YuNet face detector") from None

    def detect(self, rgb: np.ndarray) -> tuple[DetectedFace, ...]:
        """Faces in an upright picture, uint8 (H, W, 3); coordinates are those of the picture as given."""
        height, width = rgb.shape[:2]
        reduction = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(width * reduction)), max(1, round(height * reduction)))
        reduced = rgb if size == (width, height) else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        found = self._find(cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR))
        scale = np.array([width / size[0], height / size[1]])
        faces = [_as_face(row.astype(np.float64), scale) for row in found if np.isfinite(row).all()]
        return tuple(sorted(faces, key=lambda face: -face.score))

    def _find(self, bgr: np.ndarray) -> np.ndarray:
        """OpenCV's table of faces, (N, 15): box, five landmarks, score."""
        detector = getattr(self._threads, "detector", None)
        if detector is None:
            detector = self._threads.detector = _create(self.path, self.min_score)
        detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        found = detector.detect(bgr)[1]
        return np.empty((0, 15), np.float32) if found is None else found


def _create(path: Path, min_score: float) -> Any:
    """An OpenCV detector, without OpenCV's notice about its graph engine on standard error."""
    with _CREATION:
        level = _set_log_level(2)  # errors only
        try:
            return cv2.FaceDetectorYN.create(str(path), "", (32, 32), min_score)
        finally:
            _set_log_level(level)


def _set_log_level(level: int) -> int:
    """Set OpenCV's log level and return the one before."""
    setter = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    return int(setter(level))


def _as_face(row: np.ndarray, scale: np.ndarray) -> DetectedFace:
    left, top, width, height = (row[:4].reshape(2, 2) * scale).ravel()
    landmarks = (row[4:14].reshape(5, 2) + 0.5) * scale - 0.5  # the centre of a pixel stays the centre of its area
    return DetectedFace((float(left), float(top), float(width), float(height)), landmarks, float(row[14]))
