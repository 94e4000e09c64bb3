"""LAMP-HQ (Yu et al., IJCV 2021, arXiv 1912.07809): near-infrared probes against one visible picture per subject."""

from __future__ import annotations

import re

from hf_crossspec.data.protocols.base import Copy, Counts, Protocol, ProtocolRows
from hf_crossspec.data.protocols.path_lists import PathList, read_lists

# As the configuration of RethinkNIRVIS (CVPRW 2024) has them; of fold 1 the published lists confirm it (573 - 273).
TRAIN_SUBJECTS = (300, 285, 285, 298, 300, 273, 272, 281, 274, 279)
_NAME = re.compile(r"(?:VIS|NIR)_(F?P\d{4})_")


def _subject(path: str) -> str:
    found = _NAME.match(path.rsplit("/", 1)[-1])
    if found is None:
        raise ValueError(path)
    return found[1]


def _read(copy: Copy) -> ProtocolRows:
    fold = copy.fold
    lists = (
        PathList((f"train/train_vis{fold}.txt",), "train", "train", "vis"),
        PathList((f"train/train_nir{fold}.txt",), "train", "train", "nir"),
        PathList((f"test/gallery_vis{fold}.txt",), "test", "gallery", "vis"),
        PathList((f"test/probe_nir{fold}.txt",), "test", "probe", "nir"),
    )
    return read_lists(copy, lists, _subject, places=("Protocols", "Protocol"))


def _count(fold: int | None, variant: str | None) -> Counts:
    counts = {"train subjects": TRAIN_SUBJECTS[(fold or 1) - 1]}
    if fold == 1:
        counts |= {"test gallery subjects": 273, "test gallery pictures": 273, "test probe pictures": 27_263}
    return counts


PROTOCOLS = (
    Protocol(
        name="lamp-hq",
        title="LAMP-HQ: NIR against one VIS picture per subject, 10 folds",
        owner="Yu, Wu, Huang, Lei, He; Institute of Automation, Chinese Academy of Sciences (ask the authors)",
        terms="research only, on request",
        version="1",
        layout="ROOT/VIS/VIS_<subject>_*.jpg, ROOT/NIR/NIR_<subject>_*.jpg, ROOT/Protocols/train and test",
        lists=(
            "The owner's train/train_{vis,nir}K.txt and test/gallery_visK.txt, test/probe_nirK.txt in ROOT/Protocols "
            "or ROOT/Protocol; the subject is taken from the file name."
        ),
        read=_read,
        counts=_count,
        folds=tuple(range(1, 11)),
    ),
)
