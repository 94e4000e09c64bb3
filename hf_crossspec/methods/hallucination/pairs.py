"""What the networks are trained on: pairs that agree to the pixel, from mined patches or from aligned pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hf_crossspec.data.images import BadImageError
from hf_crossspec.data.pixels import require_modality
from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError
from hf_crossspec.files import read_json
from hf_crossspec.methods.hallucination.patch_files import STATISTICS
from hf_crossspec.methods.hallucination.pictures import LUMA, as_uint8, decode_pixels, picture_processor


@dataclass(frozen=True)
class SpectralPairs:
    """Pictures or patches in two spectra, in memory as bytes.

    Args:
        pictures: (N, 1, H, W) uint8, of the other spectrum.
        visible: (N, 3, H, W) uint8 RGB.
        subjects: (N,) subject identifiers.
        reference: Mean and standard deviation, of 0 to 255, that `pictures` were brought to, or `None`.
        patches: Whether these are mined patches, which hold their mirrored copies.
        skipped: One line for each picture that could not be read.
    """

    pictures: torch.Tensor
    visible: torch.Tensor
    subjects: np.ndarray
    reference: tuple[float, float] | None = None
    patches: bool = False
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.subjects)

    def select(self, rows: np.ndarray) -> SpectralPairs:
        """The pairs of some rows."""
        chosen = torch.from_numpy(rows)
        return replace(self, pictures=self.pictures[chosen], visible=self.visible[chosen], subjects=self.subjects[rows])

    def fingerprint(self) -> str:
        """SHA-256 of subjects and pictures."""
        digest = hashlib.sha256("\n".join(self.subjects).encode())
        for pixels in (self.pictures, self.visible):
            digest.update(pixels.numpy().tobytes())
        return digest.hexdigest()


def load_pairs(source: str | Path, split: str | None, modality: str, skip_bad: bool = False) -> SpectralPairs:
    """Load a folder of mined patches, or the aligned pictures of a data set of faces.

    Args:
        source: A folder of `mine_patches`, or what `load_faces` takes.
        split: Of faces; patches have none to choose.
        modality: The one that is not vis.
        skip_bad: Leave out pairs of which a picture is unreadable.

    Raises:
        InputError: patches of another modality, or pictures that cannot be paired.
    """
    if (Path(source) / STATISTICS).is_file():
        return _load_patches(Path(source), modality)
    faces = load_faces(source, split)
    return _decode(faces, pair_pictures(faces, modality), skip_bad)


def pair_pictures(faces: Dataset, modality: str) -> np.ndarray:
    """Rows (N, 2) of visible pictures and those of the other modality with the same subject and, if given, session.

    Raises:
        InputError: several pictures to choose from, or none: such pictures are not aligned, their patches can be mined.
    """
    modalities = np.array(faces["modality"])
    for name in ("vis", modality):
        require_modality(modalities, name)
    sessions = faces["session"][:] if "session" in faces.column_names else [None] * len(faces)
    owners = list(zip(faces["subject_id"][:], sessions, strict=True))
    sides: list[dict[Any, int]] = [{}, {}]
    for row, (kind, owner) in enumerate(zip(modalities, owners, strict=True)):
        if kind not in ("vis", modality):
            continue
        side = sides[int(kind == modality)]
        if owner in side:
            raise InputError(
                f"subject {owner[0]} has several {kind} pictures of one session, so which belong together is unknown: "
                "mine patches first (crossspec hallucinate mine)"
            )
        side[owner] = row
    pairs = [(sides[0][owner], sides[1][owner]) for owner in sides[0] if owner in sides[1]]
    if not pairs:
        raise InputError(f"no subject has pictures of both vis and {modality} in one session")
    return np.array(pairs)


def subject_folds(subjects: np.ndarray, folds: int) -> np.ndarray:
    """Fold (N,) of each row: subjects in the order of their names, in `folds` blocks of nearly equal size.

    Raises:
        InputError: fewer subjects than folds.
    """
    names, codes = np.unique(subjects, return_inverse=True)
    if not 2 <= folds <= len(names):
        raise InputError(f"{len(names)} subjects cannot be split into {folds} folds (2 at least, a subject in each)")
    return codes * folds // len(names)


def _load_patches(folder: Path, modality: str) -> SpectralPairs:
    statistics = read_json(folder / STATISTICS)
    if statistics["modality"] != modality:
        raise InputError(f"{folder} holds patches of {statistics['modality']}, not of {modality}")
    patches = load_faces(folder)  # unfolded to one row a patch: first all visible ones, then the others
    half = len(patches) // 2
    pairs = np.stack([np.arange(half), np.arange(half, 2 * half)], axis=1)
    own = (statistics["reference"] or {}).get(modality)
    reference = None if own is None else (own["mean"][0], own["std"][0])
    return replace(_decode(patches, pairs, skip_bad=False), reference=reference, patches=True)


def _decode(faces: Dataset, pairs: np.ndarray, skip_bad: bool) -> SpectralPairs:
    processor = picture_processor()
    luma = torch.from_numpy(LUMA).view(3, 1, 1)
    keys = faces["key"][:] if "key" in faces.column_names else None
    sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    kept: list[int] = []
    skipped: list[str] = []
    subjects = np.array(faces["subject_id"])
    for number, pair in enumerate(pairs.tolist()):
        try:
            visible, other = (
                decode_pixels(faces[row]["image"], f"row {row}" if keys is None else keys[row], processor)
                for row in pair
            )
        except BadImageError as error:
            if not skip_bad:
                raise BadImageError(f"{error} (or leave bad pictures out with --skip-bad)") from None
            skipped.append(str(error))
            continue
        if not visible.shape == other.shape == (sides[0][0].shape if kept else visible.shape):
            raise InputError(f"row {pair[1]} has another size than the rest: align the faces first (crossspec prepare)")
        sides[0].append(torch.from_numpy(as_uint8(visible.numpy())))
        sides[1].append(torch.from_numpy(as_uint8((other * luma).sum(dim=0, keepdim=True).numpy())))
        kept.append(number)
    if not kept:
        raise InputError("no pair of readable pictures")
    visible, other = (torch.stack(side) for side in sides)
    return SpectralPairs(other, visible, subjects[pairs[kept, 0]], skipped=tuple(skipped))
