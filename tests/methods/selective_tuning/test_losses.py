"""The losses against explicit loops over pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_crossspec.methods.selective_tuning.losses import contrastive_alignment_loss, self_distillation_loss


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.tolist(), b.tolist()
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 5), st.floats(-0.5, 0.9))
def test_alignment_equals_the_loop(seed: int, batch: int, subjects: int, margin: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randn(2, batch, 6, generator=generator, dtype=torch.float64)
    codes = torch.randint(subjects, (batch,), generator=generator)
    attraction, repulsion = [], []
    for i in range(batch):
        for j in range(batch):
            similarity = cosine(source[i], target[j])
            if codes[i] == codes[j]:
                attraction.append(1 - similarity)
            elif similarity > margin:
                repulsion.append(similarity - margin)
    expected = sum(attraction) / len(attraction) + sum(repulsion) / max(1, len(repulsion))
    assert contrastive_alignment_loss(source, target, codes, margin).item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_distillation_equals_the_loop(seed: int, batch: int) -> None:
    student, teacher = torch.randn(2, batch, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = sum(1 - cosine(student[i], teacher[i]) for i in range(batch)) / batch
    assert self_distillation_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_perfect_alignment_costs_nothing_and_gradients_are_right() -> None:
    axes = torch.eye(3, 6, dtype=torch.float64)
    codes = torch.arange(3)
    assert contrastive_alignment_loss(axes, 5 * axes, codes, margin=0.0).item() == pytest.approx(0, abs=1e-12)
    source, target = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True).unbind()
    codes = torch.tensor([0, 1, 2, 1])
    assert torch.autograd.gradcheck(lambda s, t: contrastive_alignment_loss(s, t, codes, 0.1), (source, target))
    assert torch.autograd.gradcheck(self_distillation_loss, (source, target))


def test_different_subjects_below_the_margin_do_not_push() -> None:
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    contrastive_alignment_loss(source, source.detach(), torch.arange(2), margin=0.2).backward()
    assert source.grad is not None
    torch.testing.assert_close(source.grad, torch.zeros(2, 2))
