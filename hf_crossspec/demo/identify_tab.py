"""Identify: who of a gallery is it? The gallery is the visitor's own and lives in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup
from PIL import Image

from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.inputs import html, modality_input, picture_input
from hf_crossspec.demo.marks import contact_sheet, face_card, note, score_bars, title_of, verdict
from hf_crossspec.demo.sessions import MAX_ENROLLED, Enrolled, Session, Sessions
from hf_crossspec.demo.synthetic import Shot, person_name
from hf_crossspec.demo.verify_tab import STRANGE, fmr_input, is_known, remember
from hf_crossspec.errors import InputError
from hf_crossspec.recognition.results import Decision, Identification

if TYPE_CHECKING:
    from hf_crossspec.demo.gallery import MemoryGallery
    from hf_crossspec.recognition.recognizer import Recognizer

PEOPLE = (171, 44, 100, 52, 20, 55, 137, 134, 19, 74, 3, 7, 11, 24, 28, 41, 49, 58, 63, 70, 81, 90, 112, 150)
PROBES = (171, 134, 44, 137, 55, 49)  # the last is not among the easy ones
STRANGERS = (101, 120, 33)  # enrolled by nobody
TOP = 5
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
NOBODY = ""  # of the gallery
EMPTY = "The gallery is empty: enrol rendered people, or your own pictures."


def identify_tab(engine: Engine, sessions: Sessions) -> None:
    """Draw the tab."""
    identifying = Identifying(engine, sessions)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            enrolling = _draw_gallery(engine, identifying)
        with gr.Column(min_width=280):
            gr.Markdown("### 2. Probe")
            with gr.Row():
                known = gr.Button("Somebody enrolled, in infrared", variant="primary", size="sm", min_width=140)
                stranger = gr.Button("A stranger, in infrared", size="sm", min_width=120)
            probe = picture_input("Picture to identify", height=200, elem_id="probe")
            kind: Any = modality_input(engine.options.modalities()[1], engine.options.modalities(), "Taken in")
            face = html()
    fmr: Any = fmr_input(engine.options.fmrs())
    answer = html(elem_id="ranking")
    shown, empty = enrolling
    empty.click(identifying.empty, None, [shown, answer], **QUIET)
    probe.change(identifying.ask, [probe, kind, fmr], [face, answer], **QUIET)
    gr.on([kind.input, fmr.input], identifying.answer, [kind, fmr], answer, **QUIET)
    for button, people in ((known, PROBES), (stranger, STRANGERS)):
        button.click(identifying.shower(people), fmr, [shown, probe, kind, face, answer], **QUIET)


def _draw_gallery(engine: Engine, identifying: Identifying) -> tuple[gr.HTML, gr.Button]:
    gr.Markdown("### 1. Gallery")
    with gr.Row():
        fill = gr.Button(f"Enrol {len(PEOPLE)} rendered people", variant="primary", size="sm", min_width=140)
        empty = gr.Button("Empty the gallery", size="sm", min_width=120)
    with gr.Accordion("Enrol a picture of your own", open=False):
        name = gr.Textbox(label="Name", max_lines=1, max_length=60)
        own = picture_input("Picture to enrol", height=180, elem_id="own")
        kind = modality_input("vis", engine.options.modalities(), "Taken in")
        enrol = gr.Button("Enrol", size="sm")
    shown = html(str(note(EMPTY)), elem_id="gallery")
    fill.click(identifying.fill, None, shown, **QUIET)
    enrol.click(identifying.enrol, [name, own, kind], shown, **QUIET)
    return shown, empty


class Identifying:
    """What happens on the tab. Each handler gets the values of the page and the visitor's request."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine = engine
        self.sessions = sessions

    def fill(self, request: gr.Request) -> str:
        """Enrol the rendered people, and nobody else."""
        session = self.sessions.of(request.session_hash)
        session.enrolled = [
            Enrolled(person_name(who), "vis", self.engine.render(Shot(who, 0, "vis"))) for who in PEOPLE
        ]
        session.galleries.clear()
        return gallery_sheet(session)

    def empty(self, request: gr.Request) -> tuple[str, str]:
        """Forget everybody."""
        session = self.sessions.of(request.session_hash)
        session.enrolled.clear()
        session.galleries.clear()
        return gallery_sheet(session), ""

    def enrol(self, name: str, picture: Any, modality: str, request: gr.Request) -> str:
        """Enrol one picture."""
        session = self.sessions.of(request.session_hash)
        enrol_picture(self.engine, session, name, picture, modality)
        return gallery_sheet(session)

    def ask(self, picture: Any, modality: str, fmr: float | None, request: gr.Request) -> Any:
        """A new probe."""
        session = self.sessions.of(request.session_hash)
        if is_known(session, "probe", picture):
            return gr.skip(), gr.skip()
        remember(self.engine, session, "probe", picture)
        return str(face_card(session.looks.get("probe"))), ranking(self.engine, session, modality, fmr)

    def answer(self, modality: str, fmr: float | None, request: gr.Request) -> str:
        """The ranking again, after another choice."""
        return ranking(self.engine, self.sessions.of(request.session_hash), modality, fmr)

    def shower(self, people: tuple[int, ...]) -> Any:
        """The handler that shows these people as probes in turn."""

        def show(fmr: float | None, request: gr.Request) -> tuple[Any, ...]:
            session = self.sessions.of(request.session_hash)
            if not session.enrolled:
                self.fill(request)
            who = people[session.turn % len(people)]
            session.turn += 1
            picture = self.engine.render(Shot(who, 1, "nir-sim"))
            remember(self.engine, session, "probe", picture)
            wanted = person_name(who) if who in PEOPLE else NOBODY
            answer = ranking(self.engine, session, "nir-sim", fmr, wanted)
            return gallery_sheet(session), picture, "nir-sim", str(face_card(session.looks["probe"])), answer

        return show


def enrol_picture(engine: Engine, session: Session, name: str, picture: Image.Image | None, modality: str) -> None:
    """Add a face to the visitor's gallery.

    Raises:
        gr.Error: no name, no picture, no face in it, or a full gallery.
    """
    if not name.strip() or picture is None:
        raise gr.Error("Give a name and a picture.", print_exception=False)
    if len(session.enrolled) >= MAX_ENROLLED:
        raise gr.Error(f"The gallery is full: it takes {MAX_ENROLLED} pictures.", print_exception=False)
    remember(engine, session, "own", picture)
    look = session.looks.pop("own")
    if look.crop is None:
        raise gr.Error(f"Nobody is enrolled: {getattr(look.face, 'message', '')}", print_exception=False)
    session.enrolled.append(Enrolled(name.strip(), modality, look.crop))
    session.galleries.clear()


def gallery_sheet(session: Session) -> str:
    """The enrolled faces with their names."""
    if not session.enrolled:
        return str(note(EMPTY))
    count = len({face.name for face in session.enrolled})
    people = "1 person" if count == 1 else f"{count} people"
    sheet = contact_sheet([(face.name, face.crop) for face in session.enrolled])
    return str(note(f"{people} enrolled, in memory, for this visit only.", "quiet") + sheet)


def ranking(engine: Engine, session: Session, modality: str, fmr: float | None, wanted: str | None = None) -> str:
    """The candidates for the probe, without and with the adapter."""
    look = session.looks.get("probe")
    if look is None or look.crop is None:
        return ""
    if not session.enrolled:
        return str(note(EMPTY, "problem"))
    enrolled_in = {face.modality for face in session.enrolled}
    pair = (next(iter(enrolled_in)) if len(enrolled_in) == 1 else "vis", modality)
    try:
        cards = []
        systems = engine.systems(pair, fmr)
        for name, recognizer in systems.items():
            gallery = gallery_of(session, recognizer, modality)
            found = recognizer.identify(look.crop, gallery, TOP, modality, pair[0])
            cards.append(_ranking_card(name, len(systems) == 1, found, session, wanted))
    except InputError as error:
        return str(note(f"{error}.", "problem"))
    truth = note(STRANGE, "problem") if engine.is_stranger_to(look) else Markup("")
    if wanted is not None:
        truth = note(f"The probe shows {wanted}." if wanted else "The probe shows nobody of the gallery.", "truth")
    return str(truth + Markup('<div class="cards">{}</div>').format(Markup("").join(cards)))


def gallery_of(session: Session, recognizer: Recognizer, modality: str | None) -> MemoryGallery:
    """The visitor's gallery for a network, made when it is first searched."""
    from hf_crossspec.demo.gallery import MemoryGallery

    stamp = recognizer.network_for(modality).stamp
    if stamp.weights_sha256 not in session.galleries:
        gallery = MemoryGallery(stamp)
        for face in session.enrolled:
            recognizer.enroll(gallery, face.name, [face.crop], face.modality)
        session.galleries[stamp.weights_sha256] = gallery
    return session.galleries[stamp.weights_sha256]


def _ranking_card(name: str, single: bool, found: Identification, session: Session, wanted: str | None) -> Markup:
    title, first = title_of(name, single), found.candidates[0].subject_id
    words = {Decision.MATCH: f"✓ {first}", Decision.NO_MATCH: "✗ Nobody is near enough"}.get(found.decision, "")
    judged = ""
    if wanted is not None and found.decision is not Decision.UNCERTAIN:
        judged = "right" if (first if found.decision is Decision.MATCH else NOBODY) == wanted else "wrong"
    crops = {face.name: face.crop for face in session.enrolled}
    rows = [
        (one.subject_id, crops.get(one.subject_id), one.score, one.subject_id == wanted) for one in found.candidates
    ]
    bound = Markup("")
    if found.false_positive_bound is not None:
        bound = note(
            f"{found.enrolled} people × the false match rate: a stranger is taken for one of them in at most "
            f"{100 * found.false_positive_bound:.3g} % of searches.", "quiet",
        )  # fmt: skip
    return Markup('<section class="card {}" aria-label="{}"><h3>{}</h3>{}{}{}</section>').format(
        name,
        title,
        title,
        verdict(found.decision, found.reason, judged, words),
        score_bars(rows, found.threshold),
        bound,
    )
