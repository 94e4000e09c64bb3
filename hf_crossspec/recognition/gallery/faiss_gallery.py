"""A gallery in a folder, searched exactly by FAISS in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.gallery.contract import Gallery, Images, NetworkStamp
from hf_crossspec.recognition.gallery.files import MANIFEST, SEGMENT_IMAGES, GalleryFolder, Manifest
from hf_crossspec.recognition.gallery.templates import make_templates, rank, subject_sums


@dataclass
class _State:
    """What is in memory: the index, the subject of each of its rows, and which subjects each segment has how often."""

    version: bytes
    manifest: Manifest
    index: faiss.IndexFlatIP
    subjects: list[str]
    row_of: dict[str, int]
    subjects_in: dict[str, Counter[str]]


class FaissGallery(Gallery):
    """A folder with the embedding of every image in Parquet, and one template per subject in a FAISS `IndexFlatIP`.

    Processes may share the folder: one writes at a time, and a search notices what another process has written and
    reads it first. After `remove` no file of the folder holds a byte of the subject's name or embeddings; what the file
    system keeps of deleted files, and backups, are beyond it. Should the process die while removing, remove again:
    that also deletes what was left.

    Args:
        location: The folder; `exists` and `create` tell and make one.

    Raises:
        InputError: not a gallery, or damaged.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._folder = GalleryFolder(Path(location))
        self._writer = threading.Lock()  # held by the one thread that writes or reads anew
        self._turns = _Turns()  # searches together, changes in memory alone
        self._state = self._read()
        self.stamp = self._state.manifest.stamp

    @staticmethod
    def exists(location: str) -> bool:
        """Whether the folder holds a gallery."""
        return (Path(location) / MANIFEST).is_file()

    @staticmethod
    def create(location: str, stamp: NetworkStamp) -> None:
        """Make an empty gallery; `InputError` when the folder holds something else."""
        GalleryFolder.create(Path(location), stamp)

    def remove(self, subject_id: str) -> None:
        with self._writing() as state:
            if subject_id not in state.row_of:
                raise self._unknown(subject_id)
            touched = _segments_with(state, {subject_id})
            kept = _select(self._stored(touched), lambda name: name != subject_id)
            manifest, new = self._folder.change(state.manifest, touched, kept)
            row = np.array([state.row_of[subject_id]], np.int64)
            with self._turns.alone():
                state.index.remove_ids(faiss.IDSelectorBatch(row))  # the rows behind it move up
                state.subjects.remove(subject_id)
                state.row_of = {name: place for place, name in enumerate(state.subjects)}
                self._note(state, manifest, touched, new)

    def images(self, subject_id: str) -> dict[str | None, int]:
        with self._writing() as state:
            if subject_id not in state.row_of:
                raise self._unknown(subject_id)
            stored = self._stored(_segments_with(state, {subject_id}))
        return dict(Counter(_select(stored, lambda name: name == subject_id).modalities))

    def subjects(self) -> list[str]:
        with self._reading() as state:
            return sorted(state.subjects)

    def __len__(self) -> int:
        with self._reading() as state:
            return len(state.subjects)

    def __contains__(self, subject_id: object) -> bool:
        with self._reading() as state:
            return subject_id in state.row_of

    def _add(self, images: Images) -> None:
        with self._writing() as state:
            known = {name for name in images.subject_ids if name in state.row_of}
            earlier = _select(self._stored(_segments_with(state, known)), known.__contains__)
            names, templates = _templates(_join([earlier, images]))

            roomy = _segments_with_room(state)
            stored = _join([self._stored(roomy), images])
            manifest, new = self._folder.change(state.manifest, roomy, stored)

            fresh = [name for name in names if name not in known]
            is_known = np.array([name in known for name in names])
            rows = [state.row_of[name] for name in names if name in known]
            with self._turns.alone():
                if rows:
                    _matrix(state.index)[rows] = templates[is_known]
                state.index.add(templates[~is_known])
                state.row_of |= {name: row for row, name in enumerate(fresh, len(state.subjects))}
                state.subjects += fresh
                self._note(state, manifest, roomy, new)

    def _search(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        with self._reading() as state:

            def nearest(queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
                wanted = min(wanted, state.index.ntotal)
                if not wanted or not len(queries):
                    return np.empty((len(queries), wanted), object), np.empty((len(queries), wanted), np.float32)
                scores, rows = state.index.search(queries, wanted)
                names = [state.subjects[row] for row in rows.ravel().tolist()]
                return np.array(names, dtype=object).reshape(rows.shape), scores

            return rank(nearest, queries, top_k)

    @contextmanager
    def _reading(self) -> Iterator[_State]:
        """The state for as long as it is looked at, read anew first when another process has changed the files."""
        if self._state.version != self._folder.version():
            with self._writer:
                self._up_to_date()
        with self._turns.shared():
            yield self._state

    @contextmanager
    def _writing(self) -> Iterator[_State]:
        """The state, up to date, for the only writer of all threads and processes."""
        with self._writer, self._folder.lock():
            state = self._up_to_date()
            self._folder.sweep(state.manifest)
            yield state

    def _up_to_date(self) -> _State:
        if self._state.version != self._folder.version():
            state = self._read()
            with self._turns.alone():
                self._state = state
        return self._state

    def _read(self) -> _State:
        """Read all files: the embeddings of all images, then templates from them, block by block."""
        while True:
            version = self._folder.version()
            manifest = self._folder.manifest(version)
            dimensions = manifest.stamp.dimensions
            try:
                parts = {segment: self._folder.images(segment, dimensions) for segment in manifest.segments}
                break
            except FileNotFoundError as error:
                if self._folder.version() == version:  # else replaced while it was read: once more
                    raise InputError(f"{error.filename} is missing: the gallery is damaged") from None
        subjects_in = {segment: Counter(images.subject_ids) for segment, images in parts.items()}
        stored = _join([_nothing(dimensions), *parts.values()])
        del parts  # as large as all embeddings
        index = faiss.IndexFlatIP(dimensions)
        subjects: list[str] = []
        for block, sums in subject_sums(stored.subject_ids, stored.embeddings):
            index.add(make_templates(block, sums))
            subjects += block
        row_of = {name: row for row, name in enumerate(subjects)}
        return _State(version, manifest, index, subjects, row_of, subjects_in)

    def _stored(self, segments: Iterable[str]) -> Images:
        dimensions = self.stamp.dimensions
        return _join([_nothing(dimensions), *(self._folder.images(segment, dimensions) for segment in segments)])

    def _note(self, state: _State, manifest: Manifest, dropped: Iterable[str], new: dict[str, Images]) -> None:
        for segment in dropped:
            del state.subjects_in[segment]
        state.subjects_in |= {segment: Counter(images.subject_ids) for segment, images in new.items()}
        state.manifest, state.version = manifest, self._folder.version()


class _Turns:
    """A lock that many may share, or one may hold alone; who waits for it alone goes before new sharers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._sharing)
                yield
            finally:
                self._waiting -= 1
                self._changed.notify_all()


def _nothing(dimensions: int) -> Images:
    return Images([], [], np.empty((0, dimensions), np.float32))


def _join(parts: Iterable[Images]) -> Images:
    parts = list(parts)
    names = [name for part in parts for name in part.subject_ids]
    modalities = [modality for part in parts for modality in part.modalities]
    return Images(names, modalities, np.concatenate([part.embeddings for part in parts]))


def _select(images: Images, wanted: Callable[[str], bool]) -> Images:
    rows = [row for row, name in enumerate(images.subject_ids) if wanted(name)]
    names = [images.subject_ids[row] for row in rows]
    return Images(names, [images.modalities[row] for row in rows], images.embeddings[rows])


def _templates(images: Images) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    templates = []
    for block, sums in subject_sums(images.subject_ids, images.embeddings):
        names += block
        templates.append(make_templates(block, sums))
    return names, np.concatenate(templates)


def _segments_with(state: _State, names: set[str]) -> list[str]:
    return [segment for segment, held in state.subjects_in.items() if not names.isdisjoint(held)]


def _segments_with_room(state: _State) -> list[str]:
    """The emptiest segment, which new images may fill, so that segments do not stay small; none when all are full."""
    emptiest = min(state.subjects_in, key=lambda segment: state.subjects_in[segment].total(), default=None)
    full = emptiest is None or state.subjects_in[emptiest].total() >= SEGMENT_IMAGES
    return [] if full or emptiest is None else [emptiest]


def _matrix(index: faiss.IndexFlatIP) -> np.ndarray:
    """The (N, D) templates themselves, to be written to."""
    return faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
