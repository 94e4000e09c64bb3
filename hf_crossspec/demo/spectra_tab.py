"""Spectra: one rendered person in four spectra, and where the pictures fall without and with the adapter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
from markupsafe import Markup
from PIL import Image

from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.inputs import html, modality_name
from hf_crossspec.demo.marks import contact_sheet, note, title_of
from hf_crossspec.demo.synthetic import PEOPLE, Scene, Shot, render, render_spectra

SIDE, MARGIN = 460, 26
CROWD = 32  # people in the projection
SENSORS = ("nir-sim", "thermal-sim", "sketch-sim")
START = 0


@dataclass(frozen=True, eq=False)
class Projection:
    """Embeddings of P people in two modalities in the plane of their first two principal components.

    Args:
        vis, probes: (P, 2).
        found: (P,) whether a probe is nearest to its own person's visible picture, by cosine in all dimensions.
        explained: Share of the variance in the plane.
    """

    vis: np.ndarray
    probes: np.ndarray
    found: np.ndarray
    explained: float


def spectra_tab(engine: Engine) -> Any:
    """Draw the tab; returns what fills it when it is first opened."""
    gr.Markdown(
        "SpectralFaces renders people who do not exist, in visible light and three simulated spectra. "
        "Move the sliders, then see below where the pictures fall."
    )
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260, scale=1):
            person = gr.Slider(0, PEOPLE - 1, START, step=1, label="Person")
            yaw = gr.Slider(-30, 30, 0, step=1, label="Head turned (degrees)")
            pitch = gr.Slider(-18, 18, 0, step=1, label="Head lowered (degrees)")
            smile = gr.Slider(0, 1, 0.2, step=0.05, label="Smile")
            across = gr.Slider(-1.5, 1.5, 0.4, step=0.1, label="Light from the left to the right")
            strength = gr.Slider(0.2, 0.95, 0.7, step=0.05, label="Directed light (rest: ambient)")
        with gr.Column(min_width=300, scale=2):
            pictures = html(elem_id="spectra")
            table = html()
    choices = [(modality_name(name), name) for name in SENSORS]
    sensor = gr.Radio(choices, value=SENSORS[0], label="Compared with visible light")
    plots = html(elem_id="projection")
    sliders = [person, yaw, pitch, smile, across, strength]

    def draw(*values: float) -> tuple[str, str]:
        _ = engine.networks  # loaded before anything else is imported
        seen = render_spectra(Scene(int(values[0]), *values[1:]))
        sheet = contact_sheet([(modality_name(name), picture) for name, picture in seen.items()], "spectra")
        return str(sheet), str(likeness(engine, int(values[0]), seen))

    def project(number: float, modality: str) -> str:
        return str(projections(engine, int(number), modality))

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
    gr.on([slider.input for slider in sliders], draw, sliders, [pictures, table], **quiet)
    gr.on([person.input, sensor.input], project, [person, sensor], plots, **quiet)

    def open_tab(*values: Any) -> tuple[str, str, str]:
        return *draw(*values[:-1]), project(values[0], values[-1])

    return open_tab, [*sliders, sensor], [pictures, table, plots]


def likeness(engine: Engine, person: int, seen: dict[str, Image.Image]) -> Markup:
    """Similarity of the pictures on show to a visible picture of the person in other conditions."""
    reference = render(Shot(person, 1, "vis"))
    head, rows = Markup(""), [Markup("<th scope='row'>{}</th>").format(modality_name(name)) for name in seen]
    for name, networks in engine.networks.by_name.items():
        head += Markup("<th scope='col'>{}</th>").format(title_of(name, not engine.networks.has_adapter))
        for number, modality in enumerate(seen):
            network = networks.get(modality, networks[None])
            pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in (reference, seen[modality])])
            embeddings = network.run(pixels)
            rows[number] += Markup("<td>{}</td>").format(f"{float(embeddings[0] @ embeddings[1]):.2f}")
    body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    caption = "Similarity to another visible picture of the same person"
    return Markup('<table class="facts"><caption class="legend">{}</caption><tr><th></th>{}</tr>{}</table>').format(
        caption, head, body
    )


def projections(engine: Engine, person: int, modality: str) -> Markup:
    """A plane for each system, with its count of probes that are nearest to their own person."""
    people = [(person + step) % PEOPLE for step in range(CROWD)]
    cards = []
    for name, networks in engine.networks.by_name.items():
        projection = project(networks.get(modality, networks[None]).run, tuple(people), modality)
        title = title_of(name, not engine.networks.has_adapter)
        cards.append(
            Markup(
                '<section class="card {}" aria-label="{}"><h3>{}</h3><p class="verdict">{}</p>{}{}</section>'
            ).format(
                name,
                title,
                title,
                f"{projection.found.sum()} of {CROWD} recognised",
                drawing(projection),
                note(f"The plane holds {100 * projection.explained:.0f} % of the variance.", "quiet"),
            )
        )
    legend = (
        f"○ visible, ● {modality_name(modality).lower()}; lines join pictures of one person, dashed where somebody "
        f"else's visible picture is nearer. Person {person} (outlined) and the next {CROWD - 1}; principal components "
        "of each network's embeddings."
    )
    both = Markup("").join(cards)
    return Markup('<div class="cards">{}</div><p class="legend">{}</p>').format(both, legend)


@lru_cache(maxsize=256)
def project(run: Any, people: tuple[int, ...], modality: str) -> Projection:
    """Embed one visible picture and one probe of each person, and project all into their common plane."""
    from sklearn.decomposition import PCA

    shots = [Shot(who, 0, "vis") for who in people] + [Shot(who, 1, modality) for who in people]
    embeddings = run(np.stack([np.asarray(render(shot)) for shot in shots]))
    vis, probes = embeddings[: len(people)], embeddings[len(people) :]
    found = (probes @ vis.T).argmax(axis=1) == np.arange(len(people))
    plane = PCA(2, random_state=0).fit(embeddings)
    explained = float(plane.explained_variance_ratio_.sum())
    return Projection(plane.transform(vis), plane.transform(probes), found, explained)


def drawing(projection: Projection) -> Markup:
    """The plane as SVG; the first person stands out."""
    both = np.concatenate([projection.vis, projection.probes])
    low, span = both.min(axis=0), np.ptp(both, axis=0).max()
    offset = (span - np.ptp(both, axis=0)) / 2
    vis, probes = (
        (MARGIN + (part - low + offset) / span * (SIDE - 2 * MARGIN)).round(1).tolist()
        for part in (projection.vis, projection.probes)
    )
    lines, marks = Markup(""), Markup("")
    for number, ((a, b), (c, d), found) in enumerate(zip(vis, probes, projection.found, strict=True)):
        kind = ("" if found else " wrong") + (" chosen" if number == 0 else "")
        lines += Markup('<line class="pair{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, a, b, c, d)
        extra = " chosen" if number == 0 else ""
        marks += Markup('<circle class="vis{}" cx="{}" cy="{}" r="6"/>').format(extra, a, b)
        marks += Markup('<circle class="probe{}" cx="{}" cy="{}" r="6"/>').format(extra, c, d)
    label = (
        f"Embeddings in a plane; {projection.found.sum()} of {len(projection.found)} probes are nearest to their person"
    )
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        SIDE, SIDE, label, lines, marks
    )
