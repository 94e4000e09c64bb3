"""CASIA NIR-VIS 2.0 (Li et al., CVPRW 2013): near-infrared probes against one visible picture per subject.

Counts: fold by fold as `bob.db.cbsr_nir_vis_2` tests them, fold 1 also counted in the lists of PR-HFR. That package
trains every fold on the list of view 1, whose subjects may be tested in view 2; here fold k is trained on its own lists
`*_train_k.txt`, and disjointness is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hf_crossspec.data.protocols.base import Copy, Counts, Landmarks, Protocol, ProtocolRows
from hf_crossspec.data.protocols.formats import eyes_as_seen
from hf_crossspec.data.protocols.path_lists import PathList, read_lists
from hf_crossspec.errors import InputError

VIEW2_PROBES = (6208, 6232, 6210, 6055, 6204, 6191, 6247, 6222, 6162, 6245)
_OWNER = "CBSR, Institute of Automation, Chinese Academy of Sciences (www.cbsr.ia.ac.cn, NIR-VIS 2.0 Database)"
_LAYOUT = (
    "ROOT/s1 ... s4/VIS and NIR/<subject>/<number>.jpg or .bmp, ROOT/protocols/*.txt; eye positions for --align "
    "as ROOT/annotations/<same path>.pos, four numbers x y x y"
)


def _subject(path: str) -> str:
    _, modality, subject, _ = path.split("/")
    if modality not in ("VIS", "NIR"):
        raise ValueError(path)
    return subject


def _session(path: str) -> str:
    return path.split("/")[0]


def _read(copy: Copy, lists: Sequence[PathList]) -> ProtocolRows:
    rows = read_lists(copy, lists, _subject, _session, suffixes=(".jpg", ".bmp"))
    for picture in rows.pictures:
        if picture.path.split("/")[1].lower() != picture.modality:
            raise InputError(f"{picture.path} is listed as a {picture.modality} picture: check the lists")
    if not (copy.root / "annotations").is_dir():
        return rows
    return replace(rows, pictures=tuple(replace(p, landmarks=_eyes(copy.root, p.path)) for p in rows.pictures))


def _eyes(root: Path, path: str) -> Landmarks | None:
    file = root / "annotations" / PurePosixPath(path).with_suffix(".pos")
    if not file.is_file():
        return None
    try:
        return eyes_as_seen([float(number) for number in file.read_text().split()[:4]])
    except ValueError:
        raise InputError(f"{file}, line 1: four numbers x y x y are needed") from None


def _read_view1(copy: Copy) -> ProtocolRows:
    return _read(
        copy,
        (
            PathList(("vis_train_dev.txt",), "train", "train", "vis"),
            PathList(("nir_train_dev.txt",), "train", "train", "nir"),
            PathList(("vis_gallery_dev.txt",), "dev", "gallery", "vis"),
            PathList(("nir_probe_dev.txt",), "dev", "probe", "nir"),
        ),
    )


def _read_view2(copy: Copy) -> ProtocolRows:
    return _read(
        copy,
        (
            PathList((f"vis_train_{copy.fold}.txt",), "train", "train", "vis"),
            PathList((f"nir_train_{copy.fold}.txt",), "train", "train", "nir"),
            PathList((f"vis_gallery_{copy.fold}.txt",), "test", "gallery", "vis"),
            PathList((f"nir_probe_{copy.fold}.txt",), "test", "probe", "nir"),
        ),
    )


def _count_view1(fold: int | None, variant: str | None) -> Counts:
    return {
        "train subjects": 357,
        "train vis pictures": 2480,
        "train nir pictures": 6270,
        "dev gallery subjects": 358,
        "dev gallery pictures": 358,
        "dev probe pictures": 6123,
    }


def _count_view2(fold: int | None, variant: str | None) -> Counts:
    probes = VIEW2_PROBES[(fold or 1) - 1]
    return {"test gallery subjects": 358, "test gallery pictures": 358, "test probe pictures": probes}


PROTOCOLS = (
    Protocol(
        name="casia-nir-vis-2-view1",
        title="CASIA NIR-VIS 2.0 view 1: NIR against VIS, for choosing settings (split dev), not for results",
        owner=_OWNER,
        terms="research only, by signed agreement",
        version="1",
        layout=_LAYOUT,
        lists="The owner's {vis,nir}_train_dev.txt, vis_gallery_dev.txt, nir_probe_dev.txt in ROOT/protocols.",
        read=_read_view1,
        counts=_count_view1,
        people="casia-nir-vis-2",
        has_eyes=True,
    ),
    Protocol(
        name="casia-nir-vis-2",
        title="CASIA NIR-VIS 2.0 view 2: NIR against one VIS picture per subject, 10 folds",
        owner=_OWNER,
        terms="research only, by signed agreement",
        version="1",
        layout=_LAYOUT,
        lists="The owner's {vis,nir}_train_K.txt, vis_gallery_K.txt, nir_probe_K.txt in ROOT/protocols.",
        read=_read_view2,
        counts=_count_view2,
        people="casia-nir-vis-2",
        has_eyes=True,
        folds=tuple(range(1, 11)),
    ),
)
