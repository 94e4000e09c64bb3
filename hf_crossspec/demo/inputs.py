"""Pictures from outside, decoded here with limits and clear words; and the controls that take them."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from hf_crossspec.data.images import BadImageError, decode_image
from hf_crossspec.errors import InputError

MAX_FILE_SIZE = "15mb"
MAX_PIXELS = 30_000_000
NAMES = {
    "vis": "Visible light",
    "nir": "Near infrared",
    "swir": "Short-wave infrared",
    "thermal": "Thermal infrared",
    "sketch": "Sketch",
}


def picture_input(label: str, **options: Any) -> gr.Image:
    """A place for a picture, whose value arrives as a decoded PIL picture of any depth."""
    image = gr.Image(
        label=label,
        type="pil",
        image_mode=None,
        format="png",
        sources=["upload", "webcam", "clipboard"],
        buttons=[],
        **options,
    )
    vars(image)["preprocess"] = read_payload  # Gradio's own turns 16-bit pictures white and says little of bad ones
    return image


def html(value: str = "", **options: Any) -> gr.HTML:
    """A place for our own HTML, in our own style."""
    return gr.HTML(value, apply_default_css=False, **options)


def modality_input(value: str, modalities: list[str], label: str) -> gr.Dropdown:
    """A choice of modalities, in words."""
    return gr.Dropdown([(modality_name(name), name) for name in modalities], value=value, label=label, min_width=120)


def modality_name(modality: str) -> str:
    """A modality in words; what is simulated is called so."""
    plain = modality.removesuffix("-sim")
    return NAMES.get(plain, plain) + (" (simulated)" if plain != modality else "")


def read_payload(payload: Any) -> Image.Image | None:
    """The picture that a browser or a client sends, as a file that was uploaded or as a data URL.

    Raises:
        gr.Error: not a picture, damaged, too many pixels, or a file that was deleted in the meantime.
    """
    if payload is None:
        return None
    try:
        picture = decode_image({"bytes": _content(payload), "path": None}, payload.orig_name or "the picture")
        if picture.width * picture.height > MAX_PIXELS:
            raise BadImageError(f"{picture.width} x {picture.height} pixels are too many: shrink the picture first")
    except InputError as error:
        raise gr.Error(str(error), duration=15, print_exception=False) from None
    return picture


def read_file(path: str | Path) -> Image.Image:
    """As `read_payload`, for an uploaded file."""
    picture = read_payload(ImageData(path=str(path), orig_name=Path(path).name))
    assert picture is not None
    return picture


def _content(payload: Any) -> bytes:
    if payload.url and payload.url.startswith("data:"):
        try:
            return base64.b64decode(payload.url.partition(",")[2], validate=True)
        except binascii.Error:
            raise BadImageError("the data URL is not in base64") from None
    try:
        return Path(payload.path).read_bytes()
    except (OSError, TypeError):
        raise BadImageError("uploads are deleted soon, and this one is gone: send the picture again") from None
