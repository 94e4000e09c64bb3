"""Asked to stop: finish the step at hand first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """While training, SIGTERM and SIGINT only set a flag, so that a step is never cut in two."""
    requested: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        requested.append(number)

    in_main_thread = threading.current_thread() is threading.main_thread()  # only there may handlers be set
    numbers = (signal.SIGTERM, signal.SIGINT) if in_main_thread else ()
    previous = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield lambda: bool(requested)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
