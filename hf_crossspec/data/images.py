"""One stored picture -> one PIL picture, or a clear word on why not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from hf_crossspec.errors import InputError

MAX_PIXELS = 50_000_000  # a picture that claims more is refused before it is decoded


class BadImageError(InputError):
    """A picture that is missing, damaged or too large. Data sets may skip it when the user says so."""


def decode_image(entry: Any, name: str | None = None) -> Image.Image:
    """Decode a picture completely.

    Args:
        entry: A path, a PIL picture, or the `{"bytes": ..., "path": ...}` of an undecoded `datasets.Image`.
        name: What to call the picture in messages when the entry has no path.

    Raises:
        BadImageError: no such file, not a picture, damaged, or more than `MAX_PIXELS` pixels.
    """
    if isinstance(entry, Image.Image):
        return _load(entry, name or "picture")
    if isinstance(entry, str | Path):
        entry = {"bytes": None, "path": str(entry)}
    content, path = entry.get("bytes"), entry.get("path")
    label = str(path or name or "picture") if content is None else name or str(path or "picture")
    if content is None and not path:
        raise BadImageError(f"{label}: the row has no picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own, lower limit follows
            image = Image.open(io.BytesIO(content) if content is not None else path)
    except FileNotFoundError:
        raise BadImageError(f"{label}: the file does not exist") from None
    except Image.DecompressionBombError:
        raise BadImageError(f"{label}: more than {MAX_PIXELS:,} pixels; shrink it first") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise BadImageError(f"{label}: not readable as a picture") from None
    return _load(image, label)


def _load(image: Image.Image, label: str) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{label}: {width} x {height} is more than {MAX_PIXELS:,} pixels; shrink it first")
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise BadImageError(f"{label}: the picture is damaged ({error})") from None
    return image
