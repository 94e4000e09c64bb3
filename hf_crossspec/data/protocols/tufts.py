"""Tufts Face Database (Panetta et al., TPAMI 2020): thermal against visible.

Papers use a split of their own each (DVG-Face's is the common one) and none was found as files, so the lists are the
user's. The number of probes is what published Rank-1 values imply: every one of them, at two decimals, is a multiple of
1 / 557. Never compare results across splits.
"""

from __future__ import annotations

from hf_crossspec.data.protocols.base import Copy, Counts, Protocol, ProtocolRows
from hf_crossspec.data.protocols.path_lists import LABELLED, read_lists, train_and_test

_LISTS = train_and_test("vis", "thermal")


def _read(copy: Copy) -> ProtocolRows:
    return read_lists(copy, _LISTS)


def _count(fold: int | None, variant: str | None) -> Counts:
    return {"test probe pictures": 557}


PROTOCOLS = (
    Protocol(
        name="tufts",
        title="Tufts Face Database: thermal against visible",
        owner="Tufts University (tdface.ece.tufts.edu)",
        terms="research only, by the database's licence agreement",
        version="1",
        layout="ROOT with the pictures anywhere below it, as the lists name them",
        lists=(
            "Lists of the split that you follow, in ROOT/protocols: gallery_vis.txt, probe_thermal.txt, and if you "
            f"train train_vis.txt, train_thermal.txt. {LABELLED}"
        ),
        read=_read,
        counts=_count,
        has_eyes=True,
    ),
)
