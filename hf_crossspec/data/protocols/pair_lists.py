"""Visible benchmarks of listed pairs: LFW view 2 from its pictures, and four sets as insightface packs them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from hf_crossspec.data.protocols.base import Copy, Counts, Pair, Picture, Protocol, ProtocolRows
from hf_crossspec.data.protocols.formats import find_picture, read_lfw_pairs
from hf_crossspec.data.protocols.insightface_bin import read_insightface_bin

FOLDS = 10


def _read_lfw(copy: Copy) -> ProtocolRows:
    file = copy.lists or copy.root / "pairs.txt"
    pairs = read_lfw_pairs(file)
    pictures = []
    for key in dict.fromkeys(key for pair in pairs for key in (pair.key1, pair.key2)):
        person = key.rsplit("_", 1)[0]
        path = find_picture(copy.root, f"{person}/{key}.jpg")
        pictures.append(Picture(path, person, "vis", "test", "pair", name=key))
    return ProtocolRows(tuple(pictures), tuple(pairs), (file,))


def _count_lfw(fold: int | None, variant: str | None) -> Counts:
    return {"pairs": 6000, "mated pairs": 3000, "folds": FOLDS}


def _bin_reader(file_name: str) -> Callable[[Copy], ProtocolRows]:
    """A reader of one of insightface's sets: pictures 2i and 2i + 1 are a pair, tenths of the list are the folds."""

    def read(copy: Copy) -> ProtocolRows:
        file = copy.lists or copy.root / file_name
        contents, flags = read_insightface_bin(file)
        subjects = _subjects(contents, flags)
        names = [f"{number:05d}" for number in range(len(contents))]
        pictures = tuple(
            Picture(f"{name}.jpg", subject, "vis", "test", "pair", content=content, name=name)
            for name, subject, content in zip(names, subjects, contents, strict=True)
        )
        pairs = tuple(
            Pair(names[2 * i], names[2 * i + 1], same, fold)
            for i, (same, fold) in enumerate(zip(flags, _folds(len(flags)), strict=True))
        )
        return ProtocolRows(pictures, pairs, (file,))

    return read


def _folds(count: int) -> list[int]:
    """Consecutive tenths; the first ones are one longer where ten does not divide the count (as `KFold` does)."""
    size, longer = divmod(count, FOLDS)
    return [fold for fold in range(FOLDS) for _ in range(size + (fold < longer))]


def _subjects(contents: list[bytes], flags: list[bool]) -> list[str]:
    """Groups of pictures that are known to show one person, as the file names nobody.

    Mated pictures are one group, and so are pictures with the same bytes unless that contradicts a flag.
    """
    digests = [hashlib.sha256(content).digest() for content in contents]
    for same_bytes in (True, False):
        group = {number: number for number in range(len(contents))}
        first: dict[bytes, int] = {}
        for number, digest in enumerate(digests if same_bytes else []):
            _join(group, number, first.setdefault(digest, number))
        for pair, same in enumerate(flags):
            if same:
                _join(group, 2 * pair, 2 * pair + 1)
        roots = [_root(group, number) for number in range(len(contents))]
        if all(same or roots[2 * pair] != roots[2 * pair + 1] for pair, same in enumerate(flags)):
            break
    return [f"person_of_{root:05d}" for root in roots]


def _root(group: dict[int, int], number: int) -> int:
    while group[number] != number:
        group[number] = group[group[number]]
        number = group[number]
    return number


def _join(group: dict[int, int], first: int, second: int) -> None:
    low, high = sorted((_root(group, first), _root(group, second)))
    group[high] = low


def _bin_counts(pairs: int) -> Callable[[int | None, str | None], Counts]:
    def count(fold: int | None, variant: str | None) -> Counts:
        return {"test pictures": 2 * pairs, "pairs": pairs, "mated pairs": pairs // 2, "folds": FOLDS}

    return count


def _bin_protocol(name: str, file_name: str, title: str, owner: str, pairs: int) -> Protocol:
    return Protocol(
        name=name,
        title=title,
        owner=owner,
        terms="research only",
        version="1",
        layout=f"ROOT/{file_name}: 112 x 112 crops and flags in insightface's format, which is a pickle",
        lists=(
            f"insightface's {file_name}, from its training packages; --list FILE names it elsewhere. It is read "
            "without running what it holds. It names nobody: subject_id groups pictures known to show one person."
        ),
        read=_bin_reader(file_name),
        counts=_bin_counts(pairs),
    )


PROTOCOLS = (
    Protocol(
        name="lfw",
        title="LFW view 2: 6,000 visible pairs in 10 folds",
        owner="University of Massachusetts Amherst (vis-www.cs.umass.edu/lfw)",
        terms="research only",
        version="1",
        layout="ROOT/<name>/<name>_0001.jpg: original, funneled or deep-funneled, which are not the same data",
        lists="The owner's pairs.txt in ROOT, or --list FILE.",
        read=_read_lfw,
        counts=_count_lfw,
        people="",
    ),
    _bin_protocol("calfw", "calfw.bin", "CALFW: visible pairs across age", "Zheng, Deng and Hu; BUPT, Beijing", 6000),
    _bin_protocol("cplfw", "cplfw.bin", "CPLFW: visible pairs across pose", "Zheng and Deng; BUPT, Beijing", 6000),
    _bin_protocol(
        "cfp-fp", "cfp_fp.bin", "CFP-FP: frontal against profile, visible pairs", "Sengupta et al. (www.cfpw.io)", 7000
    ),
    _bin_protocol(
        "agedb-30", "agedb_30.bin", "AgeDB-30: visible pairs 30 years apart", "Moschoglou et al., CVPRW 2017", 6000
    ),
)  # fmt: skip
