"""Oulu-CASIA NIR&VIS and BUAA-VisNir: near infrared against visible, with the test lists of PR-HFR (NeurIPS 2022).

Neither owner publishes a recognition protocol as files that could be found. The test lists are those of the PR-HFR
repository (`data/oulu`, `data/buaa`); training lists are the user's own, and no count of them is asserted.
"""

from __future__ import annotations

import re

from hf_crossspec.data.protocols.base import Copy, Counts, Protocol, ProtocolRows
from hf_crossspec.data.protocols.path_lists import PathList, read_lists

_LISTS = (
    PathList(("train_vis_paths.txt",), "train", "train", "vis", optional=True),
    PathList(("train_nir_paths.txt",), "train", "train", "nir", optional=True),
    PathList(("test_vis_paths.txt",), "test", "gallery", "vis"),
    PathList(("test_nir_paths.txt",), "test", "probe", "nir"),
)
_LISTS_TEXT = (
    "test_vis_paths.txt and test_nir_paths.txt of the PR-HFR repository in ROOT/protocols, and if you train "
    "train_vis_paths.txt and train_nir_paths.txt of your own in the same form; "
)
_OULU_SUBJECT = re.compile(r"P\d{3}")


def _oulu_subject(path: str) -> str:
    subject = path.split("/")[2]
    if not _OULU_SUBJECT.fullmatch(subject):
        raise ValueError(path)
    return subject


def _buaa_subject(path: str) -> str:
    subject, _ = path.split("/")
    return str(int(subject))


def _read_oulu(copy: Copy) -> ProtocolRows:
    return read_lists(copy, _LISTS, _oulu_subject)


def _read_buaa(copy: Copy) -> ProtocolRows:
    return read_lists(copy, _LISTS, _buaa_subject)


def _count_oulu(fold: int | None, variant: str | None) -> Counts:
    return {
        "test gallery subjects": 20,
        "test gallery pictures": 960,
        "test probe subjects": 20,
        "test probe pictures": 960,
    }


def _count_buaa(fold: int | None, variant: str | None) -> Counts:
    return {"test gallery subjects": 100, "test gallery pictures": 100, "test probe pictures": 1284}


PROTOCOLS = (
    Protocol(
        name="oulu-casia",
        title="Oulu-CASIA NIR&VIS: NIR against VIS, 48 pictures of each of 20 subjects in either spectrum",
        owner="University of Oulu, CMVS, with the Chinese Academy of Sciences (ask the University of Oulu)",
        terms="research only, by signed agreement",
        version="1",
        layout="ROOT/VL and NI/<illumination>/<subject, P001 ...>/<expression>/<number>.jpeg",
        lists=_LISTS_TEXT + "the subject is taken from the path. A subject's 48 VIS pictures make one template.",
        read=_read_oulu,
        counts=_count_oulu,
    ),
    Protocol(
        name="buaa-visnir",
        title="BUAA-VisNir: NIR against one VIS picture per subject",
        owner="Huang, Sun and Wang; Beihang University (ask the authors)",
        terms="research only, on request",
        version="1",
        layout="ROOT/<subject, 1 ...>/<number>.bmp",
        lists=_LISTS_TEXT + "the subject is the picture's folder.",
        read=_read_buaa,
        counts=_count_buaa,
    ),
)
