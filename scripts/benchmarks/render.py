"""Rendering speed of SpectralFaces."""

from __future__ import annotations

import statistics
import time
from typing import Annotated

import cv2
import typer
from rich.console import Console

from hf_crossspec.cli.shared import JsonOption, write_result
from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance
from hf_crossspec.data.synthetic.render import make_scene, render_scene

console = Console(highlight=False)


def render(
    people: Annotated[int, typer.Option(help="People of one measurement.")] = 25,
    conditions: Annotated[int, typer.Option(help="Pictures per person and modality.")] = 4,
    rounds: Annotated[int, typer.Option(help="How often each is measured; the median is given.")] = 7,
    json: JsonOption = None,
) -> None:
    """SpectralFaces per second on one core: pictures of 112 x 112 in one modality, in two, and in all four.

    Pictures of several modalities share pose, light and geometry, as the data set's default makes them.
    """
    cv2.setNumThreads(1)
    sets = [(name,) for name in MODALITIES] + [MODALITIES[:2], MODALITIES]
    seconds: dict[str, list[float]] = {" + ".join(names): [] for names in sets}
    for first in range(0, (rounds + 1) * people, people):  # new people each round: nothing is cached from the last
        for names in sets:
            started = time.perf_counter()
            for subject in range(first, first + people):
                who = draw_identity("train", subject)
                for condition in range(conditions):
                    scene = make_scene(who, draw_nuisance("train", subject, condition))
                    for modality in names:
                        render_scene(scene, modality)
            seconds[" + ".join(names)].append(time.perf_counter() - started)
    result = {}
    for title, times in seconds.items():
        pictures = people * conditions * (title.count("+") + 1)
        result[title] = pictures / statistics.median(times[1:])
        console.print(f"{title}: {result[title]:.0f} images/s")
    write_result(json, {"images_per_second": result, "rounds": rounds, "people": people, "conditions": conditions})
