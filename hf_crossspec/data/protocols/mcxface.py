"""MCXFace (Idiap): thermal, near- and short-wave-infrared probes against visible pictures.

The counts of VIS-THERMAL are those of the lists that Idiap released with its evaluation of multimodal language models
(arXiv 2601.15406); bob.bio.face describes another division of the same 51 subjects, in five random splits. No count is
asserted where none could be established.
"""

from __future__ import annotations

from hf_crossspec.data.protocols.base import Copy, Counts, Protocol, ProtocolRows
from hf_crossspec.data.protocols.path_lists import read_lists, train_and_test

_VARIANTS = {"vis-thermal": "thermal", "vis-nir": "nir", "vis-swir": "swir"}


def _read(copy: Copy) -> ProtocolRows:
    return read_lists(copy, train_and_test("vis", _VARIANTS[str(copy.variant)]))


def _count(fold: int | None, variant: str | None) -> Counts:
    if variant != "vis-thermal":
        return {}
    return {
        "test gallery subjects": 28,
        "test gallery pictures": 199,
        "test probe subjects": 25,
        "test probe pictures": 399,
    }


PROTOCOLS = (
    Protocol(
        name="mcxface",
        title="MCXFace: thermal, NIR or SWIR against visible",
        owner="Idiap Research Institute, Martigny (www.idiap.ch, data set MCXFace)",
        terms="research only, on request",
        version="1",
        layout="ROOT with the pictures anywhere below it, as the lists name them",
        lists=(
            "Idiap's CSV lists (columns path or SPATH, REFERENCE_ID or subject_id) in ROOT/protocols as "
            "gallery_vis.csv, probe_thermal.csv (or _nir, _swir), and if you train train_vis.csv, train_thermal.csv; "
            "or the same as .txt with lines `path subject`."
        ),
        read=_read,
        counts=_count,
        has_eyes=True,
        variants=tuple(_VARIANTS),
    ),
)
