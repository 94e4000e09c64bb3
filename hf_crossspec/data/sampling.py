"""Batches of cross-spectral pairs, balanced over identities."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from hf_crossspec.errors import InputError


class IdentityBalancedPairs:
    """Index pairs (source picture, target picture) of the same subject; a batch is a pure function of its number.

    In an epoch every target picture is used once, the subjects taking turns, each time beside a random source picture
    of its subject. So a batch holds as many subjects as it can, and all its cross pairs of different subjects serve
    as negatives. The last batch is filled up from the epoch's beginning.

    Args:
        source_subjects: (S,) subject of each source (visible) picture.
        target_subjects: (T,) subject of each target picture.
        batch_size: Pairs in a batch of one process.
        seed: Seed of every draw.
        processes, rank: Number of processes and this one's; together they take consecutive batches.

    Raises:
        InputError: fewer than two subjects have both modalities.
    """

    def __init__(
        self,
        source_subjects: np.ndarray,
        target_subjects: np.ndarray,
        batch_size: int,
        seed: int,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        paired = sorted(set(source_subjects) & set(target_subjects))
        if len(paired) < 2:
            found = "no subject has" if not paired else f"only subject {paired[0]} has"
            raise InputError(f"{found} pictures of both modalities: contrastive training needs at least two subjects")
        self.subjects = paired
        self._sources = [np.flatnonzero(source_subjects == subject) for subject in paired]
        self._targets = [np.flatnonzero(target_subjects == subject) for subject in paired]
        self.pairs = sum(map(len, self._targets))
        self.batch_size, self.seed = batch_size, seed
        self.processes, self.rank = processes, rank
        self.batches_per_epoch = math.ceil(self.pairs / (batch_size * processes))
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Source indices, target indices and subject codes, each (batch_size,), of this process's batch `number`."""
        epoch, position = divmod(number, self.batches_per_epoch)
        order = self._order(epoch)
        start = (position * self.processes + self.rank) * self.batch_size
        chosen = order[np.arange(start, start + self.batch_size) % len(order)]
        return chosen[:, 0], chosen[:, 1], chosen[:, 2]

    def _draw_order(self, epoch: int) -> np.ndarray:
        """(pairs, 3): source index, target index, subject code; turn by turn, subjects shuffled in each turn."""
        generator = np.random.default_rng([self.seed, epoch])
        rows = []
        for code, (sources, targets) in enumerate(zip(self._sources, self._targets, strict=True)):
            for turn, target in enumerate(generator.permutation(targets)):
                rows.append((turn, generator.random(), generator.choice(sources), target, code))
        rows.sort()
        return np.array([row[2:] for row in rows], dtype=np.int64)
