"""Mine a data set of faces for patches that show the same in two spectra.

Every picture of the other modality is compared with every visible picture of its subject. What is written is a data
set at paired level: a picture column per modality, the subject, where the patch was found, and how well it fits.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_crossspec.data.pixels import require_modality
from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError
from hf_crossspec.files import new_directory, write_json
from hf_crossspec.methods.hallucination.matching import MatchSettings, compare_pictures
from hf_crossspec.methods.hallucination.patch_files import STATISTICS, Candidates, draw_patch_map
from hf_crossspec.methods.hallucination.pictures import LUMA, Reference, as_uint8, decode_pixels, picture_processor

PAPER_SIDE = 224  # side in pixels of the paper's pictures, to which its window, stride and crop belong
MEAN_FACE_OF = 50  # subjects; the map shows nobody in particular


@dataclass(frozen=True)
class MiningSettings:
    """How to mine. `None` for window, stride and crop: the paper's 60, 12 and 40 for pictures of 224, scaled to these.

    Args:
        window, stride, crop, least_correlation, least_sum: As `MatchSettings`.
        spread: At most so many times the median of all places may be kept at one place of the face.
        normalise: Bring mean and standard deviation of every picture, channel by channel, to those of the first pair.
        seed: Which patches are pruned.
        num_proc: Processes.
    """

    window: int | None = None
    stride: int | None = None
    crop: int | None = None
    least_correlation: float = 0.4
    least_sum: float = 1.0
    spread: float = 1.5
    normalise: bool = True
    seed: int = 0
    num_proc: int = 1

    def match_settings(self, side: int) -> MatchSettings:
        """The settings of the comparison for pictures whose shorter side has `side` pixels."""
        paper = MatchSettings()
        sizes = {name: getattr(self, name) for name in ("window", "stride", "crop")}
        for name in sizes:
            if sizes[name] is None:
                sizes[name] = max(1, round(getattr(paper, name) * side / PAPER_SIDE))
        settings = replace(paper, **sizes, least_correlation=self.least_correlation, least_sum=self.least_sum)
        if not 8 <= settings.crop < settings.window <= side or (settings.window - settings.crop) % 2:
            raise InputError(
                f"a crop of {settings.crop} in a window of {settings.window} in pictures of {side} pixels: the crop "
                "needs 8 at least, the window must be larger by an even number, and the picture no smaller"
            )
        if settings.stride < 1:
            raise InputError(f"stride must be at least 1, not {settings.stride}")
        return settings


@dataclass(frozen=True)
class Mined:
    """What mining gave.

    Args:
        patches: Pairs of patches written, mirrored ones included.
        counts: Windows tested, and what became of them (see `match_windows`), and `pruned`.
        seconds: From the first picture read to the last comparison.
    """

    patches: int
    counts: dict[str, int]
    seconds: float


def mine_patches(
    source: str | Path | Dataset,
    output_dir: str | Path,
    modality: str,
    split: str | None = None,
    settings: MiningSettings | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Mined:
    """Mine the pictures of a split for pairs of patches; writes Parquet, statistics.json and map.png.

    Args:
        source, split: Aligned faces, as `load_faces` takes them.
        output_dir: New or empty folder.
        modality: The other modality; pictures of `vis` are its counterpart.
        settings: How to mine.
        advance: Told how many pictures of the other modality are done, of how many.

    Raises:
        InputError: unusable data, sizes or output folder, or no patch that matches.
    """
    settings = settings or MiningSettings()
    faces = load_faces(source, split)
    subjects = _subjects_with_both(faces, modality)
    normaliser = _Normaliser.of(faces, subjects, settings.normalise)
    matching = settings.match_settings(min(normaliser.shape))
    total, started = sum(len(others) for _, others in subjects.values()), time.perf_counter()
    with new_directory(output_dir) as folder:
        with Candidates(folder / "candidates.arrow", modality) as candidates:
            for done, result in enumerate(_run(_tasks(subjects, normaliser, matching), settings.num_proc), start=1):
                candidates.add(*result)
                advance(done, total)
        seconds = time.perf_counter() - started
        if not candidates.places:
            raise InputError(f"no patch of {modality} fits a visible one: {candidates.told()}")
        kept = spatially_uniform(np.array(candidates.places), settings.spread, settings.seed)
        counts = {**candidates.counts, "pruned": len(candidates.places) - len(kept)}
        mined = Mined(candidates.write(folder, kept), counts, seconds)
        write_json(folder / STATISTICS, _statistics(modality, normaliser, settings, matching, mined))
        shown = [normaliser.read_visible(visible[0]) for visible, _ in list(subjects.values())[:MEAN_FACE_OF]]
        draw_patch_map(folder / "map.png", np.array(candidates.places), kept, matching, np.mean(shown, axis=0))
    return mined


def spatially_uniform(places: np.ndarray, spread: float, seed: int = 0) -> np.ndarray:
    """Choose patches so that no place of the face has many more than the others.

    Args:
        places: (N, 2) row and column of each patch.
        spread: No place keeps more than `spread` times the median over the places that have any (rounded up).
        seed: Of the draw at crowded places.

    Returns:
        Indices of those that stay, ascending.
    """
    if spread < 1:
        raise InputError(f"spread must be at least 1, not {spread}")
    _, place, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    limit = int(np.ceil(spread * np.median(counts)))
    order = np.random.default_rng(seed).permutation(len(places))
    order = order[np.argsort(place.ravel()[order], kind="stable")]  # place after place, shuffled within
    rank = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < limit])


Subject = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # its visible pictures, its others


def _subjects_with_both(faces: Dataset, modality: str) -> dict[str, Subject]:
    """The rows of each subject that has pictures of both modalities, in the order of the subjects' names."""
    if modality == "vis":
        raise InputError("the modality to mine is the one that is not vis")
    modalities, names = faces["modality"][:], faces["subject_id"][:]
    for name in ("vis", modality):
        require_modality(modalities, name)
    keys = faces["key"][:] if "key" in faces.column_names else [f"row {row}" for row in range(len(faces))]
    found: dict[str, Subject] = {name: ([], []) for name in sorted(set(names))}
    for row, (name, kind) in enumerate(zip(names, modalities, strict=True)):
        if kind in ("vis", modality):
            found[name][kind == modality].append({"row": row, "key": str(keys[row]), "subject_id": name})
    both = {name: sides for name, sides in found.items() if all(sides)}
    if not both:
        raise InputError(f"no subject has pictures of both vis and {modality}")
    return both


@dataclass(frozen=True)
class _Normaliser:
    """Reads pictures as uint8 arrays, normalised to a reference if there is one."""

    faces: Dataset
    shape: tuple[int, int]
    visible: Reference | None
    other: Reference | None

    @classmethod
    def of(cls, faces: Dataset, subjects: dict[str, Subject], normalise: bool) -> _Normaliser:
        """With the first pair of the first subject as the reference."""
        first_visible, first_other = (side[0] for side in next(iter(subjects.values())))
        raw = cls(faces, (0, 0), None, None)
        visible, other = raw._pixels(first_visible), raw._pixels(first_other) @ LUMA[:, None]
        references = (Reference.of(visible), Reference.of(other)) if normalise else (None, None)
        return cls(faces, visible.shape[:2], *references)

    def read_visible(self, entry: dict[str, Any]) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        pixels = self._checked(entry)
        return as_uint8(pixels) if self.visible is None else self.visible.apply(pixels)

    def read_other(self, entry: dict[str, Any]) -> np.ndarray:
        """(H, W) uint8."""
        pixels = self._checked(entry) @ LUMA[:, None]
        return (as_uint8(pixels) if self.other is None else self.other.apply(pixels))[..., 0]

    def _checked(self, entry: dict[str, Any]) -> np.ndarray:
        pixels = self._pixels(entry)
        if pixels.shape[:2] != self.shape:
            raise InputError(
                f"{entry['key']} has {pixels.shape[:2]} pixels and others have {self.shape}: align the faces first "
                "(crossspec prepare)"
            )
        return pixels

    def _pixels(self, entry: dict[str, Any]) -> np.ndarray:
        pixels = decode_pixels(self.faces[entry["row"]]["image"], entry["key"], picture_processor())
        return pixels.permute(1, 2, 0).numpy()


def _tasks(subjects: dict[str, Subject], normaliser: _Normaliser, matching: MatchSettings) -> Iterator[tuple[Any, ...]]:
    """A task is one picture of the other modality and all visible ones of its subject."""
    for subject, (visible, others) in subjects.items():
        pictures = [(entry["key"], normaliser.read_visible(entry)) for entry in visible]
        for entry in others:
            yield subject, (entry["key"], normaliser.read_other(entry)), pictures, matching


def _run(tasks: Iterable[tuple[Any, ...]], num_proc: int) -> Iterator[tuple[list[dict[str, Any]], Counter[str]]]:
    """Results in the order of the tasks; with several processes only a few tasks wait at a time."""
    if num_proc == 1:
        yield from (compare_pictures(*task) for task in tasks)
        return
    waiting: deque[Future[Any]] = deque()
    with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn")) as pool:
        for task in tasks:
            waiting.append(pool.submit(compare_pictures, *task))
            if len(waiting) >= 4 * num_proc:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _statistics(
    modality: str, normaliser: _Normaliser, settings: MiningSettings, matching: MatchSettings, mined: Mined
) -> dict[str, Any]:
    """What training has to know of the patches, and what a reader wants to."""
    reference = None
    if normaliser.visible is not None and normaliser.other is not None:
        sides = {"vis": normaliser.visible, modality: normaliser.other}
        reference = {name: {"mean": side.mean.tolist(), "std": side.std.tolist()} for name, side in sides.items()}
    return {
        "modality": modality,
        "reference": reference,
        "picture_size": list(normaliser.shape),
        "settings": asdict(matching) | {"spread": settings.spread, "seed": settings.seed},
        "patches": mined.patches,
        "windows": mined.counts,
        "seconds": mined.seconds,
        "windows_per_second": mined.counts["tested"] / mined.seconds,
    }
