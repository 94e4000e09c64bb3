"""Polarimetric Thermal Face Database (Hu et al., CVPRW 2016): thermal or polarimetric probes against visible pictures.

Idiap's five random splits of its 60 subjects, 25 to train on and 35 to test on, with the counts that
`bob.db.pola_thermal` tests. The shuffle behind them depends on the order of a Python 2 dictionary, so the lists
themselves are needed. Bob calls the test subjects dev, as nobody is left for a development set; they are the split
`test` here. The four neutral visible pictures of a subject make one template. The pictures keep their 16 bits.
"""

from __future__ import annotations

from pathlib import Path

from hf_crossspec.data.protocols.base import Copy, Counts, Picture, Protocol, ProtocolRows, unique
from hf_crossspec.data.protocols.formats import find_picture, read_bob_csv
from hf_crossspec.errors import InputError

_SPECTRA = {"thermal": "S0", "polarimetric": "DP"}
_PROBES = {"overall": 35 * 48, "expression": 35 * 36, "R1": 35 * 16, "R2": 35 * 16, "R3": 35 * 16}
# Each list by its earlier and its later name (bob.bio.base, `CSVDataset` and `CSVDatabase`).
_LISTS = (
    (("norm/train_world.csv", "train/for_background_model.csv"), "train", "train"),
    (("dev/for_models.csv", "dev/for_enrolling.csv"), "test", "gallery"),
    (("dev/for_probes.csv", "dev/for_probing.csv"), "test", "probe"),
)


def _read(copy: Copy) -> ProtocolRows:
    folder = (copy.lists or copy.root / "protocols") / f"VIS-{copy.variant}-split{copy.fold}"
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: unpack bob's lists of this database there, or give --list")
    pictures, files = [], []
    for names, split, role in _LISTS:
        file = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
        files.append(file)
        for name, subject, eyes in read_bob_csv(file):
            path = find_picture(copy.root, name, (".png",))
            pictures.append(Picture(path, subject, _modality(path, file), split, role, landmarks=eyes))
    return ProtocolRows(unique(pictures), lists=tuple(files))


def _modality(path: str, file: Path) -> str:
    """From names such as A01_IOD87_B_VI_f01 and A01_R1_B_S0_f01."""
    name = path.rsplit("/", 1)[-1]
    for modality, mark in {"vis": "VI", **_SPECTRA}.items():
        if f"_{mark}_" in name:
            return modality
    raise InputError(
        f"{file}: {path} is not named like a visible (_VI_), thermal (_S0_) or polarimetric (_DP_) picture"
    )


def _count(fold: int | None, variant: str | None) -> Counts:
    spectrum, condition = str(variant).split("-")
    return {
        "train subjects": 25,
        "train vis pictures": 25 * 16,
        f"train {spectrum} pictures": 25 * 48,
        "test gallery subjects": 35,
        "test gallery pictures": 35 * 4,
        "test probe subjects": 35,
        "test probe pictures": _PROBES[condition],
    }


PROTOCOLS = (
    Protocol(
        name="polathermal",
        title="Polarimetric Thermal Face Database: thermal or polarimetric against visible, 5 splits",
        owner="U.S. Army Research Laboratory (ask the authors: Hu, Short, Riggan and others)",
        terms="research only, on request and by signed agreement",
        version="1",
        layout="ROOT/Visible/IOD87_B, ROOT/Visible/IOD87_E and ROOT/Polarimetric with .png, as the lists name them",
        lists=(
            "Idiap's lists for bob (polathermal.tar.gz), unpacked to ROOT/protocols/VIS-thermal-overall-split1 and so "
            "on, each with norm/train_world.csv, dev/for_models.csv, dev/for_probes.csv or bob's later names of these."
        ),
        read=_read,
        counts=_count,
        has_eyes=True,
        folds=(1, 2, 3, 4, 5),
        variants=tuple(f"{spectrum}-{condition}" for spectrum in _SPECTRA for condition in _PROBES),
    ),
)
