"""The files of mined patches: candidates while mining, Parquet of those that stay, and a map of their places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from datasets import Dataset, Features, Image, Value
from datasets.arrow_writer import ArrowWriter

from hf_crossspec.methods.hallucination.matching import MatchSettings, window_places

STATISTICS = "statistics.json"  # tells a folder of patches from other data sets
ROWS_PER_FILE = 100_000


class Candidates:
    """All matches of a run, on disk as they come (two rows each, the second mirrored), and their places in memory.

    Args:
        places: Row and column of each match's window.
        counts: What became of the windows.
    """

    def __init__(self, path: Path, modality: str) -> None:
        self.path, self.modality = path, modality
        self.places: list[tuple[int, int]] = []
        self.counts: Counter[str] = Counter()
        texts = {name: Value("string") for name in ("subject_id", "key", "vis_key")}
        numbers = {name: Value("int32") for name in ("row", "column")}
        scores = {name: Value("float32") for name in ("correlation", "gradient_correlation")}
        pictures = {"vis": Image(), modality: Image()}
        features = Features({**pictures, **texts, **numbers, **scores, "mirrored": Value("bool")})
        self._writer = ArrowWriter(path=str(path), features=features)

    def __enter__(self) -> Candidates:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.places:
            self._writer.finalize()
        self._writer.close()

    def add(self, rows: list[dict[str, Any]], counts: Counter[str]) -> None:
        """Take over the result of `compare_pictures`."""
        self.counts += counts
        for row in rows:
            self._writer.write(
                {**{name: value for name, value in row.items() if name != "patch"}, self.modality: row["patch"]}
            )
        self.places += [(row["row"], row["column"]) for row in rows[::2]]

    def told(self) -> str:
        """The counts in words."""
        return ", ".join(f"{name} {count:,}" for name, count in self.counts.most_common())

    def write(self, folder: Path, kept: np.ndarray) -> int:
        """Write the matches `kept` (N,), both rows of each, as Parquet and drop the candidates; returns the rows."""
        rows = np.stack([2 * kept, 2 * kept + 1], axis=1).ravel()
        patches = Dataset.from_file(str(self.path)).select(rows)
        files = -(-len(patches) // ROWS_PER_FILE)
        for number in range(files):
            part = patches.shard(files, number, contiguous=True)
            part.to_parquet(str(folder / f"train-{number:05d}-of-{files:05d}.parquet"))
        self.path.unlink()
        return len(patches)


def draw_patch_map(
    path: Path, places: np.ndarray, kept: np.ndarray, settings: MatchSettings, picture: np.ndarray
) -> None:
    """Draw, over a mean face (H, W, 3), how many matches each place had, and how many it keeps; a PNG.

    Args:
        places: (N, 2) row and column of each match's window.
        kept: Indices of those that stay.
    """
    from matplotlib.figure import Figure

    counts = [_count_places(chosen, settings, picture.shape) for chosen in (places, places[kept])]
    figure = Figure(figsize=(9, 4.4), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    first = settings.window / 2 - settings.stride / 2  # a cell surrounds the middle of its window
    rows, columns = counts[0].shape
    whole = (0, picture.shape[1], picture.shape[0], 0)
    extent = (first, first + columns * settings.stride, first + rows * settings.stride, first)
    for axes, count, title in zip(panels, counts, ("matching patches", "after pruning"), strict=True):
        axes.imshow(picture.mean(axis=2), extent=whole, cmap="gray")
        shades = axes.imshow(count, extent=extent, cmap="viridis", alpha=0.55, vmin=0, vmax=counts[0].max())
        axes.set(xlim=whole[:2], ylim=whole[2:])
        axes.set_title(f"{title}: {count.sum():,}")
    figure.colorbar(shades, ax=panels, label="patches at a place")
    figure.savefig(path)


def _count_places(places: np.ndarray, settings: MatchSettings, shape: tuple[int, ...]) -> np.ndarray:
    """(rows, columns) of the grid of windows."""
    last = list(window_places(shape, settings))[-1]
    count = np.zeros([position // settings.stride + 1 for position in last], dtype=int)
    np.add.at(count, tuple((places // settings.stride).T), 1)
    return count
