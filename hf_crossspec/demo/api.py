"""The endpoints for programs: /verify, /identify and /embed. They keep nothing between two calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from hf_crossspec.demo.engine import Engine, Look
from hf_crossspec.demo.identify_tab import gallery_of
from hf_crossspec.demo.inputs import picture_input, read_file
from hf_crossspec.demo.sessions import MAX_ENROLLED, Enrolled, Session
from hf_crossspec.errors import InputError

VERIFY = (
    "Compare the faces of two pictures without and with the adapter. A picture of 112 x 112 pixels is taken as an "
    "aligned face. fmr: the false match rate whose calibrated threshold decides."
)
IDENTIFY = (
    "Rank the people of a gallery by their similarity to a probe, without and with the adapter. Each gallery file is "
    "one person's picture, named as the file; nothing of it is kept."
)
EMBED = "The embedding of the face in a picture, of length one, by the network for the modality."


def add_endpoints(engine: Engine) -> None:
    """Add the endpoints, which have no place on the page."""
    lowest = min(engine.options.fmrs(), default=None)
    modality = engine.options.modalities()[1]
    with gr.Group(visible=False):
        first, second = picture_input("first"), picture_input("second")
        kinds = [gr.Textbox("vis", label="first_modality"), gr.Textbox(modality, label="second_modality")]
        fmr = gr.Number(lowest, label="fmr")
        gallery = gr.File(label="gallery", file_count="multiple", file_types=["image"])
        top = gr.Number(5, label="top_k", precision=0, minimum=1, maximum=MAX_ENROLLED)
        answer = gr.JSON()
        button = gr.Button()

    def verify(first: Any, second: Any, first_modality: str, second_modality: str, fmr: float | None) -> dict[str, Any]:
        return verify_pictures(engine, (first, second), (first_modality, second_modality), fmr)

    def identify(
        probe: Any, gallery: Any, modality: str, gallery_modality: str, fmr: float | None, top_k: float
    ) -> Any:
        return identify_picture(engine, probe, gallery or [], (gallery_modality, modality), fmr, int(top_k))

    def embed(picture: Any, modality: str) -> dict[str, Any]:
        return embed_picture(engine, picture, modality)

    _endpoint(button, verify, [first, second, *kinds, fmr], answer, VERIFY)
    _endpoint(button, identify, [first, gallery, kinds[1], kinds[0], fmr, top], answer, IDENTIFY)
    _endpoint(button, embed, [first, kinds[0]], answer, EMBED)


def _endpoint(button: gr.Button, function: Callable[..., Any], inputs: list[Any], answer: Any, words: str) -> None:
    def guarded(*values: Any) -> Any:
        try:
            return function(*values)
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None

    guarded.__wrapped__ = function  # type: ignore[attr-defined]
    guarded.__name__, guarded.__doc__, guarded.__annotations__ = function.__name__, words, function.__annotations__
    button.click(guarded, inputs, answer, api_name=function.__name__, api_description=words)


def verify_pictures(
    engine: Engine, pictures: tuple[Any, Any], modalities: tuple[str, str], fmr: float | None
) -> dict[str, Any]:
    """Both systems' answers, and what was found in the pictures."""
    looks = [_look(engine, picture, name) for picture, name in zip(pictures, ("first", "second"), strict=True)]
    results = engine.verify((_crop(looks[0]), _crop(looks[1])), modalities, fmr)
    return {f"{name}_adapter": result.to_dict() for name, result in results.items()} | {
        "faces": [_face(look) for look in looks]
    }


def identify_picture(
    engine: Engine, probe: Any, files: list[str], modalities: tuple[str, str], fmr: float | None, top_k: int
) -> dict[str, Any]:
    """Both systems' rankings of a gallery that lives as long as the call."""
    if not files:
        raise InputError("the gallery is empty: send a picture of each person")
    if len(files) > MAX_ENROLLED:
        raise InputError(f"{len(files)} pictures are too many for one call: {MAX_ENROLLED} at most")
    look = _look(engine, probe, "the probe")
    session = Session()
    for file in files:
        name = Path(file).stem
        session.enrolled.append(Enrolled(name, modalities[0], _crop(_look(engine, read_file(file), name))))
    results = {}
    for name, recognizer in engine.systems(modalities, fmr).items():
        own = gallery_of(session, recognizer, modalities[1])
        found = recognizer.identify(_crop(look), own, max(1, top_k), modalities[1], modalities[0])
        results[f"{name}_adapter"] = found.to_dict()
    return results | {"faces": [_face(look)]}


def embed_picture(engine: Engine, picture: Any, modality: str) -> dict[str, Any]:
    """An embedding with the fingerprint of the network it comes from."""
    look = _look(engine, picture, "the picture")
    recognizer = list(engine.systems((modality, modality), None).values())[-1]
    (found,) = recognizer.embed([_crop(look)], modality)
    assert found.embedding is not None
    stamp = recognizer.network_for(modality).stamp
    values = {"embedding": found.embedding.tolist(), "weights_sha256": stamp.weights_sha256}
    return values | {"faces": [_face(look)]}


def _look(engine: Engine, picture: Image.Image | None, name: str) -> Look:
    if picture is None:
        raise InputError(f"{name}: there is no picture")
    look = engine.look(picture)
    if look.crop is None:
        raise InputError(f"no usable face: {getattr(look.face, 'message', '').replace('picture', name, 1)}")
    return look


def _crop(look: Look) -> Image.Image:
    assert look.crop is not None
    return look.crop


def _face(look: Look) -> dict[str, Any]:
    """Where the face is, if it was looked for."""
    face: Any = look.face
    return {"box": face.box, "score": face.score, "faces": face.faces}
