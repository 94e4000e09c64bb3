"""A copy of a database -> the rows of a protocol, checked: files there, counts right, subjects apart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hf_crossspec.data.protocols.base import (
    Copy,
    Protocol,
    ProtocolRows,
    count_differences,
    count_rows,
    require_disjoint,
)
from hf_crossspec.errors import InputError


@dataclass(frozen=True)
class CheckedProtocol:
    """A protocol's rows in somebody's copy, and what was counted.

    Args:
        rows: Those whose files are there.
        expected, found: Counts by name; expected holds the asserted ones only.
        missing: How many listed files are not there.
    """

    protocol: Protocol
    copy: Copy
    rows: ProtocolRows
    expected: Mapping[str, int]
    found: Mapping[str, int]
    missing: int

    @property
    def label(self) -> str:
        """Protocol, variant and fold in words."""
        fold = None if self.copy.fold is None else f"fold {self.copy.fold}"
        return ", ".join(part for part in (self.protocol.name, self.copy.variant, fold) if part)

    @property
    def differences(self) -> list[str]:
        """In words, what is not as the protocol says; empty for a complete copy."""
        words = count_differences(self.expected, self.found)
        return [*words, f"{self.missing:,} listed files missing"] if self.missing else words

    @property
    def description(self) -> str:
        """Of the resulting data set, with any difference from the protocol."""
        protocol = self.protocol
        text = f"{protocol.title} ({self.label}, protocol version {protocol.version}). Owner: {protocol.owner}. "
        text += f"Terms: {protocol.terms}."
        if self.differences:
            text += f" Counts differ from the protocol: {'; '.join(self.differences)}."
        return text

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of train, dev and test that have pictures."""
        present = {picture.split for picture in self.rows.pictures}
        return tuple(split for split in ("train", "dev", "test") if split in present)

    @property
    def evaluated(self) -> str:
        """The split whose comparisons are the protocol's: test, or dev if there is no other."""
        return "dev" if "test" not in self.splits and "dev" in self.splits else "test"

    def evaluate_options(self, folder: str) -> str:
        """Options of `crossspec evaluate` that make the protocol's comparisons on the data set in `folder`."""
        split = self.evaluated
        if self.rows.pairs:
            return f"--data {folder} --split {split} --pairs {folder}/pairs.csv"
        gallery, probe = (
            next(p.modality for p in self.rows.pictures if p.split == split and p.role == role)
            for role in ("gallery", "probe")
        )
        return f"--data {folder} --split {split} --gallery-modality {gallery} --probe-modality {probe}"


def check_protocol(protocol: Protocol, copy: Copy, allow_count_mismatch: bool = False) -> CheckedProtocol:
    """Read a protocol's rows and hold them against its counts.

    Args:
        allow_count_mismatch: Accept other counts, as of a partial copy; missing pictures are left out with their pairs.

    Raises:
        InputError: no such folder, fold or variant, unusable lists, missing files or other counts without
            `allow_count_mismatch`, nothing to compare, or subjects in more than one split.
    """
    fold, variant = protocol.choose(copy.fold, copy.variant)
    if copy.lists is not None and not protocol.has_lists:
        raise InputError(f"{protocol.name} reads no lists, so none can be given: the owner's files decide")
    copy = replace(copy, fold=fold, variant=variant)
    if not copy.root.is_dir():
        raise InputError(f"{copy.root} is not a folder; {protocol.name} needs {protocol.layout}")
    listed = _with_people(protocol.read(copy), protocol.name if protocol.people is None else protocol.people)
    require_disjoint(protocol.name, listed.pictures)
    rows, missing = _present(listed, copy.root)
    checked = CheckedProtocol(protocol, copy, rows, protocol.counts(fold, variant), count_rows(rows), len(missing))
    evaluated = checked.evaluated
    roles = {picture.role for picture in rows.pictures if picture.split == evaluated}
    if not rows.pairs and not {"gallery", "probe"} <= roles:
        raise InputError(f"{checked.label}: no gallery or no probes are below {copy.root}, {_example(missing)}")
    if checked.differences and not allow_count_mismatch:
        first = f", the first is {missing[0]}" if missing else ""
        raise InputError(
            f"{checked.label} is not as the protocol says: {'; '.join(checked.differences)}{first} "
            "(for a partial copy, accept other counts with --allow-other-counts)"
        )
    return checked


def _with_people(rows: ProtocolRows, people: str) -> ProtocolRows:
    if not people:
        return rows
    return replace(rows, pictures=tuple(replace(p, subject_id=f"{people}-{p.subject_id}") for p in rows.pictures))


def _example(missing: list[str]) -> str:
    return f"where {missing[0]} is looked for" if missing else "and the lists name none"


def _present(listed: ProtocolRows, root: Path) -> tuple[ProtocolRows, list[str]]:
    """The rows whose files are there, and the paths of the others."""
    known = {
        p.path: p.content is not None or os.path.isfile(f"{root}/{p.path}")  # noqa: PTH113  (as in find_picture)
        for p in listed.pictures
    }
    missing = [path for path, there in known.items() if not there]
    if not missing:
        return listed, []
    pictures = tuple(picture for picture in listed.pictures if known[picture.path])
    keys = {picture.key for picture in pictures}
    pairs = tuple(pair for pair in listed.pairs if pair.key1 in keys and pair.key2 in keys)
    return replace(listed, pictures=pictures, pairs=pairs), missing
