"""Databases whose protocols are lists of picture paths, one list per role: text of `path subject`, or bob's CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_crossspec.data.protocols.base import Copy, Landmarks, Picture, ProtocolRows, unique
from hf_crossspec.data.protocols.formats import SUFFIXES, find_picture, read_bob_csv, read_path_labels

LABELLED = (
    "Each list has a line `path subject` per picture, the path below ROOT; a list of bob with the same name and .csv "
    "will do as well, and its eye coordinates serve --align."
)


@dataclass(frozen=True)
class PathList:
    """A list file: its names, the first that exists being read, and what its pictures are."""

    names: tuple[str, ...]
    split: str
    role: str
    modality: str
    optional: bool = False


def train_and_test(visible: str, other: str) -> tuple[PathList, ...]:
    """Lists `train_vis`, `train_<other>` (may be absent), `gallery_vis`, `probe_<other>`, each `.txt` or `.csv`."""
    rows = (
        ("train", "train", visible),
        ("train", "train", other),
        ("test", "gallery", visible),
        ("test", "probe", other),
    )
    return tuple(
        PathList((f"{role}_{modality}.txt", f"{role}_{modality}.csv"), split, role, modality, optional=role == "train")
        for split, role, modality in rows
    )


def read_lists(
    copy: Copy,
    lists: Sequence[PathList],
    subject_of: Callable[[str], str] | None = None,
    session_of: Callable[[str], str] | None = None,
    places: Sequence[str] = ("protocols",),
    suffixes: tuple[str, ...] = SUFFIXES,
) -> ProtocolRows:
    """Read path lists.

    Args:
        subject_of: Takes the subject from a path; else the list's label is the subject.
        session_of: Takes the session from a path.
        places: Folders below the root where lists may be, unless `copy.lists` names one.
        suffixes: What a listed picture may end in on disk.

    Raises:
        InputError: a missing or malformed list.
    """
    folders = [copy.lists] if copy.lists else [copy.root / place for place in places]
    pictures, files = [], []
    for entry in lists:
        file = _first_file([folder / name for folder in folders for name in entry.names])
        if entry.optional and not file.is_file():
            continue
        files.append(file)
        for name, subject, eyes in _read(file, subject_of):
            path = find_picture(copy.root, name, suffixes)
            session = None if session_of is None else session_of(path)
            pictures.append(
                Picture(path, subject, entry.modality, entry.split, entry.role, session=session, landmarks=eyes)
            )
    return ProtocolRows(unique(pictures), lists=tuple(files))


def _read(file: Path, subject_of: Callable[[str], str] | None) -> list[tuple[str, str, Landmarks | None]]:
    if file.suffix == ".csv":
        return read_bob_csv(file)
    return [(name, subject, None) for name, subject in read_path_labels(file, subject_of)]


def _first_file(candidates: list[Path]) -> Path:
    return next((file for file in candidates if file.is_file()), candidates[0])
