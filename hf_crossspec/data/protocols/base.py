"""What a protocol is: who is trained on, enrolled and compared, as rows, with the counts they must have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hf_crossspec.errors import InputError

Counts = dict[str, int]
Landmarks = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in one role.

    Args:
        path: Below the database's root, with forward slashes.
        subject_id, modality: As in the image-level schema.
        split: `train`, `dev` (to set thresholds and choose settings) or `test`.
        role: `train`, `gallery`, `probe`, or `pair` for a member of listed pairs.
        session, camera: Where the database tells them.
        landmarks: Eye centres (x, y) in pixels, left to right as seen, where the database gives them.
        content: The encoded picture itself, where the database is one file.
        name: What pair lists call the picture, if not by its path.
    """

    path: str
    subject_id: str
    modality: str
    split: str
    role: str
    session: str | None = None
    camera: str | None = None
    landmarks: Landmarks | None = None
    content: bytes | None = field(default=None, repr=False)
    name: str | None = None

    @property
    def key(self) -> str:
        """The column `key`: the name, else the path without its suffix."""
        return self.name or str(PurePosixPath(self.path).with_suffix(""))


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of a pair list, between the pictures with these keys; folds count from 0."""

    key1: str
    key2: str
    same: bool
    fold: int


@dataclass(frozen=True, slots=True)
class ProtocolRows:
    """What a protocol's lists or rules name: its pictures, its pairs if it lists pairs, and the list files read."""

    pictures: tuple[Picture, ...]
    pairs: tuple[Pair, ...] = ()
    lists: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """Somebody's copy of a database, and what is wanted of it.

    Args:
        root: Folder of the pictures.
        fold: One of the protocol's folds.
        variant: One of the protocol's variants.
        lists: Folder or file of the lists where they are not at the protocol's own place.
    """

    root: Path
    fold: int | None = None
    variant: str | None = None
    lists: Path | None = None


@dataclass(frozen=True)
class Protocol:
    """A database's evaluation protocol.

    Args:
        name: As the command line calls it.
        title: The database and what is compared.
        owner: Who gives the database, and where to ask.
        terms: Of its use, in a few words.
        version: Of this definition; it changes when the rows that it gives change.
        layout: How the owner's files must lie below the root.
        lists: Whose lists are needed, and where they are looked for; or the rule that makes them.
        read: A copy -> its rows. Files need not exist; that is checked afterwards.
        counts: (fold, variant) -> the counts that the rows must have, by the names of `count_rows`.
        people: Put before every subject identifier, so that people of different databases are never taken for one, and
            those of one database always are; the name if not given.
        has_lists: Whether there are lists to read; else a rule makes them.
        has_eyes: Whether the owner's files can give eye centres.
        folds, variants: What must be chosen from; empty where there is nothing to choose.
    """

    name: str
    title: str
    owner: str
    terms: str
    version: str
    layout: str
    lists: str
    read: Callable[[Copy], ProtocolRows]
    counts: Callable[[int | None, str | None], Counts]
    people: str | None = None
    has_lists: bool = True
    has_eyes: bool = False
    folds: tuple[int, ...] = ()
    variants: tuple[str, ...] = ()

    def choose(self, fold: int | None, variant: str | None) -> tuple[int | None, str | None]:
        """Check a fold and a variant; the first variant is the default, a fold must be named.

        Raises:
            InputError: a fold or variant that the protocol does not have, or no fold where it has some.
        """
        if self.folds and fold is None:
            raise InputError(f"{self.name} has folds: give --fold, one of {_range(self.folds)}")
        if fold is not None and fold not in self.folds:
            known = f"its folds are {_range(self.folds)}" if self.folds else "it has no folds"
            raise InputError(f"{self.name} has no fold {fold}: {known}")
        if variant is None:
            return fold, self.variants[0] if self.variants else None
        if variant not in self.variants:
            known = f"its variants are {', '.join(self.variants)}" if self.variants else "it has no variants"
            raise InputError(f"{self.name} has no variant {variant!r}: {known}")
        return fold, variant


def _range(folds: tuple[int, ...]) -> str:
    return f"{folds[0]} to {folds[-1]}"


def unique(pictures: Iterable[Picture]) -> tuple[Picture, ...]:
    """The pictures in order, without repetitions of a path in the same split and role."""
    return tuple({(picture.split, picture.role, picture.path): picture for picture in pictures}.values())


def count_rows(rows: ProtocolRows) -> Counts:
    """Count pictures and subjects per split and role, and pairs.

    Returns:
        Such as `train subjects`, `train nir pictures`, `test gallery subjects`, `test probe pictures`, `pairs`.
    """
    counts: Counts = {}
    groups: dict[tuple[str, str], list[Picture]] = {}
    for picture in rows.pictures:
        groups.setdefault((picture.split, picture.role), []).append(picture)
    for (split, role), pictures in groups.items():
        name = split if role in ("train", "pair") else f"{split} {role}"
        counts[f"{name} subjects"] = len({picture.subject_id for picture in pictures})
        if role == "train":
            for modality in dict.fromkeys(picture.modality for picture in pictures):
                counts[f"train {modality} pictures"] = sum(picture.modality == modality for picture in pictures)
        else:
            counts[f"{name} pictures"] = len(pictures)
    if rows.pairs:
        counts["pairs"] = len(rows.pairs)
        counts["mated pairs"] = sum(pair.same for pair in rows.pairs)
        counts["folds"] = len({pair.fold for pair in rows.pairs})
    return counts


def count_differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """The counts that are not as they must be, in words."""
    return [
        f"{name} expected {count:,} found {found.get(name, 0):,}"
        for name, count in expected.items()
        if found.get(name, 0) != count
    ]


def require_disjoint(name: str, pictures: Iterable[Picture]) -> None:
    """Raise `InputError` when a subject appears in more than one split."""
    home: dict[str, str] = {}
    for picture in pictures:
        split = home.setdefault(picture.subject_id, picture.split)
        if split != picture.split:
            raise InputError(
                f"{name}: subject {picture.subject_id} is in {split} and in {picture.split}, which must not share "
                "subjects: check the lists"
            )
