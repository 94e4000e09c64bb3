"""Batches: always pairs of one subject, balanced over subjects, a pure function of their number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_crossspec import InputError
from hf_crossspec.data.sampling import IdentityBalancedPairs

COUNTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12)


def subjects_of(counts: list[tuple[int, int]], side: int) -> np.ndarray:
    return np.array([f"s{i}" for i, pair in enumerate(counts) for _ in range(pair[side])], dtype=object)


@given(COUNTS, st.integers(1, 9), st.integers(0, 3), st.integers(1, 3))
def test_an_epoch_uses_every_target_with_its_own_subject(
    counts: list[tuple[int, int]], batch_size: int, epoch: int, processes: int
) -> None:
    source, target = subjects_of(counts, 0), subjects_of(counts, 1)
    paired = [i for i, (s, t) in enumerate(counts) if s and t]
    if len(paired) < 2:
        with pytest.raises(InputError, match="at least two subjects"):
            IdentityBalancedPairs(source, target, batch_size, seed=1)
        return
    shards = [IdentityBalancedPairs(source, target, batch_size, 1, processes, rank) for rank in range(processes)]
    used: list[int] = []
    for position in range(shards[0].batches_per_epoch):
        for shard in shards:
            sources, targets, codes = shard.batch(epoch * shard.batches_per_epoch + position)
            assert len(sources) == batch_size
            assert (source[sources] == target[targets]).all()
            assert [shard.subjects[code] for code in codes] == source[sources].tolist()
            used += targets.tolist()
    total = sum(counts[i][1] for i in paired)
    assert set(used[:total]) == {j for j, name in enumerate(target) if int(name[1:]) in paired}


def test_subjects_take_turns() -> None:
    """One subject with many pictures does not crowd a batch out."""
    source = np.array(["a"] * 50 + ["b", "c", "d"])
    pairs = IdentityBalancedPairs(source, source, batch_size=4, seed=0)
    _, _, codes = pairs.batch(0)
    assert sorted(codes) == [0, 1, 2, 3]


def test_batches_do_not_depend_on_what_was_drawn_before() -> None:
    names = np.array([f"s{i // 3}" for i in range(60)])
    one, other = (IdentityBalancedPairs(names, names, 8, seed=5) for _ in range(2))
    for number in (17, 3, 8, 3):
        one.batch(number)
    for number in (0, 8, 17):
        for left, right in zip(one.batch(number), other.batch(number), strict=True):
            assert left.tolist() == right.tolist()


def test_seeds_and_epochs_differ() -> None:
    names = np.array([f"s{i}" for i in range(40)])
    orders = {
        tuple(IdentityBalancedPairs(names, names, 40, seed).batch(epoch)[1]) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_source_pictures_are_drawn_evenly() -> None:
    source, target = np.array(["a"] * 5 + ["b"] * 5), np.array(["a", "b"])
    pairs = IdentityBalancedPairs(source, target, 2, seed=0)
    drawn = Counter(int(index) for number in range(500) for index in pairs.batch(number)[0])
    assert min(drawn.values()) > 60  # 100 expected each


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [(["a"], ["a"], "only subject a"), (["a", "b"], ["c"], "no subject"), (["a", "b"], ["b"], "only subject b")],
)
def test_too_few_subjects(source: list[str], target: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        IdentityBalancedPairs(np.array(source), np.array(target), 4, seed=0)
