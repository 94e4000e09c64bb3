"""Copies of the databases: the owners' folders, names and lists, and pictures of 8 x 8 pixels.

Every builder writes the lists, and returns the rows that they mean, written down independently of the readers; the
pictures themselves come by `put_all`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Row(NamedTuple):
    path: str
    subject: str
    modality: str
    split: str
    role: str


@cache
def picture(suffix: str, seed: int = 0, mode: str = "RGB") -> bytes:
    shape = (8, 8, 3) if mode == "RGB" else (8, 8)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels) if mode == "RGB" else Image.fromarray(pixels.astype(np.uint16) * 257)
    buffer = io.BytesIO()
    image.save(buffer, {".jpg": "JPEG", ".jpeg": "JPEG"}.get(suffix.lower(), suffix[1:].upper()))
    return buffer.getvalue()


def put(root: Path, path: str, seed: int = 0, mode: str = "RGB") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture(file.suffix, seed, mode))


def put_all(root: Path, rows: Iterable[Row]) -> None:
    """Distinct pictures for the rows."""
    for seed, path in enumerate(sorted({row.path for row in rows})):
        put(root, path, seed)


def write_list(file: Path, lines: Iterable[str], end: str = "\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(line + end for line in lines).encode())


def spread(total: int, parts: int) -> list[int]:
    """`total` as `parts` numbers that differ by one at most."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def path_labels(rows: Iterable[Row], split: str, role: str, modality: str) -> list[str]:
    return [f"{r.path} {r.subject}" for r in rows if (r.split, r.role, r.modality) == (split, role, modality)]


def casia(
    root: Path, probes: int = 8, test: int = 4, train: tuple[int, int, int] = (3, 6, 9), view: str = "1"
) -> list[Row]:
    """Lists with Windows' separators and line ends, that call every picture .jpg; NIR pictures are .bmp on disk."""
    split = "dev" if view == "dev" else "test"
    rows = []
    for number, pictures in enumerate(spread(probes, test)):
        subject = f"{10_000 + number}"
        rows.append(Row(f"s2/VIS/{subject}/003.jpg", subject, "vis", split, "gallery"))
        rows += [Row(f"s2/NIR/{subject}/{i:03d}.bmp", subject, "nir", split, "probe") for i in range(1, pictures + 1)]
    for modality, suffix, total in (("vis", "jpg", train[1]), ("nir", "bmp", train[2])):
        for number, pictures in enumerate(spread(total, train[0])):
            subject, folder = f"{20_000 + number}", f"s3/{modality.upper()}"
            rows += [
                Row(f"{folder}/{subject}/{i:03d}.{suffix}", subject, modality, "train", "train")
                for i in range(1, pictures + 1)
            ]
    for name, role, modality in (
        ("vis_train", "train", "vis"), ("nir_train", "train", "nir"), ("vis_gallery", "gallery", "vis"),
        ("nir_probe", "probe", "nir"),
    ):  # fmt: skip
        named = [row.path for row in rows if (row.role, row.modality) == (role, modality)]
        lines = [path.replace("/", "\\").replace(".bmp", ".jpg") for path in named]
        write_list(root / "protocols" / f"{name}_{view}.txt", lines, "\r\n")
    return rows


def lamp(root: Path, train: int, test: int = 100, probes: int = 300, fold: int = 1) -> list[Row]:
    """The training labels are class numbers."""
    rows = []
    for number, pictures in enumerate(spread(probes, test)):
        subject = f"FP{number:04d}" if number % 3 == 0 else f"P{number:04d}"
        rows.append(Row(f"VIS/VIS_{subject}_1_a.jpg", subject, "vis", "test", "gallery"))
        rows += [Row(f"NIR/NIR_{subject}_5_UP_{i}.jpg", subject, "nir", "test", "probe") for i in range(pictures)]
    for number in range(train):
        subject = f"P{1000 + number}"
        rows.append(Row(f"VIS/VIS_{subject}_1_a.jpg", subject, "vis", "train", "train"))
        rows.append(Row(f"NIR/NIR_{subject}_1_b.jpg", subject, "nir", "train", "train"))
    folder = root / "Protocols"
    write_list(folder / f"test/gallery_vis{fold}.txt", path_labels(rows, "test", "gallery", "vis"))
    write_list(folder / f"test/probe_nir{fold}.txt", path_labels(rows, "test", "probe", "nir"))
    for modality in ("vis", "nir"):
        lines = [
            f"{row.path} {int(row.subject[1:]) - 1000}"
            for row in rows
            if (row.split, row.modality) == ("train", modality)
        ]
        write_list(folder / f"train/train_{modality}{fold}.txt", lines)
    return rows


def oulu(root: Path) -> list[Row]:
    rows = []
    for number in range(1, 21):
        for folder, modality, role in (("VL", "vis", "gallery"), ("NI", "nir", "probe")):
            for expression in ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"):
                rows += [
                    Row(
                        f"{folder}/Strong/P{number:03d}/{expression}/{i:03d}.jpeg",
                        f"P{number:03d}",
                        modality,
                        "test",
                        role,
                    )
                    for i in range(8)
                ]
    for role, modality, form in (("gallery", "vis", "{} {}"), ("probe", "nir", "{},P{:0>3}")):
        lines = [form.format(row.path, int(row.subject[1:])) for row in rows if row.role == role]
        write_list(root / f"protocols/test_{modality}_paths.txt", lines)
    return rows


def buaa(root: Path) -> list[Row]:
    """Lists of bare paths; odd numbers are VIS, even ones NIR."""
    rows = []
    for number, pictures in enumerate(spread(1284, 100), start=1):
        rows.append(Row(f"{number}/1.bmp", str(number), "vis", "test", "gallery"))
        rows += [Row(f"{number}/{2 * i}.bmp", str(number), "nir", "test", "probe") for i in range(1, pictures + 1)]
    for number in range(101, 151):
        rows.append(Row(f"{number}/1.bmp", str(number), "vis", "train", "train"))
        rows.append(Row(f"{number}/2.bmp", str(number), "nir", "train", "train"))
    for split, role, modality in (
        ("test", "gallery", "vis"), ("test", "probe", "nir"), ("train", "train", "vis"), ("train", "train", "nir"),
    ):  # fmt: skip
        lines = [row.path for row in rows if (row.split, row.role, row.modality) == (split, role, modality)]
        write_list(root / f"protocols/{split}_{modality}_paths.txt", lines)
    return rows


def polathermal(root: Path, variant: str = "thermal-overall", later_names: bool = False) -> list[Row]:
    """Split 2 of 60 subjects: per subject 4 neutral and 12 expressive VIS pictures, 16 thermal ones at each range."""
    mark, spectrum = ("S0", "thermal") if variant.startswith("thermal") else ("DP", "polarimetric")
    wanted = {"overall": "_", "expression": "_E_"}.get(variant.split("-")[1], f"_{variant.split('-')[1]}_")
    rows = []
    for number in range(1, 61):
        subject = f"A{number:02d}"
        split = "train" if number % 12 < 5 else "test"
        neutral = [f"Visible/IOD87_B/{subject}_IOD87_B_VI_f{i:02d}" for i in range(1, 5)]
        expressive = [f"Visible/IOD87_E/{subject}_IOD87_E_VI_f{i:02d}" for i in range(1, 13)]
        thermal = [
            f"Polarimetric/{subject}_R{distance}_{condition}_{mark}_f{i:02d}"
            for distance in (1, 2, 3)
            for condition, count in (("B", 4), ("E", 12))
            for i in range(1, count + 1)
        ]
        if split == "train":
            rows += [Row(f"{name}.png", subject, "vis", split, "train") for name in neutral + expressive]
            rows += [Row(f"{name}.png", subject, spectrum, split, "train") for name in thermal]
        else:
            rows += [Row(f"{name}.png", subject, "vis", split, "gallery") for name in neutral]
            rows += [Row(f"{name}.png", subject, spectrum, split, "probe") for name in thermal if wanted in name]
    names = {"train": "norm/train_world.csv", "gallery": "dev/for_models.csv", "probe": "dev/for_probes.csv"}
    header = "path,reference_id,leye_x,leye_y,reye_x,reye_y"
    if later_names:
        names = {"train": "train/for_background_model.csv", "gallery": "dev/for_enrolling.csv"}
        names["probe"], header = "dev/for_probing.csv", "key,subject_id,leye_x,leye_y,reye_x,reye_y"
    for role, name in names.items():
        lines = [f"{row.path[:-4]},{row.subject},6,3,2,3" for row in rows if row.role == role]
        write_list(root / f"protocols/VIS-{variant}-split2" / name, [header, *lines])
    return rows


def labelled(
    root: Path, spectrum: str, gallery: list[int], probes: list[int], train: int, name: Callable[[int], str] = str
) -> list[Row]:
    """Lists `path subject` with so many pictures of each subject."""
    rows = []
    for role, modality, counts in (("gallery", "vis", gallery), ("probe", spectrum, probes)):
        for subject, count in enumerate(counts):
            rows += [
                Row(f"any/{modality}/{name(subject)}_{i}.jpg", name(subject), modality, "test", role)
                for i in range(count)
            ]
    for subject in range(5000, 5000 + train):
        for modality in ("vis", spectrum):
            rows.append(Row(f"any/{modality}/{name(subject)}_0.jpg", name(subject), modality, "train", "train"))
    for split, role, modality in (
        ("test", "gallery", "vis"), ("test", "probe", spectrum),
        ("train", "train", "vis"), ("train", "train", spectrum),
    ):  # fmt: skip
        lines = path_labels(rows, split, role, modality)
        if lines:
            write_list(root / f"protocols/{role}_{modality}.txt", lines)
    return rows


def mcxface(root: Path) -> list[Row]:
    """Probes as a CSV with the columns REFERENCE_ID and SPATH; three subjects are enrolled only."""
    rows = labelled(root, "thermal", spread(199, 28), spread(399, 25), 23)
    (root / "protocols/probe_thermal.txt").unlink()
    lines = [f"{row.subject},{row.path}" for row in rows if row.role == "probe"]
    write_list(root / "protocols/probe_thermal.csv", ["REFERENCE_ID,SPATH", *lines])
    return rows


def scface(root: Path, variant: str = "far") -> list[Row]:
    """The pictures of cameras 1 to 5 and the mugshots; there are no lists."""
    distances = {"far": "1", "medium": "2", "close": "3", "combined": "123"}[variant]
    rows = []
    for number in range(1, 131):
        subject = f"{number:03d}"
        split = "train" if number < 44 else "dev" if number < 88 else "test"
        train = split == "train"
        rows.append(
            Row(
                f"mugshot_frontal_cropped_all/{subject}_frontal.JPG",
                subject,
                "vis",
                split,
                "train" if train else "gallery",
            )
        )
        for distance in "123":
            for camera in range(1, 6):
                path = f"surveillance_cameras_distance_{distance}/cam_{camera}/{subject}_cam{camera}_{distance}.jpg"
                if train or distance in distances:
                    rows.append(Row(path, subject, "surveillance", split, "train" if train else "probe"))
    return rows


def cufs_students(root: Path, train: int = 88, test: int = 100) -> list[Row]:
    """Photos f-005-01 with sketches F2-005-01-sz1, m1-001-01 with M1-001-01-sz1, m-063-01 with m-063-01-sz1."""
    rows = []
    for part, split, first, count in (("training", "train", 0, train), ("testing", "test", train, test)):
        for number in range(first, first + count):
            sex, kind = "fm"[number % 2], number % 3
            photo, sketch = {
                0: (f"{sex}-{number:03d}-01", f"{sex.upper()}2-{number:03d}-01-sz1"),
                1: (f"{sex}1-{number:03d}-01", f"{sex.upper()}1-{number:03d}-01-sz1"),
                2: (f"{sex}-{number:03d}-01", f"{sex}-{number:03d}-01-sz1"),
            }[kind]
            roles = ("train", "train") if split == "train" else ("gallery", "probe")
            rows.append(Row(f"CUHK_{part}_cropped_photos/photos/{photo}.jpg", photo, "vis", split, roles[0]))
            rows.append(Row(f"CUHK_{part}_cropped_sketches/sketches/{sketch}.jpg", photo, "sketch", split, roles[1]))
    return rows


def lfw(root: Path, folds: int = 10, size: int = 300) -> list[Row]:
    """Per fold four people of 25 pictures each: 4 x 300 mated pairs to choose from, and more non-mated ones."""
    lines, paths = [f"{folds}\t{size}"], []
    for fold in range(folds):
        people = [f"Fold{fold}_Person{i}" for i in range(4)]
        paths += [f"{person}/{person}_{i:04d}.jpg" for person in people for i in range(1, 26)]
        mated = [f"{person}\t{i}\t{j}" for i, j in combinations(range(1, 26), 2) for person in people]
        others = [f"{a}\t{i}\t{b}\t{j}" for i in range(1, 26) for j in range(1, 26) for a, b in combinations(people, 2)]
        lines += mated[:size] + others[:size]
    write_list(root / "pairs.txt", lines)
    named = {f"{a}/{a}_{int(i):04d}.jpg" for a, i in _named(lines[1:])}
    return [Row(path, path.split("/")[0], "vis", "test", "pair") for path in paths if path in named]


def _named(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        fields = line.split("\t")
        yield fields[0], fields[1]
        yield (fields[0], fields[2]) if len(fields) == 3 else (fields[2], fields[3])


def insightface_bin(file: Path, pairs: int) -> tuple[list[bytes], list[bool]]:
    """Every second pair is mated; the pictures are distinct stand-ins for JPEGs unless few."""
    small = pairs <= 40
    contents = [picture(".jpg", number) if small else b"\xff\xd8%06d" % number for number in range(2 * pairs)]
    flags = [number % 2 == 0 for number in range(pairs)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps((contents, flags), protocol=2))
    return contents, flags
