"""What a visitor has brought: in memory, apart from others', and gone with the visit."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from PIL import Image

from hf_crossspec.demo.engine import Look

if TYPE_CHECKING:
    from hf_crossspec.demo.gallery import MemoryGallery

IDLE_SECONDS = 3600
CAPACITY = 500
MAX_ENROLLED = 200


@dataclass(frozen=True, eq=False)
class Enrolled:
    """An aligned face in the gallery, under a name."""

    name: str
    modality: str
    crop: Image.Image


@dataclass(eq=False)
class Session:
    """One visit.

    Args:
        looks: What was found in the pictures of the page, by the name of their place.
        enrolled: Faces of the gallery.
        galleries: Their templates, by the fingerprint of the network; made again after every change.
        same: Whether the two pictures to verify show one person, where that is known.
        turn: How many probes were shown as examples.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    enrolled: list[Enrolled] = field(default_factory=list)
    galleries: dict[str, MemoryGallery] = field(default_factory=dict)
    same: bool | None = None
    turn: int = 0


class Sessions:
    """The visits under way. One that stands idle ends, and the longest unused gives way when there are too many."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sessions: OrderedDict[str, tuple[float, Session]] = OrderedDict()

    def of(self, key: str | None) -> Session:
        """The session of a visitor; one without a key gets a new one at each call."""
        if key is None:
            return Session()
        with self._lock:
            _, session = self._sessions.pop(key, (0.0, Session()))
            self._sessions[key] = (time.monotonic(), session)
            self._drop_old()
            return session

    def end(self, key: str | None) -> None:
        """Forget a visitor."""
        with self._lock:
            if key is not None:
                self._sessions.pop(key, None)

    def __len__(self) -> int:
        return len(self._sessions)

    def _drop_old(self) -> None:
        now = time.monotonic()
        for key, (used, _) in list(self._sessions.items()):  # the longest unused comes first
            if len(self._sessions) <= CAPACITY and now - used < IDLE_SECONDS:
                return
            del self._sessions[key]
