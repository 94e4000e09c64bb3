"""The margin softmax against explicit loops, its gradients, and its ends."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from hf_crossspec import InputError
from hf_crossspec.methods.pretraining.margin_softmax import MARGINS, MarginSoftmax, arcface


def angle_between(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return math.acos(max(-1.0, min(1.0, dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b)))))


def expected_logit(loss: str, theta: float, margin: float) -> float:
    if loss == "cosface":
        return math.cos(theta) - margin
    return math.cos(theta + margin) if theta + margin < math.pi else math.cos(theta) - margin * math.sin(margin)


@settings(max_examples=60)
@given(
    st.integers(0, 10_000), st.sampled_from(sorted(MARGINS)), st.integers(1, 6), st.floats(0, 0.95), st.floats(1, 64)
)
def test_logits_equal_the_loop(seed: int, loss: str, batch: int, margin: float, scale: float) -> None:
    torch.manual_seed(seed)
    head = MarginSoftmax(5, 4, loss, margin, scale).double()
    embeddings, subjects = 3 * torch.randn(batch, 5, dtype=torch.float64), torch.randint(4, (batch,))
    logits = head(embeddings, subjects)
    assert logits.shape == (batch, 4)
    for i in range(batch):
        for j in range(4):
            theta = angle_between(embeddings[i].tolist(), head.weight[j].tolist())
            cosine = expected_logit(loss, theta, margin) if j == subjects[i] else math.cos(theta)
            assert logits[i, j].item() == pytest.approx(scale * cosine, abs=1e-6)


@pytest.mark.parametrize("loss", sorted(MARGINS))
def test_gradients_are_right(loss: str) -> None:
    torch.manual_seed(0)
    head = MarginSoftmax(5, 4, loss, scale=8).double()
    embeddings = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    subjects = torch.tensor([0, 3, 3])
    assert torch.autograd.gradcheck(lambda x: head(x, subjects), (embeddings,))
    cross_entropy(head(embeddings, subjects), subjects).backward()
    assert head.weight.grad is not None
    assert (head.weight.grad[[0, 3]].norm(dim=1) > 0).all()


@pytest.mark.parametrize("loss", sorted(MARGINS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_the_ends(loss: str, dtype: torch.dtype) -> None:
    head = MarginSoftmax(3, 2, loss).to(dtype)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2, 3))
    ends = torch.tensor([[7.0, 0, 0], [-7, 0, 0], [1, 1e-7, 0], [-1, 1e-7, 0], [0, 0, 0]], dtype=dtype)
    ends.requires_grad_()
    subjects = torch.zeros(5, dtype=torch.long)
    logits = head(ends, subjects)
    assert torch.isfinite(logits).all()
    cross_entropy(logits, subjects).backward()
    assert ends.grad is not None
    assert head.weight.grad is not None
    assert torch.isfinite(ends.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_arcface_falls_over_the_whole_half_circle() -> None:
    theta = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    for margin in (0.1, 0.5, 0.9):
        values = arcface(theta.cos(), margin)
        assert (values.diff() < 0).all()


@pytest.mark.parametrize("loss", sorted(MARGINS))
def test_without_margin_it_is_the_cosine_softmax(loss: str) -> None:
    head = MarginSoftmax(6, 3, loss, margin=0.0, scale=10)
    embeddings, subjects = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    cosine = torch.nn.functional.cosine_similarity(embeddings[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(embeddings, subjects), 10 * cosine, atol=2e-3, rtol=0)
    torch.testing.assert_close(head(5 * embeddings, subjects), head(embeddings, subjects))


def test_autocast_leaves_the_cosines_exact() -> None:
    head = MarginSoftmax(64, 3)
    embeddings, subjects = torch.randn(4, 64), torch.tensor([0, 1, 2, 0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head(embeddings, subjects)
    torch.testing.assert_close(inside, head(embeddings, subjects))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "sphereface"}, "unknown margin loss 'sphereface': choose one of cosface, arcface"),
        ({"margin": 1.0}, r"margin must lie in \[0, 1\)"),
        ({"margin": -0.1}, r"margin must lie in \[0, 1\)"),
        ({"margin": math.nan}, r"margin must lie in \[0, 1\)"),
        ({"scale": 0.0}, "scale be positive"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MarginSoftmax(8, 4, **arguments)  # type: ignore[arg-type]
