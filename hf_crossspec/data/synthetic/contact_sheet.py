"""Contact sheets: people x modalities, one person x conditions, landmarks drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hf_crossspec.data.synthetic.identity import draw_identity
from hf_crossspec.data.synthetic.nuisance import draw_nuisance
from hf_crossspec.data.synthetic.render import MODALITIES, make_scene, render_scene
from hf_crossspec.files import replacing_file


def modality_sheet(people: int = 10, split: str = "test", seed: int = 0, first: int = 0) -> np.ndarray:
    """One column per person, one row per modality; uint8 (rows * 112, people * 112, 3)."""
    scenes = [
        make_scene(draw_identity(split, first + number, seed), draw_nuisance(split, first + number, 0, seed=seed))
        for number in range(people)
    ]
    return np.concatenate([np.concatenate([render_scene(s, m) for s in scenes], axis=1) for m in MODALITIES])


def nuisance_sheet(
    people: int = 3, images: int = 10, split: str = "test", modality: str = "vis", seed: int = 0, first: int = 0
) -> np.ndarray:
    """One row per person, one column per condition; uint8 (people * 112, images * 112, 3)."""
    rows = []
    for number in range(first, first + people):
        who = draw_identity(split, number, seed)
        pictures = [
            render_scene(make_scene(who, draw_nuisance(split, number, image, seed=seed)), modality)
            for image in range(images)
        ]
        rows.append(np.concatenate(pictures, axis=1))
    return np.concatenate(rows)


def landmark_sheet(people: int = 5, split: str = "test", seed: int = 0, zoom: int = 3, first: int = 0) -> np.ndarray:
    """People in a row, enlarged, with their 68 landmarks; uint8 (zoom * 112, people * zoom * 112, 3)."""
    tiles = []
    for number in range(first, first + people):
        scene = make_scene(draw_identity(split, number, seed), draw_nuisance(split, number, 1, seed=seed))
        tile = cv2.resize(render_scene(scene, "vis"), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        for x, y in ((scene.landmarks + 0.5) * zoom - 0.5).round().astype(int).tolist():
            cv2.circle(tile, (x, y), 2, (20, 255, 60), -1, cv2.LINE_AA)
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def save_sheet(path: str | Path, sheet: np.ndarray) -> None:
    """Write an RGB sheet as PNG."""
    with replacing_file(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1])
