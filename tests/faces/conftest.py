"""A detector that says what it is told, the real YuNet, and real pictures where they are present."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf_crossspec.faces.alignment import TEMPLATE
from hf_crossspec.faces.detection import DetectedFace
from hf_crossspec.faces.yunet import YUNET_FILE, YuNetDetector


@dataclass
class ToldDetector:
    """Finds the faces it was told, whatever the picture, and remembers what it was shown."""

    faces: tuple[DetectedFace, ...] = ()
    seen: list[np.ndarray] = field(default_factory=list)

    def detect(self, rgb: np.ndarray) -> tuple[DetectedFace, ...]:
        self.seen.append(rgb)
        return self.faces


def face_at(x: float, y: float, side: float, score: float = 0.9) -> DetectedFace:
    """A square face of this centre and side, with landmarks in their usual places."""
    landmarks = np.array([x, y]) + (TEMPLATE - 56) * (side / 112)
    return DetectedFace((x - side / 2, y - side / 2, side, side), landmarks, score)


@pytest.fixture(scope="session")
def yunet_file(real_data: Path) -> Path:
    path = real_data / "weights" / YUNET_FILE
    if not path.is_file():
        pytest.skip(f"no {YUNET_FILE} among the real data")
    return path


@pytest.fixture(scope="session")
def yunet(yunet_file: Path) -> YuNetDetector:
    cv2.setNumThreads(1)
    return YuNetDetector(yunet_file)


@pytest.fixture(scope="session")
def sample(real_data: Path) -> list[Path]:
    """42 photographs, 250 x 250, two of each of 21 people."""
    return sorted((real_data / "lfw" / "unaligned_sample").glob("*.jpg"))
