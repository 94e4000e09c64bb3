"""SCface (Grgic, Delac and Grgic, 2011): surveillance cameras at three distances against a mugshot.

The protocol is Idiap's (McLaren and Wallace, 2012; `bob.db.scface`), a rule over the owner's names: subjects 1-43 to
train on, 44-87 for development, 88-130 to test on; the frontal mugshot is enrolled, the five visible-light surveillance
cameras are probes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hf_crossspec.data.protocols.base import Copy, Counts, Picture, Protocol, ProtocolRows
from hf_crossspec.data.protocols.formats import find_picture

_DISTANCES = {"far": (1,), "medium": (2,), "close": (3,), "combined": (1, 2, 3)}  # 4.20 m, 2.60 m, 1.00 m
_CAMERAS = range(1, 6)
_SUFFIXES = (".jpg", ".JPG")


def _read(copy: Copy) -> ProtocolRows:
    pictures: list[Picture] = []
    for subject in range(1, 131):
        split = "train" if subject <= 43 else "dev" if subject <= 87 else "test"
        mugshot = find_picture(copy.root, f"mugshot_frontal_cropped_all/{subject:03d}_frontal.jpg", _SUFFIXES)
        enrolled, probing = ("train", "train") if split == "train" else ("gallery", "probe")
        pictures.append(Picture(mugshot, f"{subject:03d}", "vis", split, enrolled, camera="mugshot"))
        distances = (1, 2, 3) if split == "train" else _DISTANCES[str(copy.variant)]
        pictures += _surveillance(copy.root, subject, distances, split, probing)
    return ProtocolRows(tuple(pictures))


def _surveillance(root: Path, subject: int, distances: tuple[int, ...], split: str, role: str) -> Iterator[Picture]:
    for distance in distances:
        for camera in _CAMERAS:
            name = f"{subject:03d}_cam{camera}_{distance}.jpg"
            flat = find_picture(root, f"surveillance_cameras_all/{name}", _SUFFIXES)  # the owner's other folder
            path = find_picture(root, f"surveillance_cameras_distance_{distance}/cam_{camera}/{name}", _SUFFIXES)
            path = flat if os.path.isfile(f"{root}/{flat}") else path  # noqa: PTH113
            yield Picture(
                path,
                f"{subject:03d}",
                "surveillance",
                split,
                role,
                session=f"distance_{distance}",
                camera=f"cam{camera}",
            )


def _count(fold: int | None, variant: str | None) -> Counts:
    probes = len(_CAMERAS) * len(_DISTANCES[str(variant)])
    return {
        "train subjects": 43,
        "train vis pictures": 43,
        "train surveillance pictures": 43 * 15,
        "dev gallery subjects": 44,
        "dev gallery pictures": 44,
        "dev probe pictures": 44 * probes,
        "test gallery subjects": 43,
        "test gallery pictures": 43,
        "test probe pictures": 43 * probes,
    }


PROTOCOLS = (
    Protocol(
        name="scface",
        title="SCface: surveillance cameras 1-5 at 4.20 m, 2.60 m or 1.00 m against a mugshot",
        owner="University of Zagreb, Faculty of Electrical Engineering and Computing (www.scface.org)",
        terms="research only, by release agreement",
        version="1",
        layout=(
            "ROOT/mugshot_frontal_cropped_all/001_frontal.jpg and "
            "ROOT/surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg, and so on, or "
            "ROOT/surveillance_cameras_all/001_cam1_1.jpg"
        ),
        lists="None needed, the file names decide. Probes have the modality `surveillance`.",
        read=_read,
        counts=_count,
        has_lists=False,
        variants=tuple(_DISTANCES),
    ),
)
