"""Model: what is running here, under which licence, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.inputs import html, modality_name
from hf_crossspec.demo.marks import TITLES, entry_words, note
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import Calibration, PairCalibration, Rate

WEIGHTS = {"model": "model.safetensors", "adapter": "adapter_model.safetensors"}


def model_tab(engine: Engine) -> Any:
    """Draw the tab; returns what fills it when it is opened."""
    facts = html(elem_id="facts")
    rates = html(elem_id="rates")
    cards = gr.Markdown(elem_id="card")

    def fill() -> tuple[str, str, str]:
        _ = engine.networks  # loaded before anything else is imported
        sources = sources_of(engine)
        found = [(kind, source, card_of(source)) for kind, source in sources]
        written = [f"## Card of the {kind}\n\n{card.text}" for kind, _, card in found if card is not None]
        return str(facts_table(engine, found)), str(rates_plot(engine)), "\n\n".join(reversed(written))

    return fill, None, [facts, rates, cards]


def sources_of(engine: Engine) -> list[tuple[str, str]]:
    """What was loaded: (kind, folder or Hub id)."""
    options = engine.options
    found = [("model", options.sources[0]), *(("adapter", str(source)) for source in options.adapters.values())]
    extra = (("low-rank embedding", options.low_rank), ("hallucinator", options.hallucinator))
    return found + [(kind, source) for kind, source in extra if source is not None]


def card_of(source: str) -> Any:
    """The model card, if there is one that can be read."""
    from hf_crossspec.hub.card import read_card

    try:
        return read_card(_folder(source, "README.md"))
    except InputError:
        return None


def facts_table(engine: Engine, found: Sequence[tuple[str, str, Any]]) -> Markup:
    """Name, size and licence of each part, and the fingerprints of the networks."""
    rows = []
    for kind, source, card in found:
        licence = None if card is None else card.data.get("license")
        rows.append((kind, Path(source).name, size_of(kind, source), licence or "not stated"))
    head = Markup(
        "<tr><th scope='col'>{}</th><th scope='col'>{}</th><th scope='col'>{}</th><th scope='col'>{}</th></tr>"
    )
    cells = Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>")
    body = Markup("").join(cells.format(*row) for row in rows)
    prints = {network.stamp.weights_sha256 for network in (engine.networks.plain, *engine.networks.adapted.values())}
    words = f"{len(prints)} networks are loaded; weights " + ", ".join(sorted(value[:12] for value in prints)) + "."
    table = Markup('<div class="scroll"><table class="facts">{}{}</table></div>')
    return table.format(head.format("part", "name", "size", "licence"), body) + note(words, "quiet")


def size_of(kind: str, source: str) -> str:
    """Parameters and bytes of a safetensors file."""
    from safetensors import safe_open

    try:
        path = _folder(source, WEIGHTS.get(kind, "model.safetensors")) / WEIGHTS.get(kind, "model.safetensors")
        with safe_open(path, "pt") as file:
            count = sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (InputError, OSError):
        return "not known"
    kilobytes = path.stat().st_size / 1000
    return f"{count:,} parameters, {kilobytes:,.0f} kB"


def rates_plot(engine: Engine) -> Markup:
    """True accept rates of the calibrated thresholds on people of the test split, without and with the adapter."""
    systems = calibrations_of(engine)
    pairs = {pair.modalities for _, calibration in systems for pair in calibration.pairs}
    if not pairs:
        return note("No thresholds are calibrated for these weights (`crossspec calibrate`).", "quiet")
    parts = Markup("<h3>Pairs of the same person that are accepted</h3>")
    for modalities in sorted(pairs, key=lambda names: (names[0] == names[1], names)):
        own = [(name, pair) for name, calibration in systems if (pair := calibration.pair(*modalities)) is not None]
        names = [modality_name(name) for name in dict.fromkeys(reversed(modalities))]
        title = " and ".join([names[0], *(name.lower() for name in names[1:])]) + (", both" if len(names) == 1 else "")
        parts += Markup('<div class="rates"><h4>{}</h4>{}</div>').format(title, _pair_rates(own))
    return parts + note("Bars are rates on people of the test split; thin lines, their 95 % intervals.", "quiet")


def calibrations_of(engine: Engine) -> list[tuple[str, Calibration]]:
    """System and its calibration, the plain network first."""
    networks = engine.networks
    adapted = [network for network in networks.adapted.values() if network is not networks.plain]
    every = [("without", networks.plain.calibration), *(("with", network.calibration) for network in adapted)]
    return [(name, calibration) for name, calibration in every if calibration is not None]


def _pair_rates(systems: list[tuple[str, PairCalibration]]) -> Markup:
    rows = Markup("")
    for fmr in sorted({entry.fmr for _, pair in systems for entry in pair.thresholds}, reverse=True):
        for name, pair in systems:
            for entry in pair.thresholds:
                rates = entry.test or entry.development
                if entry.fmr == fmr:
                    label = f"{TITLES[name].split()[0]}, FMR {100 * fmr:g}\u00a0%"
                    rows += _rate_row(label, name, rates.fnmr, entry_words(entry))
    return rows


def _rate_row(label: str, name: str, misses: Rate, words: str) -> Markup:
    value, low, high = 100 * (1 - misses.value), 100 * (1 - misses.high), 100 * (1 - misses.low)
    said = f"{label}: {value:.1f} % [{low:.1f}, {high:.1f}]"
    return Markup(
        '<div class="rate" title="{}"><span>{}</span><span class="bar" role="img" aria-label="{}">'
        '<i class="fill {}" style="width:{}%"></i><i class="range" style="left:{}%;width:{}%"></i></span><b>{}</b>'
        "</div>"
    ).format(words, label, said, name, round(value, 1), round(low, 1), round(high - low, 1), f"{value:.0f} %")


def _folder(source: str, name: str) -> Path:
    from hf_crossspec.hub.source import fetch_files, is_repo_id

    return fetch_files(source, (name,)) if is_repo_id(source) else Path(source)
