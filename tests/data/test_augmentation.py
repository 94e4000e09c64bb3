"""Augmentation: small, bounded, decided by the generator alone."""

from __future__ import annotations

import torch

from hf_crossspec.data.augmentation import augment_faces


def picture() -> torch.Tensor:
    """A bright dot left of the centre on a smooth ramp."""
    ramp = torch.linspace(-0.6, 0.2, 112).expand(112, 112).clone()
    ramp[54:58, 36:40] = 1
    return ramp.expand(3, -1, -1)


def test_same_generator_same_pictures() -> None:
    batch = picture().repeat(6, 1, 1, 1)
    first = augment_faces(batch, torch.Generator().manual_seed(1))
    assert torch.equal(first, augment_faces(batch, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment_faces(batch, torch.Generator().manual_seed(2)))


def test_pictures_vary_but_stay_close_and_in_range() -> None:
    batch = picture().repeat(200, 1, 1, 1)
    varied = augment_faces(batch, torch.Generator().manual_seed(0))
    assert varied.shape == batch.shape
    assert varied.abs().max() <= 1
    brightest = varied[:, 0].flatten(1).argmax(1)
    x, y = brightest % 112, brightest // 112
    mirrored = x > 56
    assert 60 < int(mirrored.sum()) < 140  # half of 200
    x = torch.where(mirrored, 111 - x, x)
    assert (x - 37.5).abs().max() < 10  # 3 % shift, 5 % scale and 5 degrees move the dot by less
    assert (y - 55.5).abs().max() < 10
    assert x.float().std() > 1


def test_the_input_is_untouched() -> None:
    batch = picture().repeat(2, 1, 1, 1)
    kept = batch.clone()
    augment_faces(batch, torch.Generator().manual_seed(0))
    assert torch.equal(batch, kept)
