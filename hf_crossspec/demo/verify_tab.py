"""Verify: do two pictures show one person?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.inputs import html, modality_input, picture_input
from hf_crossspec.demo.marks import face_card, note, verification_cards
from hf_crossspec.demo.sessions import Session, Sessions
from hf_crossspec.demo.synthetic import Shot
from hf_crossspec.errors import InputError

WAITING = "Give two pictures, or take one of the examples: the answer appears here."
STRANGE = "The network on show knows rendered faces only: what it says of a photograph means little."


@dataclass(frozen=True)
class Example:
    """Two rendered pictures, and what they are to show."""

    title: str
    first: Shot
    second: Shot


# Chosen by the scores of all test people, to show what an adapter changes and what it does not.
EXAMPLES = (
    Example("One person, visible and infrared", Shot(171, 0, "vis"), Shot(171, 1, "nir-sim")),
    Example("Two people who look alike", Shot(146, 0, "vis"), Shot(66, 1, "nir-sim")),
    Example("One person, both visible", Shot(52, 0, "vis"), Shot(52, 1, "vis")),
    Example("One person, still missed", Shot(18, 0, "vis"), Shot(18, 1, "nir-sim")),
)


def verify_tab(engine: Engine, sessions: Sessions) -> Any:
    """Draw the tab; returns what shows the first example when the page is loaded."""
    modalities, verifying = engine.options.modalities(), Verifying(engine, sessions)
    with gr.Row(elem_id="examples"):
        buttons = [gr.Button(example.title, size="sm", min_width=140) for example in EXAMPLES]
    pictures, kinds, faces = [], [], []
    with gr.Row(equal_height=False):
        for place, default in (("First picture", modalities[0]), ("Second picture", modalities[1])):
            with gr.Column(min_width=140):
                pictures.append(picture_input(place, height=220, elem_id=place.split()[0].lower()))
                kinds.append(modality_input(default, modalities, f"{place} taken in"))
                faces.append(html())
    answer = html(str(note(WAITING)), elem_id="answer")
    setting: list[Any] = [*kinds, fmr_input(engine.options.fmrs())]
    for number, picture in enumerate(pictures):
        inputs, outputs = [picture, *setting], [faces[number], answer]
        picture.change(verifying.looker(number), inputs, outputs, api_visibility="private", show_progress_on=answer)
    gr.on([control.input for control in setting], verifying.answer, setting, answer, api_visibility="private")
    changed = [*pictures, *kinds, *faces, answer]
    for button, example in zip(buttons, EXAMPLES, strict=True):
        shower = verifying.shower(example)
        button.click(shower, setting[-1], changed, api_visibility="private", show_progress_on=answer)
    return verifying.shower(EXAMPLES[0]), setting[-1], changed


class Verifying:
    """What happens on the tab. Each handler gets the values of the page and the visitor's request."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine = engine
        self.sessions = sessions

    def looker(self, place: int) -> Any:
        """The handler of a new picture at a place."""

        def look(picture: Any, first: str, second: str, fmr: float | None, request: gr.Request) -> Any:
            session = self.sessions.of(request.session_hash)
            if is_known(session, f"verify-{place}", picture):
                return gr.skip(), gr.skip()
            session.same = None
            remember(self.engine, session, f"verify-{place}", picture)
            card = face_card(session.looks.get(f"verify-{place}"))
            return str(card), answer_for(self.engine, session, first, second, fmr)

        return look

    def answer(self, first: str, second: str, fmr: float | None, request: gr.Request) -> str:
        """The answer again, after another choice."""
        return answer_for(self.engine, self.sessions.of(request.session_hash), first, second, fmr)

    def shower(self, example: Example) -> Any:
        """The handler that shows an example."""
        shots = (example.first, example.second)
        first, second = example.first.modality, example.second.modality

        def show(fmr: float | None, request: gr.Request) -> tuple[Any, ...]:
            session = self.sessions.of(request.session_hash)
            for place, shot in enumerate(shots):
                remember(self.engine, session, f"verify-{place}", self.engine.render(shot))
            session.same = example.first.person == example.second.person
            cards = [str(face_card(session.looks[f"verify-{place}"])) for place in (0, 1)]
            answer = answer_for(self.engine, session, first, second, fmr)
            return *map(self.engine.render, shots), first, second, *cards, answer

        return show


def fmr_input(fmrs: list[float]) -> gr.Radio:
    """A choice of the false match rates that are calibrated; without any, nothing to choose."""
    choices = [(f"1 in {round(1 / fmr):,}", fmr) for fmr in fmrs]
    return gr.Radio(
        choices, value=fmrs[-1] if fmrs else None, label="Accept a wrong person once in how many comparisons?",
        visible=bool(fmrs),
    )  # fmt: skip


def remember(engine: Engine, session: Session, place: str, picture: Image.Image | None) -> None:
    """Keep what was found in a picture, and not the picture."""
    session.looks.pop(place, None)
    if picture is not None:
        try:
            session.looks[place] = engine.look(picture)
        except InputError as error:
            raise gr.Error(str(error), duration=20, print_exception=False) from None


def is_known(session: Session, place: str, picture: Image.Image | None) -> bool:
    """Whether this is the picture of an example, which was put there by the page: Gradio tells of every change."""
    look = session.looks.get(place)
    if look is None or picture is None:
        return look is None and picture is None
    return np.array_equal(np.asarray(look.picture), np.asarray(picture.convert("RGB")))


def answer_for(engine: Engine, session: Session, first: str, second: str, fmr: float | None) -> str:
    """The comparison of the page's two faces, as far as they are there."""
    looks = [session.looks.get(f"verify-{place}") for place in (0, 1)]
    crops = [look.crop for look in looks if look is not None and look.crop is not None]
    if len(crops) < 2:
        return str(note(WAITING))
    doubt = note(STRANGE, "problem") if any(engine.is_stranger_to(look) for look in looks if look is not None) else ""
    try:
        cards = verification_cards(engine.verify((crops[0], crops[1]), (first, second), fmr), session.same)
        return str(doubt + cards)
    except InputError as error:  # two modalities with an adapter each, for instance
        return str(note(f"{error}.", "problem"))
