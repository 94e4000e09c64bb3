"""The two losses of selective tuning: bring the spectra together, stay what you were.

Both follow xEdgeFace (arXiv 2504.19646) and its successor (arXiv 2605.04769); embeddings need not be normalised.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity, normalize


def contrastive_alignment_loss(
    source: torch.Tensor, target: torch.Tensor, subjects: torch.Tensor, margin: float = 0.0
) -> torch.Tensor:
    """Pull the two spectra of a subject together, push different subjects apart down to a margin.

    For every source i and target j of the batch, with c_ij their cosine: 1 - c_ij if they are of the same subject,
    max(0, c_ij - margin) if not. The two kinds are averaged apart and added, the second over those pairs only that are
    still above the margin: few pairs of strangers are too similar, and the many others must not dilute their push.

    Args:
        source: (B, D) embeddings of the source modality (visible).
        target: (B, D) embeddings of the target modality; row i is of the same subject as source row i.
        subjects: (B,) subject codes.
        margin: Cosine below which two subjects are far enough apart.

    Returns:
        A scalar in [0, 3].
    """
    cosine = normalize(source) @ normalize(target).T  # (B, B)
    same = subjects[:, None] == subjects[None, :]  # (B, B)
    attraction = (1 - cosine)[same].mean()
    excess = (cosine - margin).masked_fill(same, 0).clamp(min=0)  # (B, B)
    repulsion = excess.sum() / (excess > 0).sum().clamp(min=1)
    return attraction + repulsion


def self_distillation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cosine between the tuned network's embeddings and the untouched network's, both (B, D), same images.

    Returns:
        A scalar in [0, 2].
    """
    return (1 - cosine_similarity(student, teacher)).mean()
