"""Hallucinate: a visible picture from one in another spectrum, and what that does to the similarity."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.inputs import html, picture_input
from hf_crossspec.demo.marks import contact_sheet, face_card, note
from hf_crossspec.demo.synthetic import Shot
from hf_crossspec.demo.verify_tab import EXAMPLES
from hf_crossspec.errors import InputError

WARNING = "The picture is invented by a network. It shows what would make recognition easier, not what was there."


def hallucinate_tab(engine: Engine) -> None:
    """Draw the tab."""
    gr.Markdown(
        "A hallucination network (Lezama et al., 2017) turns an infrared face into a visible one before it is compared."
    )
    with gr.Row(equal_height=False):
        probe = picture_input("Picture in another spectrum", height=220, elem_id="hallucinated")
        other = picture_input("Visible picture to compare it with (optional)", height=220, elem_id="compared")
    example = gr.Button("Take a rendered example", size="sm")
    answer = html(elem_id="hallucination")

    def run(first: Image.Image | None, second: Image.Image | None) -> str:
        return "" if first is None else answer_for(engine, first, second)

    def show() -> tuple[Image.Image, Image.Image]:
        shots: list[Shot] = [EXAMPLES[0].second, EXAMPLES[0].first]
        first, second = map(engine.render, shots)
        return first, second

    quiet: dict[str, Any] = {"api_visibility": "private"}
    gr.on([probe.change, other.change], run, [probe, other], answer, **quiet)
    example.click(show, None, [probe, other], **quiet)


def answer_for(engine: Engine, first: Image.Image, second: Image.Image | None) -> str:
    """The hallucinated face and, with a picture to compare, the similarity before and after."""
    try:
        looks = [engine.look(picture) for picture in (first, second) if picture is not None]
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from None
    crops = [look.crop for look in looks]
    for look, crop in zip(looks, crops, strict=True):
        if crop is None:
            return str(face_card(look))
    face = crops[0]
    assert face is not None
    invented = hallucinate(engine.networks.hallucinator, face)
    shown = [("as it was taken", face), ("hallucinated", invented)]
    words = ""
    if len(crops) == 2 and crops[1] is not None:
        run = engine.networks.plain.run
        values = run(np.stack([np.asarray(picture.convert("RGB")) for picture in (crops[1], face, invented)]))
        shown.append(("compared with", crops[1]))
        taken, made = (float(values[0] @ value) for value in values[1:])
        words = f"Similarity without any adapter: {taken:.2f} as taken, {made:.2f} hallucinated."
    return str(contact_sheet(shown, "spectra") + (note(words) if words else "") + note(WARNING, "quiet"))


def hallucinate(model: Any, face: Image.Image) -> Image.Image:
    """A face through the hallucinator, which gives pixel values in [-1, 1]."""
    import torch

    pixels = torch.from_numpy(np.array(face.convert("RGB"))).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        visible = model(pixel_values=pixels.to(model.device)).pixel_values[0].cpu()
    values = ((visible.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    return Image.fromarray(values)
