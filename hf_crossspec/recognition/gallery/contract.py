"""A gallery keeps templates of enrolled people and finds those most like a probe: what every back end promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.gallery.templates import BLOCK, unit_rows

LONGEST_NAME = 256  # bytes of UTF-8


@dataclass(frozen=True)
class NetworkStamp:
    """The network that a gallery's embeddings come from; embeddings of two networks must never be compared.

    Args:
        model, adapter: Names, for messages.
        weights_sha256: Fingerprint of all weights, which decides whether two networks are the same.
        dimensions: Length D of an embedding.
    """

    model: str
    adapter: str | None
    weights_sha256: str
    dimensions: int

    @classmethod
    def of(cls, description: Mapping[str, Any], dimensions: int) -> NetworkStamp:
        """From `FaceEmbedder.describe()` and the length of its embeddings."""
        return cls(description["name"], description["adapter"], description["weights_sha256"], dimensions)

    @classmethod
    def read(cls, document: Any, location: str) -> NetworkStamp:
        """From `dataclasses.asdict`; `InputError` names the location when it is something else."""
        try:
            return cls(**document)
        except TypeError:
            raise InputError(f"{location} does not say which network it was made with: not a gallery") from None

    def refuse_other(self, other: NetworkStamp, location: str) -> None:
        """Raise `InputError` when `other` is another network than the one that `location` was made with."""
        if (self.weights_sha256, self.dimensions) != (other.weights_sha256, other.dimensions):
            raise InputError(
                f"{location} was made with {self.title}, not with {other.title}: "
                "use the network it was made with, or enrol into a new gallery"
            )

    @property
    def title(self) -> str:
        """Name, adapter, dimensions and the beginning of the fingerprint."""
        name = self.model if self.adapter is None else f"{self.model} with {self.adapter}"
        return f"{name} ({self.dimensions} dimensions, weights {self.weights_sha256[:8]})"


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The k most similar subjects of each of Q probes, best first.

    Args:
        subject_ids: (Q, k) array of strings.
        scores: (Q, k) float32, cosine similarity in [-1, 1] up to rounding, descending; subjects with equal scores are
            in the order of their names.
    """

    subject_ids: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Images:
    """n images to enrol: subjects and modalities (n,), embeddings (n, D) float32 of length one."""

    subject_ids: list[str]
    modalities: list[str | None]
    embeddings: np.ndarray


class Gallery(ABC):
    """Enrolled subjects and their templates; use `open_gallery`, and `with` or `close` to let go of it.

    A template is the mean of the subject's embeddings, each of length one, brought to length one again. Every change
    is kept when the call that makes it returns. Any thread may call; a search sees the state before or after a change.
    A gallery holds biometric templates: nothing of it is logged.

    Attributes:
        location: Where it was opened.
        stamp: The network whose embeddings it holds.
    """

    location: str
    stamp: NetworkStamp

    def enroll(self, subject_id: str, embeddings: npt.ArrayLike, modality: str | None = None) -> None:
        """Add images of one subject, known or new: embeddings (n, D) of any length but zero.

        Raises:
            InputError: as `enroll_many`.
        """
        count = len(np.atleast_1d(np.asarray(embeddings)))
        self.enroll_many([subject_id] * count, embeddings, [modality] * count)

    def enroll_many(
        self,
        subject_ids: Sequence[str],
        embeddings: npt.ArrayLike,
        modalities: Sequence[str | None] | None = None,
    ) -> None:
        """Add n images of any number of subjects: names (n,), embeddings (n, D), optionally modalities (n,).

        Raises:
            InputError: no image, unequal lengths, a name or modality that is not a string of 1 to 256 bytes, embeddings
                of another dimension, with NaN or infinity or of length zero, or images of a subject that cancel out.
        """
        unit = self._unit_embeddings(embeddings)
        modalities = [None] * len(unit) if modalities is None else modalities
        if not len(unit):
            raise InputError("there is no embedding to enrol")
        for what, values in (("subject_ids", subject_ids), ("modalities", modalities)):
            if isinstance(values, str) or len(values) != len(unit):
                raise InputError(f"{what} must be a list of {len(unit)}, one for each embedding")
        for subject_id in subject_ids:
            _check_name("subject_id", subject_id)
        for modality in set(modalities) - {None}:
            _check_name("modality", modality)
        self._add(Images(list(subject_ids), list(modalities), unit))

    def search(self, embeddings: npt.ArrayLike, top_k: int = 10) -> SearchResult:
        """The most similar subjects of each probe: embeddings (Q, D); k is `top_k` or the gallery's size, if smaller.

        The search is exact: every probe is compared with every template.

        Raises:
            InputError: embeddings as for `enroll_many`, or `top_k` below one.
        """
        queries = self._unit_embeddings(embeddings)
        if top_k < 1:
            raise InputError(f"top_k must be 1 or more, not {top_k}")
        return SearchResult(*self._search(queries, top_k))

    @abstractmethod
    def remove(self, subject_id: str) -> None:
        """Remove a subject with all images; what that means for the bytes is said by each back end.

        Raises:
            InputError: the subject is not enrolled.
        """

    @abstractmethod
    def images(self, subject_id: str) -> dict[str | None, int]:
        """How many images of each modality stand behind a subject's template.

        Raises:
            InputError: the subject is not enrolled.
        """

    @abstractmethod
    def subjects(self) -> list[str]:
        """All subjects, sorted."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, subject_id: object) -> bool: ...

    def close(self) -> None:
        """Let go of files and connections; there is nothing left to save."""
        return

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _add(self, images: Images) -> None: ...

    @abstractmethod
    def _search(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]: ...

    def _unit_embeddings(self, embeddings: npt.ArrayLike) -> np.ndarray:
        array = np.asarray(embeddings)
        if array.ndim != 2 or array.shape[1] != self.stamp.dimensions or array.dtype.kind not in "fiu":
            raise InputError(
                f"embeddings must be numbers of shape (n, {self.stamp.dimensions}), "
                f"not {array.dtype} of shape {array.shape}"
            )
        unit = np.empty(array.shape, np.float32)
        for start in range(0, len(array), BLOCK):
            rows = slice(start, start + BLOCK)
            unit[rows], bad = unit_rows(array[rows])
            if bad.size:
                raise InputError(
                    f"embedding {start + bad[0]} is zero or has NaN or infinity: count such a face as not acquired"
                )
        return unit

    def _unknown(self, subject_id: object) -> InputError:
        return InputError(f"{subject_id!r} is not enrolled in {self.location}")


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise InputError(f"{what} must be a string, not {type(name).__name__} ({name!r})")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not name.strip() or not 0 < length <= LONGEST_NAME:
        raise InputError(f"{what} must be text of 1 to {LONGEST_NAME} bytes, not {name[:50]!r}")
