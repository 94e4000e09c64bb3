"""CUFS and CUFSF: artists' sketches against photos (Wang and Tang, TPAMI 2009; Zhang, Wang and Tang, CVPR 2011).

CUFS has 606 subjects: 188 CUHK students, whose photos and split its owner gives, and sketches of 123 subjects of AR and
295 of XM2VTS, whose photos have owners of their own. CUFSF sketches 1,194 subjects of FERET.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from hf_crossspec.data.protocols.base import Copy, Counts, Picture, Protocol, ProtocolRows
from hf_crossspec.data.protocols.path_lists import LABELLED, read_lists, train_and_test
from hf_crossspec.errors import InputError

_CUHK = "Multimedia Laboratory, The Chinese University of Hong Kong (mmlab.ie.cuhk.edu.hk/archive/facesketch.html)"
_LISTS = train_and_test("vis", "sketch")
_LISTS_TEXT = "Lists in ROOT/protocols: train_vis.txt, train_sketch.txt, gallery_vis.txt, probe_sketch.txt. " + LABELLED
# f-005-01.jpg is sketched in F2-005-01-sz1.jpg, f1-001-01.jpg in F1-001-01-sz1.jpg, f-039-01.jpg in f-039-01-sz1.jpg:
# the table of bob.db.cuhk_cufs, as a rule.
_STUDENT = re.compile(r"([fm])([12]?)-(\d{3})-(\d{2})(?:-sz\d)?", re.IGNORECASE)
_EYES = ((75.0, 125.0), (125.0, 125.0))  # of the cropped pictures, 200 x 250
_CUFSF_VARIANTS = {"250-944": (250, 944), "700-494": (700, 494)}


def _student(path: PurePosixPath) -> str:
    found = _STUDENT.fullmatch(path.stem)
    if found is None:
        raise InputError(f"{path} is not named like a picture of the CUHK students, such as f-005-01 or F2-005-01-sz1")
    sex, series, number, shot = found.groups()
    return f"{sex.lower()}{'' if series == '2' else series}-{number}-{shot}"


def _read_students(copy: Copy) -> ProtocolRows:
    pictures: list[Picture] = []
    for part, split, roles in (("training", "train", ("train", "train")), ("testing", "test", ("gallery", "probe"))):
        for kind, modality, role in (("photo", "vis", roles[0]), ("sketch", "sketch", roles[1])):
            plural = "sketches" if kind == "sketch" else "photos"
            folder = PurePosixPath(f"CUHK_{part}_cropped_{plural}") / plural
            pictures += [
                Picture(str(path), _student(path), modality, split, role, landmarks=_EYES)
                for path in _pictures_in(copy.root, folder)
            ]
    return ProtocolRows(tuple(pictures))


def _pictures_in(root: Path, folder: PurePosixPath) -> list[PurePosixPath]:
    if not (root / folder).is_dir():
        raise InputError(f"{root / folder} does not exist: unpack the owner's four archives of cropped pictures there")
    names = sorted(file.name for file in (root / folder).iterdir())
    return [folder / name for name in names if PurePosixPath(name).suffix.lower() in (".jpg", ".png")]


def _count_students(fold: int | None, variant: str | None) -> Counts:
    return _counts(88, 100)


def _read_cufs(copy: Copy) -> ProtocolRows:
    return read_lists(copy, _LISTS)


def _count_cufs(fold: int | None, variant: str | None) -> Counts:
    return _counts(88 + 80 + 100, 100 + 43 + 195)


def _feret_subject(path: str) -> str:
    subject = path.rsplit("/", 1)[-1][:5]
    if not (subject.isascii() and subject.isdigit() and len(subject) == 5):
        raise ValueError(path)
    return subject


def _read_cufsf(copy: Copy) -> ProtocolRows:
    return read_lists(copy, _LISTS, _feret_subject)


def _count_cufsf(fold: int | None, variant: str | None) -> Counts:
    return _counts(*_CUFSF_VARIANTS[str(variant)])


def _counts(train: int, test: int) -> Counts:
    return {
        "train subjects": train,
        "train vis pictures": train,
        "train sketch pictures": train,
        "test gallery subjects": test,
        "test gallery pictures": test,
        "test probe subjects": test,
        "test probe pictures": test,
    }


PROTOCOLS = (
    Protocol(
        name="cufs",
        title="CUFS: viewed sketches against photos, all 606 subjects",
        owner=f"{_CUHK}; photos of AR and XM2VTS from their owners",
        terms="research only; XM2VTS and AR by their own licences",
        version="1",
        layout="ROOT with the pictures anywhere below it, as the lists name them",
        lists=_LISTS_TEXT + " Train on 88 students, 80 of AR, 100 of XM2VTS; test on 100, 43, 195.",
        read=_read_cufs,
        counts=_count_cufs,
        has_eyes=True,
    ),
    Protocol(
        name="cufs-students",
        title="CUFS, CUHK students only: viewed sketches against photos",
        owner=_CUHK,
        terms="research only",
        version="1",
        layout=(
            "ROOT/CUHK_{training,testing}_cropped_photos/photos/f-005-01.jpg and "
            "ROOT/CUHK_{training,testing}_cropped_sketches/sketches/F2-005-01-sz1.jpg, and so on"
        ),
        lists="None needed, the owner's folders are the split.",
        read=_read_students,
        counts=_count_students,
        people="cufs",
        has_lists=False,
        has_eyes=True,
    ),
    Protocol(
        name="cufsf",
        title="CUFSF: exaggerated sketches against FERET photos",
        owner="Multimedia Laboratory, CUHK (mmlab.ie.cuhk.edu.hk/archive/cufsf); photos: FERET, NIST",
        terms="research only; FERET by its own agreement",
        version="1",
        layout="ROOT with sketches and photos anywhere below it, file names beginning with FERET's five digits",
        lists=(
            _LISTS_TEXT + " The subject is the file name's first five digits; labels may be absent. The variants are "
            "the splits in use: 250 to train on and 944 to test, or 700 and 494."
        ),
        read=_read_cufsf,
        counts=_count_cufsf,
        people="feret",
        has_eyes=True,
        variants=tuple(_CUFSF_VARIANTS),
    ),
)
